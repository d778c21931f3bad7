"""Trajectories: where they pass, how evenly they cover k-space."""

import math

import pytest
import torch

from mrirecon.operators import NonUniformFourier, iterated_density
from mrirecon.sampling.trajectories import (
    GOLDEN,
    even_angles,
    golden_angle,
    golden_angles,
    radial,
    spiral,
    stack_of,
)
from mrirecon.sampling.trajectory_shape import coverage_of, shape_of, spokes_apart
from mrirecon.types import Sample


def test_golden_angles_are_the_published_ones():
    """111.246 and 23.628 degrees: Winkelmann 2007, Wundrak 2015."""
    assert math.degrees(golden_angle()) == pytest.approx(111.246, abs=5e-4)
    assert math.degrees(golden_angle(7)) == pytest.approx(23.628, abs=5e-4)
    assert golden_angle() == pytest.approx(GOLDEN)


@pytest.mark.parametrize(("tiny", "spokes"), [(1, 8), (1, 21), (1, 50), (7, 34), (7, 60)])
def test_golden_angles_cover_half_a_turn_evenly(tiny, spokes):
    for first in (0, 13):
        turned = torch.remainder(golden_angles(spokes, first, tiny), math.pi).sort().values
        gaps = torch.diff(turned, append=turned[:1] + math.pi)
        assert gaps.max() / gaps.min() < 2.62  # the square of the golden ratio


def test_a_frame_of_a_longer_scan():
    torch.testing.assert_close(golden_angles(30)[20:], golden_angles(10, first=20))
    torch.testing.assert_close(even_angles(12)[5:], even_angles(12, first=5)[:7])


@pytest.mark.parametrize("samples", [32, 33, 64])
def test_diameters_pass_through_the_centre(samples):
    places = radial(even_angles(10), samples, 32)
    assert places.shape == (10, samples, 2)
    assert not places[:, samples // 2].any()
    radius = places.norm(dim=-1)
    assert float(radius.max()) == pytest.approx((samples // 2) * 32 / samples)
    torch.testing.assert_close(places[0, :, 1], torch.zeros(samples))  # along h first
    torch.testing.assert_close(places[5, :, 0], torch.zeros(samples), atol=1e-5, rtol=0)


def test_arms_of_a_spiral_lie_one_cycle_apart():
    arms, matrix = 6, 48
    places = spiral(even_angles(arms) * 2, 4000, matrix).double()
    radius = places.norm(dim=-1)
    torch.testing.assert_close(radius[:, -1], torch.full((arms,), matrix / 2.0).double())
    assert not places[:, 0].any()
    # where the arms cross the axis of h on its positive side, once in each turn
    crossings = []
    for arm in places:
        h, w = arm.T
        crossed = (w[:-1] < 0) & (w[1:] >= 0) & (h[1:] > 0)
        crossings.append(h[1:][crossed])
    found = torch.cat(crossings).sort().values
    torch.testing.assert_close(torch.diff(found), torch.ones(len(found) - 1).double(), atol=0.05,
                               rtol=0)  # fmt: skip
    steps = torch.diff(places, dim=1).norm(dim=-1)[:, 1000:]
    assert steps.max() / steps.min() < 1.3


@pytest.mark.parametrize("kind", ["spiral", "radial"])
def test_gridding_of_a_full_trajectory_gives_the_image(kind):
    pytest.importorskip("finufft")
    if kind == "spiral":
        places = spiral(even_angles(8) * 2, 300, 24)
    else:
        places = radial(golden_angles(60), 48, 24)
    y, x = torch.meshgrid(*[torch.arange(24.0) - 12] * 2, indexing="ij")
    image = torch.exp(-((y - 2) ** 2 + x**2) / 20).to(torch.complex64)
    operator = NonUniformFourier(places.reshape(-1, 2), (24, 24))
    found = operator.H(iterated_density(operator, 30) * operator(image))
    assert (found - image).norm() < 0.05 * image.norm()


def test_a_stack_repeats_it_in_every_partition():
    stars = radial(even_angles(4), 8, 8)
    stack = stack_of(stars, 5)
    assert stack.shape == (5, 4, 8, 3)
    torch.testing.assert_close(stack[..., :2], stars.expand(5, 4, 8, 2))
    assert stack[:, 0, 0, 2].tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(("turn", "kind"), [(1, "radial"), (2, "half-radial")])
def test_repeated_spokes_sample_nothing_new(turn, kind):
    places = radial(turn * even_angles(12), 16, 16).transpose(0, 1)
    if kind == "half-radial":
        places = places[8:]
    again = torch.cat([places, places.flip(0) if kind == "radial" else places], 1)
    for one in (places, again):
        assert spokes_apart(kind, one) == 12
        shape = one.shape[:2]
        mask = torch.ones(shape, dtype=torch.bool)
        sample = Sample(torch.ones(1, *shape, dtype=torch.complex64), mask, trajectory=one,
                        image_grid=(16, 16))  # fmt: skip
        assert shape_of(one).kind == kind and coverage_of(sample)[1] == 12
    assert spokes_apart(kind, places[:, 3:4].expand(-1, 5, 2)) == 1
