"""The XML header of simulated raw files, valid against ``ismrmrd.xsd``."""

from typing import Any
from xml.etree import ElementTree

from mrirecon.raw.header_text import NAMESPACE, xml_tree
from mrirecon.simulation.acquisition_options import NOISE_BANDWIDTH, AcquisitionOptions, LinePlan
from mrirecon.simulation.simulated_scan import SimulatedScan

_PROTON = 42.577478  # MHz / T


def header_xml(scan: SimulatedScan, options: AcquisitionOptions, plan: LinePlan) -> bytes:
    """Describe a Cartesian acquisition of ``scan``, UTF-8 encoded."""
    return header_of(scan, _encoding(scan, options, plan))


def header_of(scan: SimulatedScan, encoding: dict[str, Any]) -> bytes:
    """Describe an acquisition of ``scan`` with this encoding, UTF-8 encoded."""
    header = scan.header
    field = scan.protocol.field_strength
    root = xml_tree(
        "ismrmrdHeader",
        {
            "subjectInformation": {"patientID": header.subject},
            "measurementInformation": {
                "patientPosition": "HFS",
                "protocolName": header.acquisition,
            },
            "acquisitionSystemInformation": {
                "systemVendor": "mrirecon",
                "systemModel": "simulation",
                "systemFieldStrength_T": field,
                "relativeReceiverNoiseBandwidth": NOISE_BANDWIDTH,
                "receiverChannels": header.coils,
                "coilLabel": [
                    {"coilNumber": coil, "coilName": f"Loop{coil + 1:02d}"}
                    for coil in range(header.coils)
                ],
            },
            "experimentalConditions": {"H1resonanceFrequency_Hz": round(field * _PROTON * 1e6)},
            "encoding": encoding,
            "sequenceParameters": {
                "TR": header.sequence.repetition_time,
                "TE": header.sequence.echo_time,
                "TI": header.sequence.inversion_time,
                "flipAngle_deg": header.sequence.flip_angle,
            },
        },
    )
    root.set("xmlns", NAMESPACE)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _encoding(scan: SimulatedScan, options: AcquisitionOptions, plan: LinePlan) -> dict[str, Any]:
    h, w = scan.header.grid
    fov = scan.protocol.prescription.fov
    thickness = scan.protocol.prescription.thickness
    header, slices = scan.header, scan.header.slices
    parallel = None
    if plan.drawn is not None:
        parallel = {
            "accelerationFactor": {
                "kspace_encoding_step_1": max(1, round(plan.drawn.nominal)),
                "kspace_encoding_step_2": 1,
            },
            "calibrationMode": "embedded" if plan.calibration.any() else "interleaved",
        }
    return {
        "encodedSpace": {
            "matrixSize": {"x": plan.samples, "y": w, "z": 1},
            "fieldOfView_mm": {"x": options.oversampling * fov[0], "y": fov[1], "z": thickness},
        },
        "reconSpace": {
            "matrixSize": {"x": h, "y": w, "z": 1},
            "fieldOfView_mm": {"x": fov[0], "y": fov[1], "z": thickness},
        },
        "encodingLimits": {
            "kspace_encoding_step_0": limits(plan.samples - 1, plan.samples // 2),
            "kspace_encoding_step_1": limits(plan.last - plan.first, plan.center),
            "kspace_encoding_step_2": limits(0, 0),
            "average": limits(options.averages - 1, 0),
            "slice": limits(slices - 1, slices // 2),
            **{
                counter: limits(max(getattr(frame, counter) for frame in header.frames), 0)
                for counter in ("contrast", "phase", "repetition", "set")
            },
        },
        "trajectory": "cartesian",
        "parallelImaging": parallel,
    }


def limits(maximum: int, center: int) -> dict[str, int]:
    """Return the limits of a counter from 0."""
    return {"minimum": 0, "maximum": maximum, "center": center}
