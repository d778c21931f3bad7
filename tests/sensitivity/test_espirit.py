import numpy as np
import pytest
import sigpy.mri.app
import torch

from mrirecon.sensitivity import CalibrationError, Espirit, PhasedMaps, eigenmaps
from mrirecon.sensitivity.eigenmaps import CHUNK, TILE
from mrirecon.types import Sample
from tests.sensitivity.scene import angles, batch, scene


def exact_maps(kspace, kernel, width, threshold):
    """ESPIRiT by the book in float64: singular vectors, zero-padded kernels, one SVD per pixel."""
    coils, h, w = kspace.shape
    y0, x0 = (h - width + 1) // 2, (w - width + 1) // 2
    rows = [
        kspace[:, y : y + kernel, x : x + kernel].ravel()
        for y in range(y0, y0 + width - kernel + 1)
        for x in range(x0, x0 + width - kernel + 1)
    ]
    _, values, basis = np.linalg.svd(np.array(rows, np.complex128), full_matrices=False)
    kernels = basis[values > threshold * values[0]].reshape(-1, coils, kernel, kernel)
    padded = np.zeros((len(kernels), coils, h, w), complex)
    padded[:, :, h // 2 : h // 2 + kernel, w // 2 : w // 2 + kernel] = kernels
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(padded, (-2, -1))), (-2, -1))
    images = images.transpose(2, 3, 1, 0) * h * w / kernel
    vectors, values, _ = np.linalg.svd(images, full_matrices=False)
    return torch.from_numpy(vectors[..., 0]).movedim(-1, 0), values[..., 0] ** 2


@pytest.mark.parametrize("shape", [(48, 40), (37, 45)])
def test_agrees_with_the_definition_in_float64(shape):
    sample, _, body = scene(shape, noise=0.01)
    maps, values = exact_maps(sample.kspace.numpy(), 5, 16, 0.02)
    ours = Espirit(kernel=5, calibration=16, crop=0.0)(sample)
    assert angles(ours.to(maps.dtype), maps, body).max() < 2e-3
    crop = Espirit(kernel=5, calibration=16, crop=0.9)(sample)[0] != 0
    clear = abs(values - 0.9) > 1e-4
    assert (crop.numpy() == (values > 0.9))[clear].all()


def test_agrees_with_sigpy():
    sample, _, body = scene((64, 56), noise=0.01)
    theirs = sigpy.mri.app.EspiritCalib(sample.kspace.numpy(), show_pbar=False).run()
    ours = Espirit(crop=0.95)(sample)
    both = body & (ours[0] != 0) & torch.from_numpy(theirs[0] != 0)
    assert both.sum() > 0.98 * body.sum()
    assert angles(ours, torch.from_numpy(theirs), both).square().mean().sqrt() < 2e-3
    # the same support
    assert ((ours[0] != 0).numpy() == (theirs[0] != 0)).mean() > 0.99


def test_finds_the_true_maps_with_unit_norm_and_zero_outside():
    sample, maps, body = scene(noise=0.002)
    ours = Espirit()(sample)
    norm = torch.linalg.vector_norm(ours, dim=0)
    assert torch.allclose(norm[norm > 0], torch.ones(()), atol=1e-5)
    assert (norm[body] > 0).float().mean() > 0.99
    assert (norm[0] == 0).any()
    assert angles(ours, maps, body & (norm > 0)).square().mean().sqrt() < 0.02
    # a forgotten conjugate would show
    assert angles(ours, maps.conj(), body & (norm > 0)).square().mean().sqrt() > 0.3


def test_phase_is_smooth_also_when_the_first_coil_is_dead():
    sample, _, body = scene(coils=5, noise=0)
    dead = sample.kspace.clone()
    dead[0] = 1e-9 * torch.randn_like(dead[0])
    maps = Espirit(crop=0.0)(sample.replace(kspace=dead))
    inside = body[:, 1:] & body[:, :-1]
    step = (maps[..., 1:] - maps[..., :-1]).abs().square().sum(0).sqrt()[inside]
    assert maps[0].abs().max() < 1e-3
    assert step.max() < 0.3
    assert angles(maps[1:], Espirit(crop=0.0)(sample.replace(kspace=dead[1:])), body).max() < 2e-3


def test_single_coil_is_one_and_empty_slice_is_zero():
    single, _, _ = scene(coils=1)
    assert (Espirit()(single) == 1).all()
    sample, _, _ = scene()
    assert (Espirit()(sample.replace(kspace=0 * sample.kspace)) == 0).all()
    assert (Espirit(crop=0.0)(sample.replace(kspace=0 * sample.kspace)) == 0).all()


def test_members_with_different_centres_are_calibrated_separately():
    first, second = scene(lines=24)[0], scene(lines=13, seed=1)[0]
    together = Espirit()(batch(first, second, first))
    for maps, sample in zip(together, (first, second, first), strict=True):
        torch.testing.assert_close(maps, Espirit()(sample), rtol=1e-4, atol=1e-4)


def test_centre_is_found_in_the_mask_when_not_told():
    sample, _, _ = scene(lines=16, every=3)
    torch.testing.assert_close(Espirit()(sample.replace(acs=None)), Espirit()(sample))


def test_separate_calibration_scan_on_its_own_grid_is_used():
    sample, _, _ = scene((48, 40), noise=0)
    calibration = sample.kspace[:, 8:40, 8:32].clone()
    empty = Sample(
        torch.zeros_like(sample.kspace),
        torch.zeros(1, 40, dtype=torch.bool),
        calibration=calibration,
    )
    torch.testing.assert_close(Espirit()(empty), Espirit()(sample), rtol=1e-3, atol=1e-3)


def test_no_interpolated_pixel_is_wrong(monkeypatch):
    """Where eigenvalues cross, too, and the length of a wrong vector is right by chance."""
    sample, _, _ = scene((144, 140), coils=6, noise=0.01, lines=24)
    interpolated = Espirit()(sample)
    monkeypatch.setattr(eigenmaps, "COARSE", 1000)  # every pixel from its own matrix
    exact = Espirit()(sample)
    assert not torch.equal(interpolated, exact)
    assert torch.linalg.vector_norm(interpolated - exact, dim=0).max() < 5e-5


def test_memory_chunks_do_not_change_the_maps(monkeypatch):
    sample, _, _ = scene()
    whole = Espirit()(sample)
    monkeypatch.setitem(CHUNK, "cpu", 3 * 40 * 16)
    monkeypatch.setitem(TILE, "cpu", 2000)
    torch.testing.assert_close(Espirit()(sample), whole)


def test_too_small_a_centre_says_what_is_needed_and_what_to_do():
    sample, _, _ = scene(lines=2)
    with pytest.raises(CalibrationError, match=r"at least 3 x 3 .* 48 x 2; choose a sampling"):
        Espirit()(sample)
    assert Espirit().remarks(sample) == ()  # of a kernel that is not taken either


@pytest.mark.parametrize(
    ("lines", "kernel"),
    [(3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (8, 4), (10, 5), (11, 6), (12, 6), (24, 6)],
)
def test_a_small_centre_takes_a_smaller_kernel_and_says_so(lines, kernel):
    sample, maps, body = scene(lines=lines)
    torch.testing.assert_close(Espirit()(sample), Espirit(kernel)(sample))
    limit = 0.2 if lines > 4 else 0.3
    assert angles(Espirit(crop=0.0)(sample), maps, body).mean() < limit
    remarks = PhasedMaps(Espirit()).remarks(sample)
    if kernel == 6:
        assert remarks == ()
    else:
        assert len(remarks) == 1 and f"a kernel of {kernel} instead of 6" in remarks[0]
        assert f"48 x {lines} samples" in remarks[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": 1}, "kernel must be at least 2, got 1"),
        ({"calibration": 10}, "at least twice the kernel of 6, got 10"),
        ({"threshold": 1.0}, "threshold must lie between 0 and 1, got 1.0"),
        ({"crop": 1.5}, r"crop must lie in \[0, 1\), got 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Espirit(**arguments)


def test_autocast_leaves_the_maps_alone():
    sample, _, _ = scene()
    with torch.autocast("cpu", torch.bfloat16):
        maps = Espirit()(sample)
    assert torch.equal(maps, Espirit()(sample))
