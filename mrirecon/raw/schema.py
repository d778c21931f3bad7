"""The names in ``ismrmrd.xsd``, to tell a user what in a header is not part of the standard."""

from xml.etree.ElementTree import Element

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
NUMBERS = """
x y z minimum maximum center kspace_encoding_step_1 kspace_encoding_step_2 multiband_factor dZ
deltaKz echoTrainLength systemFieldStrength_T relativeReceiverNoiseBandwidth receiverChannels
coilNumber H1resonanceFrequency_Hz TR TE TI flipAngle_deg echo_spacing rl ap fh bvalue
patientWeight_kg patientHeight_m initialSeriesNumber
"""
OTHERS = """
ismrmrdHeader version subjectInformation patientName patientID patientBirthdate patientGender
studyInformation studyDate studyTime studyID accessionNumber referringPhysicianName
studyDescription studyInstanceUID bodyPartExamined measurementInformation measurementID
seriesDate seriesTime patientPosition relativeTablePosition protocolName sequenceName
seriesDescription measurementDependency dependencyType seriesInstanceUIDRoot
frameOfReferenceUID referencedImageSequence referencedSOPInstanceUID
acquisitionSystemInformation systemVendor systemModel coilLabel coilName institutionName
stationName deviceID deviceSerialNumber experimentalConditions encoding encodedSpace reconSpace
matrixSize fieldOfView_mm encodingLimits kspace_encoding_step_0 average slice contrast phase
repetition set segment user_0 user_1 user_2 user_3 user_4 user_5 user_6 user_7 trajectory
trajectoryDescription identifier userParameterLong userParameterDouble userParameterString
userParameterBase64 comment name value parallelImaging accelerationFactor calibrationMode
interleavingDimension multiband spacing calibration calibration_encoding sequenceParameters
sequence_type diffusionDimension diffusion diffusionScheme gradientDirection userParameters
waveformInformation waveformName waveformType
"""
_NUMBERS = frozenset(NUMBERS.split())
_NAMES = _NUMBERS | frozenset(OTHERS.split())


def unknown_content(root: Element) -> list[str]:
    """Say what a header holds that the standard does not know, before namespaces are removed."""
    unknown, bad, spaces = set(), [], set()
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        space, _, name = element.tag.rpartition("}")
        spaces.add(space.lstrip("{"))
        text = (element.text or "").strip()
        if name not in _NAMES:
            unknown.add(name)
        elif name in _NUMBERS and not len(element) and not _is_number(text):
            bad.append(f"{name} {text[:20]!r}")
    notes = []
    if unknown:
        notes.append(
            "Elements of the XML header that are not in the ISMRMRD standard were ignored: "
            f"{', '.join(sorted(unknown))}."
        )
    if bad:
        notes.append(f"Elements of the XML header that are no numbers were ignored: {_some(bad)}.")
    if spaces != {NAMESPACE}:
        found = ", ".join(sorted(space or "none" for space in spaces))
        notes.append(f"The XML header's namespace is {found}, expected {NAMESPACE}: read anyway.")
    return notes


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _some(items: list[str]) -> str:
    return ", ".join(items[:6]) + (", …" if len(items) > 6 else "")
