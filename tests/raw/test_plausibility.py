"""What is noticed about planes that are no k-space, or k-space in another order."""

import numpy as np
import pytest
import torch

from mrirecon.fourier import ifft
from mrirecon.raw.plausibility import (
    coil_energy,
    find_peak,
    place_notes,
    plausible_voxel,
)
from tests.scenes import scan


def plane(matrix=(48, 40)):
    return scan(matrix=matrix)[0].kspace.numpy()


def plane_peaks(kspace):
    """The peaks along h and w, of the lines through the strongest sample."""
    energy = coil_energy(kspace)
    y, x = np.unravel_index(energy.argmax(), energy.shape)
    near = slice(max(0, x - 1), x + 2), slice(max(0, y - 1), y + 2)
    return find_peak(energy[:, near[0]].sum(1)), find_peak(energy[near[1]].sum(0))


def peak_notes(kspace):
    return place_notes(plane_peaks(kspace)) if kspace.any() else []


def undersampled(kspace, step, acs):
    w = kspace.shape[-1]
    kept = np.arange(w) % step == 1 % step
    kept[w // 2 - acs // 2 : w // 2 + acs // 2] = True
    return kspace * kept


@pytest.mark.parametrize("matrix", [(48, 40), (47, 41), (40, 33), (96, 24)])
@pytest.mark.parametrize("sampling", [(1, 0), (4, 0), (4, 8), (2, 6)])
@pytest.mark.parametrize(
    ("shift", "places"),
    [
        ((), ("center", "center")),
        ((-2, -1), ("corner", "corner")),
        ((-1,), ("center", "corner")),
        ((-2,), ("corner", "center")),
    ],
)
def test_the_centre_is_found(matrix, sampling, shift, places):
    kspace = np.fft.ifftshift(undersampled(plane(matrix), *sampling), shift)
    assert tuple(peak.place for peak in plane_peaks(kspace)) == places
    assert len(peak_notes(kspace)) == places.count("corner")


def test_partial_fourier_is_no_wrong_centre_unless_its_zeros_are_missing():
    kspace = plane((48, 64))
    zero_filled = kspace.copy()
    zero_filled[..., :20] = 0
    assert peak_notes(zero_filled) == []
    (note,) = peak_notes(kspace[..., 20:])
    assert "peaks at index 12 of 44 along w" in note and "10 off the centre" in note


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (lambda k: np.random.default_rng(0).standard_normal(k.shape) + 1j, "no peak, as"),
        (lambda k: ifft(torch.from_numpy(k)).numpy(), "no peak, as"),
        (lambda k: ifft(torch.from_numpy(k), axes=(-2,)).numpy(), "no peak along h"),
        (lambda k: ifft(torch.from_numpy(k), axes=(-1,)).numpy(), "no peak along w"),
        (lambda k: np.repeat(k[..., 20:21], 40, -1), "no peak along w"),
    ],
)
def test_what_is_no_kspace_has_no_peak(change, notes):
    (note,) = peak_notes(change(plane()).astype(np.complex64))
    assert notes in note


@pytest.mark.parametrize("kspace", [np.zeros((2, 32, 32)), np.ones((2, 8, 6))])
def test_nothing_is_said_about_empty_and_tiny_planes(kspace):
    assert peak_notes(kspace.astype(np.complex64)) == []


@pytest.mark.parametrize(
    ("told", "voxel", "words"),
    [
        ((1.0, 0.9, 5.0), (1.0, 0.9, 5.0), None),
        ((0.05, 0.05, 30.0), (0.05, 0.05, 30.0), None),
        ((0.001, 0.0009, 0.005), (1.0, 0.9, 5.0), "metres"),
        ((0.001, 0.0009, 5.0), (1.0, 0.9, 5.0), "metres"),
        ((1000.0, 900.0, 5000.0), (1.0, 0.9, 5.0), "micrometres"),
        ((0.0, 1.0, 5.0), None, "impossible"),
        ((1.0, float("nan"), 5.0), None, "impossible"),
        ((1.0, float("inf"), 5.0), None, "impossible"),
        ((1.0, -1.0, 5.0), None, "impossible"),
    ],
)
def test_voxels_in_other_units(told, voxel, words):
    found, notes = plausible_voxel(told)
    assert found == (None if voxel is None else pytest.approx(voxel))
    assert (notes == []) if words is None else (len(notes) == 1 and words in notes[0])
