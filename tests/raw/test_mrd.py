import pytest

from mrirecon.raw import mrd_records as mrd
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, ENCODING_COUNTERS, AcquisitionFlag


def test_sizes():
    assert (ACQUISITION_HEADER.itemsize, ENCODING_COUNTERS.itemsize) == (340, 34)


def test_layout_of_the_reference_library():
    reference = pytest.importorskip("ismrmrd.hdf5")
    for ours, theirs in (
        (ACQUISITION_HEADER, reference.acquisition_header_dtype),
        (ENCODING_COUNTERS, reference.encoding_counters_dtype),
        (mrd.ACQUISITION, reference.acquisition_dtype),
    ):
        assert ours.names == theirs.names
        for name in ours.names:
            assert ours.fields[name][1] == theirs.fields[name][1]  # offsets
        assert ours == theirs


def test_flags_of_the_reference_library():
    ismrmrd = pytest.importorskip("ismrmrd")
    for flag in AcquisitionFlag:
        names = [f"ACQ_{flag.name}", f"ACQ_IS_{flag.name}"]
        numbers = [getattr(ismrmrd, name) for name in names if hasattr(ismrmrd, name)]
        assert numbers == [flag.value]


def test_masks_are_bits_not_numbers():
    assert AcquisitionFlag.NOISE_MEASUREMENT.mask == 1 << 18
    assert AcquisitionFlag.USER8.mask == 1 << 63
    not_image = {number for number in range(1, 65) if mrd.NOT_IMAGE_MASK >> (number - 1) & 1}
    assert not_image == {19, 23, 24, 26, 27, 28, 29, 30, 31}
    assert hex(mrd.COMPRESSION_MASK) == hex(0b1111 << 52)
