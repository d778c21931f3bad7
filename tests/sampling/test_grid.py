import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from mrirecon.errors import ConfigError
from mrirecon.sampling import Gaussian2d, PoissonDisc, scan_rng


@pytest.mark.parametrize("pattern", [Gaussian2d, PoissonDisc])
@pytest.mark.parametrize("shape", [(96, 80), (81, 97)])
@pytest.mark.parametrize("acceleration", [2.0, 6.0])
def test_meets_the_acceleration_with_a_full_centre(pattern, shape, acceleration):
    drawn = pattern(acceleration, acs=(12, 11))(shape, scan_rng("a.h5"))
    assert drawn.achieved == pytest.approx(acceleration, rel=1e-3)
    top, left = ((n - a + 1) // 2 for n, a in zip(shape, (12, 11), strict=True))
    assert drawn.mask[top : top + 12, left : left + 11].all() and drawn.acs == (12, 11)
    assert not drawn.mask[0, 0]  # corners are left out
    assert drawn.mask.equal(pattern(acceleration, acs=(12, 11))(shape, scan_rng("a.h5")).mask)
    assert not drawn.mask.equal(pattern(acceleration, acs=(12, 11))(shape, scan_rng("b.h5")).mask)


def _outer_distances(mask, acs=12):
    """Distance of each position outside the centre to its nearest neighbour, and its radius."""
    points = np.argwhere(mask.numpy()) - np.array(mask.shape) // 2
    distance = cKDTree(points).query(points, k=2)[0][:, 1]
    outside = np.abs(points).max(1) > acs
    return distance[outside], np.hypot(*points[outside].T)


def test_poisson_disc_keeps_its_distance_and_gaussian_does_not():
    poisson, gaussian = (
        p(8.0, acs=(12, 12))((128, 128), scan_rng("a.h5")).mask for p in (PoissonDisc, Gaussian2d)
    )
    near, radius = _outer_distances(poisson)
    assert (near[radius > 40] < 2).mean() < 0.02  # no touching neighbours at the edge ...
    assert np.median(near[radius > 50]) > 1.3 * np.median(near[radius < 25])  # ... sparser outside
    near, radius = _outer_distances(gaussian)
    assert (near[radius > 40] < 2).mean() > 0.2


def test_impossible_requests_are_explained():
    with pytest.raises(ConfigError, match=r"impossible; choose between 1\.\d+ and 7\.1"):
        PoissonDisc(20.0, acs=(24, 24))((64, 64), scan_rng("a"))
    with pytest.raises(ConfigError, match="larger than the k-space"):
        Gaussian2d(4.0, acs=(24, 24))((64, 16), scan_rng("a"))


def test_full_sampling():
    drawn = Gaussian2d(1.0, acs=(4, 4), elliptical=False)((16, 15), scan_rng("a"))
    assert torch.all(drawn.mask) and drawn.achieved == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonDisc(float("nan")), "at least 1, got nan"),
        (lambda: PoissonDisc(slope=-1.0), "slope must lie between 0 and 20"),
        (lambda: Gaussian2d(width=0.0), "width must be positive"),
        (lambda: Gaussian2d(2.0, acs=(16, 16))((16, 16), scan_rng("a")), "that is R = 1"),
        (lambda: PoissonDisc(2.0, acs=(300, 4))((16, 16), scan_rng("a")), "larger than"),
    ],
)
def test_absurd_patterns_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
