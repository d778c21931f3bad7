"""The on-disk record of ISMRMRD / MRD version 1 images: the header's numpy dtype and its codes.

Field names, sizes and offsets are those of ``ismrmrd_image.h`` and of the HDF5 files that the
reference library writes. Packed and little endian: 198 bytes.
"""

import numpy as np

IMAGE_HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("data_type", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("matrix_size", "<u2", (3,)),
        ("field_of_view", "<f4", (3,)),
        ("channels", "<u2"),
        ("position", "<f4", (3,)),
        ("read_dir", "<f4", (3,)),
        ("phase_dir", "<f4", (3,)),
        ("slice_dir", "<f4", (3,)),
        ("patient_table_position", "<f4", (3,)),
        ("average", "<u2"),
        ("slice", "<u2"),
        ("contrast", "<u2"),
        ("phase", "<u2"),
        ("repetition", "<u2"),
        ("set", "<u2"),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", (3,)),
        ("image_type", "<u2"),
        ("image_index", "<u2"),
        ("image_series_index", "<u2"),
        ("user_int", "<i4", (8,)),
        ("user_float", "<f4", (8,)),
        ("attribute_string_len", "<u4"),
    ]
)

DATA_TYPE_SHORT = 2
DATA_TYPE_FLOAT = 5
IMAGE_TYPE_MAGNITUDE = 1
DATA_TYPE_COMPLEX = 7
IMAGE_TYPE_COMPLEX = 5
COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])
"""How the reference library stores complex pixels in HDF5."""
