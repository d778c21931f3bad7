"""Siemens' readout headers as ISMRMRD's, and their flag bits as ISMRMRD's flags."""

import numpy as np
from jaxtyping import Float64, UInt64

from mrirecon.raw.mrd_records import ACQUISITION_HEADER, AcquisitionFlag
from mrirecon.raw.readouts import Heads
from mrirecon.readers.siemens.file import Mdh

FLAGS = {
    1: (AcquisitionFlag.NAVIGATION_DATA, AcquisitionFlag.RTFEEDBACK_DATA),
    2: (AcquisitionFlag.HPFEEDBACK_DATA,),
    11: (AcquisitionFlag.LAST_IN_REPETITION, AcquisitionFlag.LAST_IN_MEASUREMENT),
    14: (AcquisitionFlag.PHASE_STABILIZATION_REFERENCE,),
    15: (AcquisitionFlag.PHASE_STABILIZATION,),
    21: (AcquisitionFlag.PHASECORR_DATA,),
    24: (AcquisitionFlag.REVERSE,),
    25: (AcquisitionFlag.NOISE_MEASUREMENT,),
    28: (AcquisitionFlag.FIRST_IN_SLICE,),
    29: (AcquisitionFlag.LAST_IN_SLICE,),
    35: (AcquisitionFlag.SURFACECOILCORRECTIONSCAN_DATA,),
    46: (AcquisitionFlag.LAST_IN_MEASUREMENT,),
    51: (AcquisitionFlag.DUMMYSCAN_DATA,),
}
"""Flags by MDH bit, as siemens_to_ismrmrd sets them, with two exceptions.

Bit 10 (RAWDATACORRECTION) is no prescan: turbo spin echo sets it on every imaging line. Bit 35
(CT_NORMALIZE) is the prescan that normalises the image intensity.
"""
PATREFSCAN, PATREFANDIMASCAN = 22, 23
SLICE_ACCEL_REFSCAN = 38

COUNTERS = {
    "kspace_encode_step_1": "Lin",
    "kspace_encode_step_2": "Par",
    "average": "Ave",
    "slice": "Sli",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
    "segment": "Seg",
}
USER_COUNTERS = ("Ida", "Idb", "Idc", "Idd", "Ide")


def has_bit(mdh: Mdh, bit: int) -> np.ndarray:
    """Return which readouts have an MDH bit set."""
    return (mdh["EvalInfoMask"] >> np.uint64(bit) & np.uint64(1)).astype(bool)


def convert(mdh: Mdh, dwell: float, noise_dwell: float) -> Heads:
    """Convert readout headers.

    The centre line and partition go to ``user[5]`` and ``user[6]``, as the usual converter has it.

    Args:
        mdh: Readout headers as Siemens writes them.
        dwell: Sampling interval of image readouts in µs, 0 when unknown.
        noise_dwell: Sampling interval of noise readouts in µs, 0 when unknown.
    """
    heads = np.zeros(len(mdh), ACQUISITION_HEADER)
    heads["version"] = 1
    heads["flags"] = flags(mdh)
    heads["measurement_uid"] = mdh["MeasUID"].astype(np.uint32)
    heads["scan_counter"] = mdh["ScanCounter"]
    heads["acquisition_time_stamp"] = mdh["TimeStamp"]
    heads["physiology_time_stamp"][:, 0] = mdh["PMUTimeStamp"]
    heads["number_of_samples"] = mdh["SamplesInScan"]
    heads["available_channels"] = heads["active_channels"] = mdh["UsedChannels"]
    heads["discard_pre"], heads["discard_post"] = mdh["CutOff"]["Pre"], mdh["CutOff"]["Post"]
    heads["center_sample"] = mdh["CenterCol"]
    heads["sample_time_us"] = np.where(has_bit(mdh, 25), noise_dwell, dwell)
    position = mdh["SliceData"]["SlicePos"]
    heads["position"] = np.stack([position[axis] for axis in ("Sag", "Cor", "Tra")], axis=1)
    phase, read, normal = directions(mdh["SliceData"]["Quaternion"].astype(np.float64))
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = read, phase, normal
    table = ("PTABPosX", "PTABPosY", "PTABPosZ")
    if "PTABPosX" in (mdh.dtype.names or ()):
        heads["patient_table_position"] = np.stack([mdh[axis] for axis in table], axis=1)
    else:
        heads["patient_table_position"][:, 2] = mdh["PTABPosNeg"].astype(np.int16)
    for ours, theirs in COUNTERS.items():
        heads["idx"][ours] = mdh["Counter"][theirs]
    for place, name in enumerate(USER_COUNTERS):
        heads["idx"]["user"][:, place] = mdh["Counter"][name]
    heads["idx"]["user"][:, 5], heads["idx"]["user"][:, 6] = mdh["CenterLin"], mdh["CenterPar"]
    parameters = mdh["IceProgramPara"][:, :7]
    heads["user_int"][:, : parameters.shape[1]] = parameters
    heads["user_int"][:, 7] = mdh["TimeSinceLastRF"]
    return heads


def flags(mdh: Mdh) -> UInt64[np.ndarray, "readout"]:
    """Translate the flag bits; a reference line that is an image line too gets only that flag."""
    result = np.zeros(len(mdh), np.uint64)
    for bit, names in FLAGS.items():
        for name in names:
            result[has_bit(mdh, bit)] |= np.uint64(name.mask)
    both = has_bit(mdh, PATREFANDIMASCAN)
    only = has_bit(mdh, PATREFSCAN) & ~both
    result[both] |= np.uint64(AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING.mask)
    result[only] |= np.uint64(AcquisitionFlag.PARALLEL_CALIBRATION.mask)
    return result


def directions(
    quaternion: Float64[np.ndarray, "n 4"],
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Return the directions of phase encoding, readout and slice in LPS: the rotation's columns.

    They are zero, hence unknown, where the quaternion is no rotation.
    """
    rotation = np.abs(np.square(quaternion).sum(1) - 1.0) < 0.01
    w, x, y, z = np.where(rotation[:, None], quaternion, 0.0).T
    phase = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], axis=1)
    read = np.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], axis=1)
    normal = np.stack([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)], axis=1)
    known = rotation[:, None]
    return phase * known, read * known, normal * known
