"""Headers and masks tell how planes were sampled as their Samples do, and without torch."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from mrirecon.data.packing import pack
from mrirecon.errors import RawDataError
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.readers import open_scan
from mrirecon.sampling.sampled_plane import CartesianPlane
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.types import Sample
from tests.readers import array_files as arrays, twix_files
from tests.readers.mrd2_files import version2
from tests.readers.mrd_files import MrdFile
from tests.readers.test_ge import pfile, true_kspace
from tests.readers.test_ismrmrd_told_otherwise import CALIBRATION, FOV, File, Space
from tests.readers.test_ismrmrd_volumes import MrdVolume
from tests.readers.test_mrd_stream import serialized

REFERENCE = (AcquisitionFlag.PARALLEL_CALIBRATION,)


def undersampled(*shape):
    """k-space of which every other column is zero but for the middle, and the first is empty."""
    kspace = arrays.random(*shape)
    kspace[..., [n for n in range(shape[-1]) if n % 2 and abs(n - shape[-1] // 2) > 3]] = 0
    kspace[0] = 0
    return kspace


def bytes_of(path, content):
    path.write_bytes(content)
    return path


def partial(path):
    """An asymmetric echo, averages, a line of zeros, an empty slice and a reference scan."""
    file = MrdFile((3, 2, 16, 12), xml={"calibration": "separate"})
    file.lines(range(3, 12, 2), keep=slice(10, None)).lines([5, 7], keep=slice(10, None))
    file.lines(range(4, 9), flags=REFERENCE).line(11, 1, gain=0.0).lines(range(0, 12, 3), 1)
    return file.lines(range(12), 2, gain=0.0).write(path)


def over_time(path):
    """Frames that have a centre together only, and a slice that one of them lacks."""
    file = MrdFile((2, 2, 16, 32))
    for frame in range(4):
        for slice_ in range(2 if frame else 1):
            file.lines(range(frame, 32, 4), slice_, repetition=frame)
    return file.write(path)


def other_distances(path):
    """Reference lines of a larger field of view."""
    file = File([Space(), Space((72, 36, 1), (3 * FOV, 1.5 * FOV, 5.0), center=18)])
    file.lines(range(0, 32, 2))
    return file.lines(range(36), 1, flags=CALIBRATION).write(path)


def volume(path):
    """Two phase encodings undersampled, two echoes, a separate reference scan."""
    file = MrdVolume(calibration="separate")
    file.points(lambda y, z: 4 <= y <= 8 and 3 <= z <= 5, flags=REFERENCE)
    for echo in range(2):
        file.points(lambda y, z: (y + z) % 2 == 0, contrast=echo, keep=slice(6, None))
    return file.write(path)


def noisy(path):
    """A channel that is switched off."""
    return MrdFile().noise(np.diag([4.0, 1e-9])).lines().write(path)


def twix(path):
    truth = MrdFile((1, 2, 16, 12))
    return twix_files.write(path, twix_files.imaging(truth, lines=range(0, 12, 2)))


def npz(path):
    mask = np.arange(20) % 3 == 0
    np.savez(path, kspace=arrays.random(2, 3, 16, 20) * mask, mask=mask)
    return path


def npy(path):
    np.save(path, undersampled(3, 2, 32, 20))
    return path


def packed(path):
    source = open_scan(arrays.m4raw(path.with_name("source.h5"), undersampled(3, 2, 32, 20)))
    pack(source, path)
    return path


FILES = {
    "partial.h5": partial,
    "over_time.h5": over_time,
    "other_distances.h5": other_distances,
    "volume.h5": volume,
    "noisy.h5": noisy,
    "stream.mrd": lambda path: bytes_of(path, serialized(MrdFile().lines(range(0, 12, 2)))),
    "version2.mrd": lambda path: bytes_of(path, version2(MrdFile().lines(range(0, 12, 2)))),
    "twix.dat": twix,
    "ge.7": lambda path: pfile(path, true_kspace()) and path,
    "m4raw.h5": lambda path: arrays.m4raw(path, undersampled(3, 2, 32, 20)),
    "prostate.h5": lambda path: arrays.prostate(path, arrays.random(3, 2, 2, 16, 9)),
    "skm_tea.h5": lambda path: arrays.skm_tea(
        path, undersampled(2, 3, 2, 16, 12), arrays.random(3, 2, 16, 12), np.ones((2, 3, 16, 12))
    ),
    "calgary.h5": lambda path: arrays.calgary_campinas(path, arrays.random(3, 12, 16, 20)),
    "cmrxrecon.mat": lambda path: arrays.cmrxrecon(path, "kus", undersampled(2, 2, 2, 32, 20)),
    "npz.npz": npz,
    "npy.npy": npy,
    "packed.h5": packed,
}
LATE = ("packed.h5",)
"""Files whose Samples tell."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled")
    arrays.bart(folder, undersampled(32, 20, 1, 2))
    for name, write in FILES.items():
        write(folder / name)
    return folder


@pytest.mark.parametrize("name", [*FILES, "kspace.cfl"])
def test_headers_and_masks_tell_what_samples_tell(folder, name):
    scan = open_scan(folder / name)
    for index, sample in enumerate(scan):
        told, found = scan.sampled(index), sampled_plane_of(sample)
        assert isinstance(told, CartesianPlane) and np.array_equal(told.mask, found.mask)
        for field in ("shape", "signal", "reference", "number", "acs"):
            assert getattr(told, field) == getattr(found, field), field


def test_reference_scans_and_empty_planes_are_among_them(folder):
    """So that the comparison above compares something."""
    seen = {"partial.h5": (16, 5), "over_time.h5": (16, 32), "volume.h5": (5, 3), "m4raw.h5": None}
    scans = {name: open_scan(folder / name) for name in seen}
    assert {name: scan.sampled(0).reference for name, scan in scans.items()} == seen
    signal = [scans["m4raw.h5"].sampled(index).signal for index in range(3)]
    assert signal == [False, True, True]


def test_what_is_damaged_beside_k_space_is_refused_as_by_samples(tmp_path):
    path = arrays.m4raw(tmp_path / "m4raw.h5", arrays.random(3, 2, 16, 16))
    with h5py.File(path, "a") as file:
        file["reconstruction_rss"][1] = np.nan
    scan = open_scan(path)
    for told in (scan.sampled, scan.__getitem__):
        with pytest.raises(RawDataError, match="not finite"):
            told(1)


def test_planes_sampled_alike_have_masks_and_references_alike():
    kspace, mask = torch.ones(1, 4, 6, dtype=torch.complex64), torch.ones(1, 6, dtype=torch.bool)
    plane = sampled_plane_of(Sample(kspace, mask))
    assert plane.alike(sampled_plane_of(Sample(2 * kspace, mask)))
    assert not plane.alike(sampled_plane_of(Sample(kspace, torch.arange(6)[None] > 1)))
    assert not plane.alike(sampled_plane_of(Sample(kspace, mask, calibration=kspace)))


def test_inspection_imports_neither_torch_nor_what_draws(folder):
    code = """
import sys
from mrirecon.inspection import as_text, inspect_file
for path in sys.argv[1:]:
    as_text(inspect_file(path))
    if found := {"torch", "matplotlib", "scipy.integrate", "sigpy"} & set(sys.modules):
        sys.exit(f"{path}: {found}")
"""
    files = [folder / name for name in FILES if name not in LATE]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
