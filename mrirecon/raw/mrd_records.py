"""The on-disk records of ISMRMRD / MRD version 1: numpy dtypes and acquisition flags.

Field names, sizes and offsets are those of ``ismrmrd_acquisition.h`` and of the HDF5 files that the
reference library writes (Inati et al., Magn Reson Med 77:411, 2017). Everything is packed and
little endian: the acquisition header takes 340 bytes, its encoding counters 34.
"""

from enum import IntEnum

import h5py
import numpy as np

ENCODING_COUNTERS = np.dtype(
    [
        ("kspace_encode_step_1", "<u2"),
        ("kspace_encode_step_2", "<u2"),
        ("average", "<u2"),
        ("slice", "<u2"),
        ("contrast", "<u2"),
        ("phase", "<u2"),
        ("repetition", "<u2"),
        ("set", "<u2"),
        ("segment", "<u2"),
        ("user", "<u2", (8,)),
    ]
)

ACQUISITION_HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("scan_counter", "<u4"),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", (3,)),
        ("number_of_samples", "<u2"),
        ("available_channels", "<u2"),
        ("active_channels", "<u2"),
        ("channel_mask", "<u8", (16,)),
        ("discard_pre", "<u2"),
        ("discard_post", "<u2"),
        ("center_sample", "<u2"),
        ("encoding_space_ref", "<u2"),
        ("trajectory_dimensions", "<u2"),
        ("sample_time_us", "<f4"),
        ("position", "<f4", (3,)),
        ("read_dir", "<f4", (3,)),
        ("phase_dir", "<f4", (3,)),
        ("slice_dir", "<f4", (3,)),
        ("patient_table_position", "<f4", (3,)),
        ("idx", ENCODING_COUNTERS),
        ("user_int", "<i4", (8,)),
        ("user_float", "<f4", (8,)),
    ]
)

ACQUISITION = np.dtype(
    [
        ("head", ACQUISITION_HEADER),
        ("traj", h5py.vlen_dtype(np.dtype("<f4"))),
        ("data", h5py.vlen_dtype(np.dtype("<f4"))),
    ]
)
"""One row of the HDF5 dataset ``data``: ``traj`` is (sample, dimension), ``data`` is
(channel, sample, real/imaginary), both flattened."""


class AcquisitionFlag(IntEnum):
    """Acquisition flags by bit number, which counts from 1; :attr:`mask` is what is stored."""

    FIRST_IN_ENCODE_STEP1 = 1
    LAST_IN_ENCODE_STEP1 = 2
    FIRST_IN_ENCODE_STEP2 = 3
    LAST_IN_ENCODE_STEP2 = 4
    FIRST_IN_AVERAGE = 5
    LAST_IN_AVERAGE = 6
    FIRST_IN_SLICE = 7
    LAST_IN_SLICE = 8
    FIRST_IN_CONTRAST = 9
    LAST_IN_CONTRAST = 10
    FIRST_IN_PHASE = 11
    LAST_IN_PHASE = 12
    FIRST_IN_REPETITION = 13
    LAST_IN_REPETITION = 14
    FIRST_IN_SET = 15
    LAST_IN_SET = 16
    FIRST_IN_SEGMENT = 17
    LAST_IN_SEGMENT = 18
    NOISE_MEASUREMENT = 19
    PARALLEL_CALIBRATION = 20
    PARALLEL_CALIBRATION_AND_IMAGING = 21
    REVERSE = 22
    NAVIGATION_DATA = 23
    PHASECORR_DATA = 24
    LAST_IN_MEASUREMENT = 25
    HPFEEDBACK_DATA = 26
    DUMMYSCAN_DATA = 27
    RTFEEDBACK_DATA = 28
    SURFACECOILCORRECTIONSCAN_DATA = 29
    PHASE_STABILIZATION_REFERENCE = 30
    PHASE_STABILIZATION = 31
    COMPRESSION1 = 53
    COMPRESSION2 = 54
    COMPRESSION3 = 55
    COMPRESSION4 = 56
    USER1 = 57
    USER2 = 58
    USER3 = 59
    USER4 = 60
    USER5 = 61
    USER6 = 62
    USER7 = 63
    USER8 = 64

    @property
    def mask(self) -> int:
        """The bit as it stands in the ``flags`` field: ``1 << (number - 1)``."""
        return 1 << (self.value - 1)


def flag_mask(*flags: AcquisitionFlag) -> int:
    """Return the union of the masks of ``flags``."""
    union = 0
    for flag in flags:
        union |= flag.mask
    return union


NOT_IMAGE = (
    AcquisitionFlag.NOISE_MEASUREMENT,
    AcquisitionFlag.NAVIGATION_DATA,
    AcquisitionFlag.PHASECORR_DATA,
    AcquisitionFlag.HPFEEDBACK_DATA,
    AcquisitionFlag.DUMMYSCAN_DATA,
    AcquisitionFlag.RTFEEDBACK_DATA,
    AcquisitionFlag.SURFACECOILCORRECTIONSCAN_DATA,
    AcquisitionFlag.PHASE_STABILIZATION_REFERENCE,
    AcquisitionFlag.PHASE_STABILIZATION,
)
"""Kinds of readouts that never enter the image, whatever other flags they carry."""

NOT_IMAGE_MASK = flag_mask(*NOT_IMAGE)

COMPRESSION_MASK = flag_mask(
    AcquisitionFlag.COMPRESSION1,
    AcquisitionFlag.COMPRESSION2,
    AcquisitionFlag.COMPRESSION3,
    AcquisitionFlag.COMPRESSION4,
)
