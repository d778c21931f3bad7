from dataclasses import replace

import numpy as np
import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.inference import on_matrix, reconstruct_scan
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.reconstructors.classical.soft_sense import SoftSense
from mrirecon.reconstructors.classical.spirit import Spirit
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.fi_varnet import FiVarNet
from mrirecon.reconstructors.learned.recurrent_varnet import RecurrentVarNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.reconstructors.parts.kspace_consistency import SoftStep
from mrirecon.scan import Scan
from mrirecon.sensitivity import Espirit, GivenMaps, LowResolutionMaps
from mrirecon.types import Sample
from tests import scenes

TRANSFORM = Compose([Undersample(scenes.PATTERN), Normalize()])


def test_interpolates_to_the_reconstruction_voxel_before_it_crops():
    """A 20 x 12 grid over 40 x 36 mm, shown with 1 mm voxels, cut to 30 x 20."""
    header = replace(scenes.scan().header, grid=(20, 12), canvas=(40, 36), matrix=(30, 20))
    y, x = (torch.arange(n) - n // 2 for n in (20, 12))
    image = (2 + torch.cos(2 * torch.pi * y / 20)[:, None] + torch.sin(2 * torch.pi * x / 12)) + 0j
    y, x = (torch.arange(n) - n // 2 for n in (30, 20))
    expected = 2 + torch.cos(2 * torch.pi * y / 40)[:, None] + torch.sin(2 * torch.pi * x / 36)
    sample = Sample(fft(image)[None, None], torch.ones(1, 1, 12, dtype=torch.bool))
    shown = on_matrix(ZeroFilled(), sample, header)[0].abs()
    torch.testing.assert_close(shown, expected, rtol=1e-5, atol=1e-5)


def random_network(kind, **options):
    torch.manual_seed(0)
    return kind(channels=2, sensitivity=GivenMaps(), **options)


COILWISE = {
    "zero_filled": ZeroFilled(),
    "grappa": Grappa((3, 2)),
    "spirit": Spirit(3),
    "varnet": random_network(VarNet, cascades=2, pools=2),
    "varnet_consistency": random_network(VarNet, cascades=2, pools=2, consistency=SoftStep()),
    "fi_varnet": random_network(FiVarNet, cascades=1, pools=2, acceleration=2),
    "recurrent_varnet": random_network(RecurrentVarNet, iterations=2, layers=2),
}


class Interpolated(Scan):
    """A scan whose images have other pixels than its k-space."""

    def __init__(self, canvas):
        self.scan = scenes.scan(slices=1, with_maps=True)
        self.header = replace(self.scan.header, canvas=canvas, matrix=canvas)

    def _read(self, index):
        return self.scan[index]


@pytest.mark.parametrize("canvas", [(80, 72), (47, 51), (30, 36)], ids=str)
@pytest.mark.parametrize("name", COILWISE)
def test_coil_images_are_interpolated_before_they_are_combined(name, canvas):
    """A magnitude has more detail than its pixels hold; the k-space of a coil is zero-padded."""
    scan, model = Interpolated(canvas), COILWISE[name].eval()
    volume = reconstruct_scan(scan, model, TRANSFORM)
    with torch.no_grad():
        sample = collate([TRANSFORM(scan[0])])
        coils = model.coil_images(sample)
        torch.testing.assert_close(root_sum_of_squares(coils), model(sample).real)
    gain = (canvas[0] * canvas[1] / (40 * 36)) ** 0.5
    padded = root_sum_of_squares(ifft(center_fit(fft(coils), canvas))) * gain * sample.scale
    torch.testing.assert_close(volume[0], padded[0], rtol=1e-4, atol=1e-4 * float(padded.max()))


def waves(size, pixels):
    """Values at ``pixels`` of the waves of ``size`` samples that so many pixels can hold."""
    k = np.arange(size) - size // 2
    k = k[(k >= -(pixels // 2)) & (k < pixels - pixels // 2)]
    at = np.arange(pixels) - pixels // 2
    grid = np.arange(size) - size // 2
    forward = np.exp(-2j * np.pi * np.outer(k, grid) / size) / size
    return np.exp(2j * np.pi * np.outer(at, k) / pixels) @ forward


@pytest.mark.parametrize("canvas", [(80, 72), (47, 51), (30, 36), (41, 20), (40, 90)], ids=str)
def test_images_of_several_sets_are_interpolated_before_they_are_combined(canvas):
    """Their root-sum-of-squares is no more band-limited than that of coils."""
    scan, model = Interpolated(canvas), SoftSense(Espirit(sets=2, crop=0.0), 1e-3)
    volume = reconstruct_scan(scan, model, TRANSFORM)
    sample = collate([TRANSFORM(scan[0])])
    sets = model.solve_sets(sample).x[0].numpy().astype(complex) * float(sample.scale)
    rows, columns = waves(40, canvas[0]), waves(36, canvas[1])
    expected = np.linalg.norm(rows @ sets @ columns.T, axis=0)
    assert np.linalg.norm(sets[1]) > 0.01 * np.linalg.norm(sets[0])
    np.testing.assert_allclose(volume[0].numpy(), expected, rtol=0, atol=1e-4 * expected.max())
    coils = ifft(sample.kspace)[0].numpy().astype(complex) * float(sample.scale)
    expected = np.linalg.norm(rows @ coils @ columns.T, axis=0)
    volume = reconstruct_scan(scan, ZeroFilled(), TRANSFORM)
    np.testing.assert_allclose(volume[0].numpy(), expected, rtol=0, atol=1e-4 * expected.max())


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_and_units_do_not_matter(batch_size):
    scan = scenes.scan(slices=3)
    model = CgSense(LowResolutionMaps())
    volume = reconstruct_scan(scan, model, TRANSFORM, batch_size=batch_size)
    alone = reconstruct_scan(scan, model, TRANSFORM)
    torch.testing.assert_close(volume, alone, rtol=1e-3, atol=1e-3 * float(alone.max()))
    reference = torch.stack([scan.target(i) for i in range(3)])
    ratio = (volume * reference).sum() / reference.square().sum()
    assert ratio == pytest.approx(1, abs=0.05)  # the raw file's units are back


def test_a_slice_of_a_scan_knows_what_the_header_tells():
    scan = scenes.scan()
    sample = scan[0]
    assert sample.noise == 1 and scan.header.whitened
    assert sample.protocol.nan_to_num(0).tolist() == [3.0, 4500.0, 95.0, 0.0, 90.0]
    assert sample.region.tolist() == list(scan.header.matrix)
