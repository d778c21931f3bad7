"""The XML header of a measurement whose file has none, for whoever expects an ISMRMRD header."""

from typing import Any
from xml.etree import ElementTree

from mrirecon.raw.header import Encoding, MeasurementHeader, Space

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
AXES = ("x", "y", "z")


def header_text(header: MeasurementHeader) -> str:
    """Write what is known of a measurement; :func:`~mrirecon.raw.header.parse_header` reads it.

    Notes, and what is unknown, are left out.

    Args:
        header: Header of the measurement.
    """
    megahertz = header.imaging_frequency
    labels = [
        {"coilNumber": number, "coilName": name} for number, name in header.coil_labels.items()
    ]
    dependencies = [
        {"dependencyType": kind, "measurementID": name} for kind, name in header.dependencies
    ]
    venc = header.velocity_encoding
    own = {
        "userParameterLong": {"name": "PilotTone", "value": 1} if header.pilot_tone else None,
        "userParameterDouble": None if venc is None else {"name": "venc", "value": venc},
    }
    root = xml_tree(
        "ismrmrdHeader",
        {
            "subjectInformation": {"patientID": header.subject},
            "measurementInformation": {
                "measurementID": header.measurement,
                "patientPosition": header.patient_position,
                "protocolName": header.protocol,
                "measurementDependency": dependencies,
            },
            "acquisitionSystemInformation": {
                "systemVendor": header.vendor,
                "systemModel": header.model,
                "systemFieldStrength_T": header.field_strength,
                "relativeReceiverNoiseBandwidth": header.noise_bandwidth,
                "coilLabel": labels,
            },
            "experimentalConditions": None
            if megahertz is None
            else {"H1resonanceFrequency_Hz": round(megahertz * 1e6)},
            "encoding": [_encoding(one) for one in header.encodings],
            "sequenceParameters": {
                "TR": list(header.repetition_times),
                "TE": list(header.echo_times),
                "TI": list(header.inversion_times),
                "flipAngle_deg": list(header.flip_angles),
            },
            "userParameters": own if any(own.values()) else None,
        },
    )
    root.set("xmlns", NAMESPACE)
    return ElementTree.tostring(root, encoding="unicode")


def xml_tree(name: str, content: Any) -> ElementTree.Element:
    """Build an element from nested dictionaries; lists repeat an element, None leaves it out.

    Args:
        name: Name of the element.
        content: Dictionary of its children, or its text.
    """
    element = ElementTree.Element(name)
    if not isinstance(content, dict):
        # what XML cannot hold comes from damaged headers and means nothing
        element.text = "".join(one for one in str(content) if one.isprintable())
        return element
    for child, value in content.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                element.append(xml_tree(child, item))
    return element


def _encoding(one: Encoding) -> dict[str, Any]:
    steps = ("kspace_encoding_step_1", "kspace_encoding_step_2")
    return {
        "encodedSpace": _space(one.encoded),
        "reconSpace": _space(one.recon),
        "encodingLimits": {name: dict(vars(limits)) for name, limits in one.limits.items()},
        "trajectory": one.trajectory,
        "parallelImaging": {
            "accelerationFactor": dict(zip(steps, one.acceleration, strict=True)),
            "calibrationMode": one.calibration_mode,
            "multiband": None if one.multiband is None else {"multiband_factor": one.multiband},
        },
        "echoTrainLength": one.echo_train_length,
    }


def _space(one: Space) -> dict[str, Any]:
    return {
        "matrixSize": dict(zip(AXES, one.matrix, strict=True)),
        "fieldOfView_mm": dict(zip(AXES, one.field_of_view, strict=True)),
    }
