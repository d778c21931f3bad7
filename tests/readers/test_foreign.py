import pytest

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan


@pytest.mark.parametrize("name", ["fid", "ser", "rawdata.job0"])
def test_bruker_is_named_for_the_folder_and_its_data(tmp_path, name):
    for other in (name, "acqp", "method"):
        (tmp_path / other).write_bytes(b"\x01" * 64)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(RawDataError, match=r"Bruker ParaVision .* brukerapi"):
            open_scan(path)


@pytest.mark.parametrize("names", [("A.RAW", "A.LAB", "A.SIN"), ("a.data", "a.list")])
def test_philips_is_named(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"\x01" * 64)
    with pytest.raises(RawDataError, match=r"Philips raw data .* philips_to_ismrmrd"):
        open_scan(tmp_path / names[0])


def test_philips_list_files_by_their_first_line(tmp_path):
    path = tmp_path / "scan.txt"
    path.write_bytes(b"# === DATA DESCRIPTION FILE =====================\n#\n")
    with pytest.raises(RawDataError, match="Philips"):
        open_scan(path)


def test_other_unknown_files_and_folders_are_described_as_before(tmp_path):
    (tmp_path / "lonely.raw").write_bytes(b"\x01" * 64)
    with pytest.raises(RawDataError, match="no HDF5 file, it starts with"):
        open_scan(tmp_path / "lonely.raw")
    with pytest.raises(RawDataError, match="is a folder with 1 files"):
        open_scan(tmp_path)
