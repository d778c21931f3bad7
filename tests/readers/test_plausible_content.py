"""The same defect in every format is told in the same words."""

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import ifft
from mrirecon.image import center_fit
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from tests.readers.array_files import bart, write_hdf5, xml
from tests.readers.mrd_files import MrdFile
from tests.readers.test_ge import pfile
from tests.readers.test_mrd_stream import serialized
from tests.readers.test_plain_arrays import stack
from tests.readers.twix_files import imaging, write

H, W = 48, 40


def measured(oversampled, **header):
    """A measurement of given k-space (slice, coil, 2 h, w)."""
    file = MrdFile(shape=(*oversampled.shape[:2], H, W), xml=header)
    file.oversampled = np.ascontiguousarray(oversampled, np.complex64)
    return file


def twice(kspace):
    """The same image with a readout of twice the field of view."""
    image = ifft(torch.from_numpy(kspace))
    image = center_fit(image, (2 * H, W))
    return np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(image.numpy(), (-2, -1)), norm="ortho"), (-2, -1)
    )


def npy(folder, kspace, **_):
    np.save(folder / "a.npy", kspace)
    return folder / "a.npy"


def hdf5(folder, kspace, **header):
    header = {"view_y": 2 * W, "view_x": 2 * H} | header
    header = xml(full=H, w=W, maximum=W - 1, center=W // 2, **header).encode()
    return write_hdf5(folder / "a.h5", kspace=kspace, ismrmrd_header=header)


def cfl(folder, kspace, **_):
    dimensions = np.zeros((H, W, 1, kspace.shape[1], *[1] * 9, len(kspace)), np.complex64)
    dimensions[:, :, 0, :, 0, 0, 0, 0, 0, 0, 0, 0, 0] = kspace.transpose(2, 3, 1, 0)
    return bart(folder, dimensions)


def lined(kspace, **header):
    file = measured(kspace, **header)
    for slice_ in range(len(kspace)):
        file.lines(slice_=slice_)
    return file


def mrd(folder, kspace, **header):
    (folder / "a.h5").unlink(missing_ok=True)
    return lined(kspace, **header).write(folder / "a.h5")


def stream(folder, kspace, **header):
    (folder / "a.mrd").write_bytes(serialized(lined(kspace, **header)))
    return folder / "a.mrd"


def twix(folder, kspace, **_):
    return write(folder / "a.dat", imaging(measured(kspace)))


def ge(folder, kspace, **_):
    scaled = np.round(kspace / np.abs(kspace).max() * 30000)
    pfile(folder / "P1.7", scaled.astype(np.complex64), lines=W)
    return folder / "P1.7"


ARRAYS, LINES = (npy, hdf5, cfl), (mrd, stream, twix)
FORMATS = (*ARRAYS, *LINES, ge)


def kspace_for(write_, change=lambda kspace: kspace):
    kspace = twice(stack((H, W))) if write_ in LINES else stack((H, W))
    return change(kspace.astype(np.complex64).copy())


def notes_of(path):
    return open_scan(path).header.notes


def noted(notes, words):
    return any(words in note for note in notes)


SUSPICIONS = ("zero in", "Exactly zero", "no peak", "peaks at", "strongest", "corner", "is only")


@pytest.mark.parametrize("write_", FORMATS)
def test_nothing_is_said_about_a_sound_file(tmp_path, write_):
    path = write_(tmp_path, kspace_for(write_))
    assert [n for n in notes_of(path) for words in SUSPICIONS if words in n] == []


def dead(kspace):
    kspace[:, 2] = 0
    return kspace


def hollow(kspace):
    kspace[0] = 0
    kspace[1, 1] = 0
    return kspace


@pytest.mark.parametrize("write_", FORMATS)
def test_dead_coils_and_empty_slices_are_told_alike(tmp_path, write_):
    notes = notes_of(write_(tmp_path, kspace_for(write_, dead)))
    assert noted(notes, "Coil 2 (counted from 0) is exactly zero in all 3 planes")
    assert not noted(notes, "Exactly zero: ")
    notes = notes_of(write_(tmp_path, kspace_for(write_, hollow)))
    assert noted(notes, "Exactly zero: slice 1 (counted from 1, of 3 slices)")
    assert noted(notes, "Coil 1 (counted from 0) is exactly zero in slice 2, but not in all")


@pytest.mark.parametrize("write_", FORMATS)
@pytest.mark.parametrize("axis", [-2, -1])
def test_a_centre_in_the_corner_is_told_alike(tmp_path, write_, axis):
    path = write_(tmp_path, kspace_for(write_, lambda k: np.fft.ifftshift(k, axis)))
    if write_ is hdf5:  # a public layout, which never is like that
        with pytest.raises(RawDataError, match="its centre is in the corner"):
            open_scan(path)
    else:
        assert noted(notes_of(path), "k-space has its centre in the corner")


@pytest.mark.parametrize("write_", [hdf5, mrd, stream])
@pytest.mark.parametrize(
    ("factor", "words"),
    [(1e-3, "taken as metres"), (1e3, "taken as micrometres"), (0.1, "only 8 x 9.6 mm: right")],
)
def test_fields_of_view_in_other_units_are_told_alike(tmp_path, write_, factor, words):
    views = {"view_full": 192 * factor, "view_w": 80 * factor}
    views |= {"view_y": 80 * factor, "view_x": 96 * factor}
    notes = notes_of(write_(tmp_path, kspace_for(write_), **views))
    assert noted(notes, words), notes


def test_partitions_are_no_slices_and_frames_are_counted(tmp_path):
    """Frames of which one is zero, in a plain array and in an acquisition."""
    frames = np.stack([stack((H, W))[:1], 0 * stack((H, W))[:1]])
    np.save(tmp_path / "a.npy", frames)
    reading = ReadOptions(axes="repetition slice coil h w")
    told = open_scan(tmp_path / "a.npy", reading).header.notes
    file = measured(twice(frames[0])).lines()
    file.oversampled = 0 * file.oversampled
    acquired = notes_of(file.lines(repetition=1).write(tmp_path / "a.h5"))
    for notes in (told, acquired):
        assert noted(notes, "Exactly zero: frame 2 (counted from 1, of 2 frames)")
