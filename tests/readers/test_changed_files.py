"""A scan that was opened refuses to read from a file that is not the same any more."""

import os
import pickle
import resource
import shutil

import numpy as np
import pytest

from mrirecon.data.folder import Folder
from mrirecon.data.packing import pack
from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from tests.readers.array_files import bart, old_mat, random, write_hdf5
from tests.readers.mrd_files import MrdFile

KSPACE = random(3, 2, 8, 6)


def fastmri(folder, values):
    return write_hdf5(folder / "a.h5", kspace=values)


def numpy(folder, values):
    np.save(folder / "a.npy", values)
    return folder / "a.npy"


def archive(folder, values):
    np.savez(folder / "a.npz", kspace=values)
    return folder / "a.npz"


def matlab(folder, values):
    return old_mat(folder / "a.mat", "kspace", values)


def packed(folder, values):
    source = write_hdf5(folder / "source", kspace=values)
    (folder / "p.h5").unlink(missing_ok=True)
    pack(open_scan(source), folder / "p.h5")
    return folder / "p.h5"


def ismrmrd(folder, values):
    file = MrdFile(shape=values.shape, seed=int(abs(values).sum()) % 1000)
    for slice_ in range(len(values)):
        file.lines(slice_=slice_)
    (folder / "m.h5").unlink(missing_ok=True)
    file.write(folder / "m.h5")
    return folder / "m.h5"


def data_of_bart(folder, values):
    slices, coils, h, w = values.shape
    return bart(folder, values.transpose(2, 3, 1, 0).reshape(h, w, 1, coils, *[1] * 9, slices))


FORMATS = (fastmri, numpy, archive, matlab, packed, ismrmrd, data_of_bart)


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("change", ["replaced", "written", "touched", "shorter", "removed"])
def test_changed_files_are_refused(tmp_path, write, change):
    path = write(tmp_path, KSPACE)
    scan = open_scan(path)
    kept = scan[1].kspace.clone()
    copy = pickle.loads(pickle.dumps(scan))
    assert copy[1].kspace.equal(kept)
    before = path.stat()
    if change == "replaced":  # by one of the same size and time
        shutil.copy2(path, tmp_path / "copy")
        (tmp_path / "copy").replace(path)
    elif change == "written":
        write(tmp_path, KSPACE[:2])
    elif change == "touched":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "shorter":
        os.truncate(path, before.st_size // 2)
    else:
        path.unlink()
    reason = rf"{path.with_suffix('')}\.\w+: (was changed since|cannot be read any more)"
    for one in (scan, copy):
        with pytest.raises(RawDataError, match=reason):
            one[1]
    with pytest.raises(IndexError):
        scan[99]


def test_a_file_that_belongs_to_a_scan_counts(tmp_path):
    noise = tmp_path / "noise.h5"
    MrdFile().noise(np.eye(2), count=64).lines().write(noise)
    MrdFile().lines().write(tmp_path / "a.h5")
    scan = open_scan(tmp_path / "a.h5", ReadOptions(noise=str(noise)))
    os.utime(noise, (1, 1))
    with pytest.raises(RawDataError, match=f"{noise}: was changed"):
        scan[0]


@pytest.mark.parametrize("write", [numpy, fastmri, packed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_mapped_scans_keep_no_file_open(tmp_path, write, order):
    path = write(tmp_path, np.asarray(KSPACE, order=order))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limit[1]))
    try:
        scans = [open_scan(path) for _ in range(60)]
        assert all(np.array_equal(scan[2].kspace, KSPACE[2]) for scan in scans)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    scans[0][0].kspace.zero_()
    assert np.array_equal(scans[1][0].kspace, KSPACE[0])  # the file stays as it is


def test_a_scan_of_a_folder_that_tells_something_else_is_refused(tmp_path):
    path = fastmri(tmp_path, KSPACE)
    (scan,) = Folder(tmp_path)
    fastmri(tmp_path, random(3, 2, 8, 6, seed=4))
    assert scan[0].kspace.equal(open_scan(path)[0].kspace)
    fastmri(tmp_path, KSPACE[:2])
    with pytest.raises(RawDataError, match="slices was 3, is 2"):
        scan[0]
    path.unlink()
    with pytest.raises(RawDataError, match="cannot be read any more"):
        scan[0]


def test_a_missing_part_that_was_put_there_is_seen(tmp_path):
    data = data_of_bart(tmp_path, KSPACE)
    data.rename(tmp_path.parent / "data")
    with pytest.raises(RawDataError, match="is missing beside it"):
        Folder(tmp_path)
    (tmp_path.parent / "data").rename(data)
    assert len(Folder(tmp_path)) == 1
