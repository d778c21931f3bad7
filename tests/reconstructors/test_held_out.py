"""Samples that a method does not see."""

import pytest
import torch

from mrirecon.data import Compose, Normalize, Undersample
from mrirecon.data.collate import collate
from mrirecon.fourier import fft, ifft
from mrirecon.operators import adjoint_image
from mrirecon.reconstructors.parts.held_out import held_out, prediction_error
from mrirecon.sampling import EquispacedLines, PoissonDisc
from tests import scenes


def sample(pattern):
    scan = scenes.scan(matrix=(64, 60), slices=2, with_maps=True)
    prepared = Compose([Undersample(pattern), Normalize()])
    return collate([prepared(scan[i]) for i in range(2)]), scan


@pytest.mark.parametrize("pattern", [EquispacedLines(2, acs=12), PoissonDisc(4, acs=(16, 16))])
def test_a_tenth_of_the_outer_samples_is_held_out(pattern):
    whole, _ = sample(pattern)
    rest, taken = held_out(whole)
    assert torch.equal(rest.mask | taken, whole.mask)
    assert not (rest.mask & taken).any()
    assert (rest.kspace * taken.unsqueeze(-3) == 0).all()
    outer, found = (mask.expand(2, 64, 60).clone() for mask in (whole.mask, taken))
    outer[:, 26:38, 24:36] = False  # the lesser of the two centres
    assert not found[:, 26:38, 24:36].any()
    assert 0.02 < found.sum() / outer.sum() < 0.2
    assert torch.equal(held_out(whole)[1], taken)


def test_the_error_is_that_of_the_prediction():
    whole, scan = sample(PoissonDisc(4, acs=(16, 16)))
    truth = [adjoint_image(scan[i], scan[i].maps) / whole.scale[i] for i in range(2)]
    image = torch.stack(truth)
    exact = whole.replace(
        kspace=torch.where(whole.mask[:, None], fft(whole.maps * image[:, None]), 0)
    )
    assert prediction_error(lambda s: (image, s.maps), exact).max() < 1e-9
    nothing = prediction_error(lambda s: (torch.zeros_like(image), s.maps), exact)
    assert nothing.tolist() == pytest.approx([1, 1])
    half = prediction_error(lambda s: (0.5 * image, s.maps), exact)
    assert half.tolist() == pytest.approx([0.25, 0.25], rel=1e-4)
    assert ifft(exact.kspace).isfinite().all()


def test_nothing_can_be_held_out_of_a_centre_alone():
    whole, _ = sample(EquispacedLines(2, acs=12))
    center = torch.zeros_like(whole.mask)
    center[..., 24:36] = True
    only = whole.replace(mask=center, kspace=whole.kspace * center[:, None])
    assert prediction_error(lambda s: (s.kspace[:, 0], s.maps), only).isnan().all()
