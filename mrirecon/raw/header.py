"""The XML header of ISMRMRD and fastMRI files, read tolerantly.

The official schema parser refuses a file for one unknown element or a missing namespace, although
nothing that a reconstruction needs is affected. Here namespaces and unknown elements are ignored,
and what is missing or not a number is None. Nothing is *believed* here either: the header is
compared with the readouts in :mod:`mrirecon.raw.kspace_grid`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from xml.etree import ElementTree

from mrirecon.errors import RawDataError
from mrirecon.raw.schema import unknown_content
from mrirecon.scan import SequenceParameters

Number = TypeVar("Number", int, float)
VENC = ("venc", "venccms", "flowvenc", "velocityencoding")
"""What user parameters with the velocity of a flow encoding are called, in cm/s."""


@dataclass(frozen=True)
class Space:
    """A k-space or image grid: ``matrix`` in samples and ``field_of_view`` in mm, (x, y, z).

    None where the header does not tell or tells a number that is not positive.
    """

    matrix: tuple[int | None, int | None, int | None] = (None, None, None)
    field_of_view: tuple[float | None, float | None, float | None] = (None, None, None)


@dataclass(frozen=True)
class Limits:
    """Range of one counter, ``maximum`` included, and the value that encodes k = 0."""

    minimum: int | None = None
    maximum: int | None = None
    center: int | None = None


@dataclass(frozen=True)
class Encoding:
    """One ``<encoding>``: how a set of readouts fills k-space.

    Attributes:
        encoded: Grid that the scanner filled, readout oversampling included.
        recon: Grid of the image.
        limits: Counter ranges by element name, for instance ``kspace_encoding_step_1``.
        trajectory: Lower case; ``cartesian`` when the header does not tell.
        acceleration: Undersampling factors along the two phase-encoding axes.
        calibration_mode: ``embedded``, ``separate``, ``interleaved``, ``external``, ``other``.
        echo_train_length: Echoes per excitation.
        multiband: Number of simultaneously excited slices.
    """

    encoded: Space = Space()
    recon: Space = Space()
    limits: Mapping[str, Limits] = field(default_factory=dict)
    trajectory: str = "cartesian"
    acceleration: tuple[float | None, float | None] = (None, None)
    calibration_mode: str | None = None
    echo_train_length: int | None = None
    multiband: int | None = None


@dataclass(frozen=True)
class MeasurementHeader:
    """What the XML header tells about a measurement.

    Attributes:
        encodings: Encodings of the measurement, one or more.
        vendor: System vendor as written in the header.
        model: Model of the system as written in the header.
        field_strength: Field strength in T.
        noise_bandwidth: Relative receiver noise bandwidth.
        coil_labels: Coil names by coil number; noise and image scans may order coils differently.
        repetition_times, echo_times, inversion_times: Repetition, echo and inversion times in ms.
        flip_angles: Flip angles in degrees.
        protocol: Name of the protocol.
        subject: Id of the patient.
        measurement: Id of this measurement.
        dependencies: ``(kind, measurement id)``, for instance of the noise scan.
        patient_position: Position of the patient, for instance ``HFS``.
        imaging_frequency: Imaging (Larmor) frequency in MHz.
        velocity_encoding: Velocity in cm/s that turns the phase by half a turn (venc).
        pilot_tone: Whether the outermost samples of each readout hold a pilot tone (cardiac
            navigator).
        notes: Notes about what in the header was ignored, one sentence each.
    """

    encodings: tuple[Encoding, ...] = (Encoding(),)
    vendor: str | None = None
    model: str | None = None
    field_strength: float | None = None
    noise_bandwidth: float | None = None
    coil_labels: Mapping[int, str] = field(default_factory=dict)
    repetition_times: tuple[float, ...] = ()
    echo_times: tuple[float, ...] = ()
    inversion_times: tuple[float, ...] = ()
    flip_angles: tuple[float, ...] = ()
    protocol: str | None = None
    subject: str | None = None
    measurement: str | None = None
    dependencies: tuple[tuple[str, str], ...] = ()
    patient_position: str | None = None
    imaging_frequency: float | None = None
    velocity_encoding: float | None = None
    pilot_tone: bool = False
    notes: tuple[str, ...] = ()

    @property
    def sequence(self) -> SequenceParameters:
        """The first of each list: the parameters of a scan with a single contrast."""
        return SequenceParameters(
            repetition_time=next(iter(self.repetition_times), None),
            echo_time=next(iter(self.echo_times), None),
            inversion_time=next(iter(self.inversion_times), None),
            flip_angle=next(iter(self.flip_angles), None),
            field_strength=self.field_strength,
            imaging_frequency=self.imaging_frequency,
            velocity_encoding=self.velocity_encoding,
        )


LARGEST_XML = 2**25
"""Bytes of a header; those of scanners have less than a hundredth of it."""


def parse_header(xml: str | bytes) -> MeasurementHeader:
    """Parse an ISMRMRD XML header.

    Raises:
        RawDataError: When the text is not XML or has no ``<encoding>``.
    """
    if len(xml) > LARGEST_XML:
        raise RawDataError(
            f"the XML header has {len(xml)} bytes, expected at most {LARGEST_XML}: it is damaged; "
            "convert the file again"
        )
    text = xml.decode("utf-8", errors="replace") if isinstance(xml, bytes) else xml
    text = text.strip("\x00\ufeff \t\r\n")
    if text.startswith("<?xml"):  # an encoding declaration no longer holds for decoded text
        text = text[text.find("?>") + 2 :]
    if "<!DOCTYPE" in text:  # its entities may expand without bounds
        raise RawDataError(
            "the XML header declares a document type (<!DOCTYPE …>), which no ISMRMRD header does; "
            "convert the file again"
        )
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise RawDataError(
            f"the XML header cannot be parsed ({error}); it starts with {text[:60]!r}. "
            "Expected an ISMRMRD header, <ismrmrdHeader>…; convert the file again"
        ) from error
    notes = unknown_content(root)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return header_of(root, tuple(notes))


def header_of(
    root: ElementTree.Element, notes: tuple[str, ...] = (), form: str = "XML"
) -> MeasurementHeader:
    """Return what the elements of a header tell.

    Args:
        root: Root of the header, with names as ISMRMRD has them, without namespaces.
        notes: Notes about what in it was ignored, one sentence each.
        form: Form in which the header came, for the message.

    Raises:
        RawDataError: When there is no ``<encoding>``.
    """
    encodings = tuple(_encoding(element) for element in root.findall("encoding"))
    if not encodings:
        found = ", ".join(sorted({str(child.tag) for child in root})) or "nothing"
        raise RawDataError(
            f"the {form} header <{root.tag}> has no <encoding> (found: {found}). "
            "Without it the k-space grid is unknown; convert the file again"
        )
    labels = {
        number: name
        for label in root.iterfind("acquisitionSystemInformation/coilLabel")
        if (number := _number(label, "coilNumber", int)) is not None
        and (name := _text(label, "coilName")) is not None
    }
    dependencies = tuple(
        (_text(element, "dependencyType") or "", _text(element, "measurementID") or "")
        for element in root.iterfind("measurementInformation/measurementDependency")
    )
    system, sequence = "acquisitionSystemInformation", "sequenceParameters"
    return MeasurementHeader(
        encodings=encodings,
        vendor=_text(root, f"{system}/systemVendor"),
        model=_text(root, f"{system}/systemModel"),
        field_strength=_number(root, f"{system}/systemFieldStrength_T", float),
        noise_bandwidth=_number(root, f"{system}/relativeReceiverNoiseBandwidth", float),
        coil_labels=labels,
        repetition_times=_numbers(root, f"{sequence}/TR"),
        echo_times=_numbers(root, f"{sequence}/TE"),
        inversion_times=_numbers(root, f"{sequence}/TI"),
        flip_angles=_numbers(root, f"{sequence}/flipAngle_deg"),
        protocol=_text(root, "measurementInformation/protocolName"),
        subject=_text(root, "subjectInformation/patientID"),
        measurement=_text(root, "measurementInformation/measurementID"),
        dependencies=dependencies,
        patient_position=_text(root, "measurementInformation/patientPosition"),
        imaging_frequency=_megahertz(root),
        velocity_encoding=_velocity_encoding(root),
        pilot_tone=any(
            _text(parameter, "name") == "PilotTone" and _number(parameter, "value", int) == 1
            for parameter in root.iterfind("userParameters/userParameterLong")
        ),
        notes=notes,
    )


def _megahertz(root: ElementTree.Element) -> float | None:
    hertz = _number(root, "experimentalConditions/H1resonanceFrequency_Hz", float)
    return hertz / 1e6 if hertz is not None and hertz > 0 else None


def _velocity_encoding(root: ElementTree.Element) -> float | None:
    """Return what a user parameter tells, of any type; None unless it is a velocity above zero."""
    for parameter in root.iterfind("userParameters/*"):
        name = (_text(parameter, "name") or "").lower().replace("_", "")
        value = _number(parameter, "value", float)
        if name in VENC and value is not None and value > 0:
            return value
    return None


def _encoding(element: ElementTree.Element) -> Encoding:
    parallel = "parallelImaging"
    limits = element.find("encodingLimits")
    return Encoding(
        encoded=_space(element, "encodedSpace"),
        recon=_space(element, "reconSpace"),
        limits={
            str(child.tag): Limits(
                *(_number(child, name, int) for name in ("minimum", "maximum", "center"))
            )
            for child in (limits if limits is not None else ())
        },
        trajectory=(_text(element, "trajectory") or "cartesian").lower(),
        acceleration=(
            _number(element, f"{parallel}/accelerationFactor/kspace_encoding_step_1", float),
            _number(element, f"{parallel}/accelerationFactor/kspace_encoding_step_2", float),
        ),
        calibration_mode=(_text(element, f"{parallel}/calibrationMode") or "").lower() or None,
        echo_train_length=_number(element, "echoTrainLength", int),
        multiband=_number(element, f"{parallel}/multiband/multiband_factor", int),
    )


def _space(element: ElementTree.Element, name: str) -> Space:
    def positive(path: str, kind: type[Number]) -> Number | None:
        value = _number(element, f"{name}/{path}", kind)
        return value if value is not None and value > 0 else None

    matrix = (
        positive("matrixSize/x", int),
        positive("matrixSize/y", int),
        positive("matrixSize/z", int),
    )
    extent = (
        positive("fieldOfView_mm/x", float),
        positive("fieldOfView_mm/y", float),
        positive("fieldOfView_mm/z", float),
    )
    return Space(matrix, extent)


def _text(element: ElementTree.Element, path: str) -> str | None:
    text = element.findtext(path)
    return text.strip() or None if text is not None else None


def _number(element: ElementTree.Element, path: str, kind: type[Number]) -> Number | None:
    return _parse(_text(element, path), kind)


def _numbers(element: ElementTree.Element, path: str) -> tuple[float, ...]:
    values = (_parse(child.text, float) for child in element.iterfind(path))
    return tuple(value for value in values if value is not None)


def _parse(text: str | None, kind: type[Number]) -> Number | None:
    try:
        value = float(text or "")
        return kind(value) if abs(value) < 1e9 else None  # also refuses nan and infinity
    except ValueError:
        return None
