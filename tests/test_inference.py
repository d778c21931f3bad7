from dataclasses import replace

import pytest
import torch

from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.inference import reconstruct_scan, to_matrix
from mrirecon.reconstructors.cg_sense import CgSense
from mrirecon.sensitivity import LowResolutionMaps
from tests import scenes

TRANSFORM = Compose([Undersample(scenes.PATTERN), Normalize()])


def test_interpolates_to_the_reconstruction_voxel_before_it_crops():
    """A 20 x 12 grid over 40 x 36 mm, shown with 1 mm voxels, cut to 30 x 20."""
    header = replace(scenes.scan().header, grid=(20, 12), canvas=(40, 36), matrix=(30, 20))
    y, x = (torch.arange(n) - n // 2 for n in (20, 12))
    image = (2 + torch.cos(2 * torch.pi * y / 20)[:, None] + torch.sin(2 * torch.pi * x / 12)) + 0j
    y, x = (torch.arange(n) - n // 2 for n in (30, 20))
    expected = 2 + torch.cos(2 * torch.pi * y / 40)[:, None] + torch.sin(2 * torch.pi * x / 36)
    torch.testing.assert_close(to_matrix(image[None], header)[0], expected, rtol=1e-5, atol=1e-5)


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
