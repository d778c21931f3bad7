import numpy as np
import pytest
import torch

from mrirecon.reconstructors import NominalSampling
from mrirecon.reconstructors.parts.nominal_sampling import nominal_acceleration, nominal_center
from mrirecon.sampling import (
    DrawnMask,
    EquispacedFractionLines,
    EquispacedLines,
    PoissonDisc,
    RandomLines,
)
from mrirecon.types import Sample


def lines(w, *columns):
    mask = torch.zeros(1, w, dtype=torch.bool)
    mask[0, list(columns)] = True
    return mask


def drawn(pattern, shape=(320, 368), seed=1):
    one = pattern(shape, np.random.RandomState(seed))
    assert isinstance(one, DrawnMask)
    return one.mask, one.acs[1]


@pytest.mark.parametrize("w", [368, 320, 167])
@pytest.mark.parametrize(("R", "part"), [(4, 0.08), (8, 0.04), (6, 0.06), (10, 0.02)])
def test_published_masks_are_told_as_they_were_asked_for(R, part, w):
    mask, center = drawn(EquispacedFractionLines(R, part), (320, w))
    assert nominal_acceleration(mask, center) == R
    assert nominal_center(center, w) == pytest.approx(part, abs=0.5 / w)
    edges = mask.clone()
    edges[:, :20] = False  # as partial Fourier or zero padding leaves them
    assert nominal_acceleration(edges, center) == R


def test_a_centre_of_whole_percents_is_told_exactly():
    assert nominal_center(29, 368) == 0.08 and nominal_center(15, 368) == 0.04
    assert nominal_center(24, 320) == 24 / 320  # of 7.5 percents


def test_what_no_published_mask_has_is_counted():
    """Lines 4 apart and 24 more in the centre are R = 3.27 of 320, which is no whole number."""
    mask, center = drawn(EquispacedLines(4, acs=24), (320, 320))
    kept = mask.numel() / int(mask.sum())
    assert nominal_acceleration(mask, center) == pytest.approx(kept, rel=0.02) and kept < 3.5
    mask, center = drawn(RandomLines(4, 0.08), (320, 367))
    assert nominal_acceleration(mask, center) == pytest.approx(
        mask.numel() / int(mask.sum()), rel=0.02
    )
    mask, center = drawn(PoissonDisc(6.0), (96, 96))
    assert nominal_acceleration(mask, center) == pytest.approx(
        mask.numel() / int(mask.sum()), rel=0.03
    )
    assert nominal_acceleration(torch.ones(1, 9, dtype=torch.bool), 9) == 1
    assert nominal_acceleration(torch.zeros(1, 9, dtype=torch.bool), 0) == 1
    assert nominal_acceleration(lines(50, 7, 18, 24, 25, 30, 42), 2) == 8  # of so few columns


def test_numbers_of_a_batch():
    mask = torch.stack([lines(50, 7, 18, 24, 25, 30, 42), torch.ones(1, 50, dtype=torch.bool)])
    sample = Sample(torch.zeros(2, 3, 8, 50, dtype=torch.complex64), mask)
    expected = torch.tensor([[8.0, 0.04], [1.0, 1.0]])
    assert torch.allclose(NominalSampling(logarithm=False)(sample), expected)
    told = (expected * torch.tensor([1.0, 100.0])).log()
    assert torch.allclose(NominalSampling()(sample), told)
    assert torch.allclose(NominalSampling()(sample.map(lambda one: one[0])), told[0])
    given = NominalSampling(4.0, 0.5, logarithm=False)(sample)  # no more than all that is sampled
    assert given.tolist() == [[4.0, 0.25], [4.0, 0.25]]
    told_acs = sample.replace(acs=torch.tensor([[8, 1], [8, 10]]))
    assert NominalSampling(2.0, logarithm=False)(told_acs)[:, 1].tolist() == pytest.approx(
        [0.02, 0.2]
    )
    for wrong in ({"acceleration": 0.5}, {"center_fraction": 0.0}, {"center_fraction": 1.1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            NominalSampling(**wrong)
