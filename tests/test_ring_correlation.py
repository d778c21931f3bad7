import pytest
import torch
from scipy.ndimage import gaussian_filter

from mrirecon.errors import ShapeError
from mrirecon.metrics import KNOWN, scan_rings
from mrirecon.metrics.ring_correlation import PATCH, threshold
from mrirecon.simulation import Prescription, SimulationProtocol, simulated_scans

SFRC = KNOWN["sfrc"]


def blurred(image, sigma):
    return torch.from_numpy(gaussian_filter(image.numpy(), sigma))


@pytest.fixture(scope="module")
def brains():
    """Slices of two simulated brains without noise."""
    protocol = SimulationProtocol(prescription=Prescription(matrix=(160, 160), slices=4), coils=1)
    scans = simulated_scans(0, 2, protocol)
    return torch.stack([scan.target(i).double() for scan in scans for i in (1, 2)])


@pytest.fixture
def noise(brains):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(brains.shape, generator=rng, dtype=torch.float64) * brains.amax()


def with_spot(image, rng):
    """Add or subtract a spot of 3 to 6 pixels somewhere in the object; unit height."""
    inside = (blurred((image > 0.15 * image.max()).double(), 4) > 0.9).nonzero()
    center = inside[torch.randint(len(inside), (), generator=rng)]
    wide = 3 + 3 * torch.rand((), generator=rng)
    y, x = (torch.arange(n) for n in image.shape)
    spot = (y[:, None] - center[0]) ** 2 + (x - center[1]) ** 2 <= (wide / 2) ** 2
    return center, spot.double() * (1 if torch.rand((), generator=rng) < 0.5 else -1)


def area_under_curve(changed, unchanged):
    greater = (changed[:, None] > unchanged).double() + 0.5 * (changed[:, None] == unchanged)
    return float(greater.mean())


def psnr_change(image, reference, height, spot, in_image, removed):
    """Change of PSNR in dB by a spot that is in the image or in the reference only."""
    error = image - reference
    altered = error - height * spot if removed else error + height * in_image
    return float(10 * (altered.square().sum() / error.square().sum()).log10())


@pytest.mark.parametrize(("level", "sigma"), [(0.01, 0.7), (0.02, 0.5), (0.04, 0.6)])
@pytest.mark.parametrize("removed", [False, True])
def test_small_spots_are_found_that_hardly_change_psnr(brains, noise, level, sigma, removed):
    rng, changed, unchanged, found, alarms = torch.Generator().manual_seed(7), [], [], [], []
    for reference, own in zip(brains, level * noise, strict=True):
        image = blurred(reference, sigma) + own
        center, spot = with_spot(reference, rng)
        in_image = blurred(spot, sigma)
        height = 0.3 * reference.max()
        while abs(psnr_change(image, reference, height, spot, in_image, removed)) > 0.09:
            height = 0.8 * height
        altered = image if removed else image + height * in_image
        true = reference + height * spot if removed else reference
        scan = scan_rings(altered, true)
        rows, columns = scan.centers()
        far = torch.maximum((rows - center[0]).abs()[:, None], (columns - center[1]).abs())
        changed.append(scan.scores[(far <= 4) & scan.shows_object])
        away = (far > PATCH) & scan.shows_object
        unchanged.append(scan.scores[away])
        alarms.append(scan.suspicious[away].double().mean())
        first = scan.worst(1)[0]
        found.append(bool(((first <= center) & (center < first + PATCH)).all()))
    assert area_under_curve(torch.cat(changed), torch.cat(unchanged)) > 0.98
    assert sum(found) >= 3 and sum(alarms) / len(alarms) < 0.02


def test_the_map_is_on_the_pixels_and_highest_at_the_spot(brains, noise):
    reference = brains[0, 20:141, 13:130].contiguous()  # sizes that steps do not fit
    image = reference + 0.02 * noise[0, 20:141, 13:130]
    image[60:64, 50:54] += 0.3 * reference.max()
    scan = scan_rings(image, reference)
    shown = scan.map()
    assert shown.shape == reference.shape
    y, x = divmod(int(shown.argmax()), shown.shape[1])
    assert abs(y - 62) <= 4 and abs(x - 52) <= 4 and shown.max() > threshold()
    assert scan.suspicious.sum() >= 9


def test_smoothing_scale_and_noise_are_no_structure(brains, noise):
    smooth = torch.stack([blurred(v, 1.0) for v in brains])
    for image in (brains, brains + 0.02 * noise, 3e-6 * (smooth + 0.01 * noise)):
        assert SFRC(image, brains) < 2


def test_images_that_are_wrong_everywhere_are_not_their_own_measure(brains):
    for image in (0 * brains, brains.roll(2, 0), brains.flip(1), brains.max() - brains):
        assert SFRC(image, brains) > 25


def test_shares_of_regions_and_what_has_none(brains, noise):
    image = brains + 0.02 * noise
    image[0, 70:74, 80:84] += 0.4 * brains.max()
    where = torch.zeros_like(brains, dtype=torch.bool)
    where[0, 66:78, 76:88] = True
    assert SFRC(image, brains, where) == 100
    assert SFRC(image, brains, where.roll(1, 0)) < 20
    with pytest.raises(ShapeError, match="no patch of the object"):
        SFRC(brains, 0 * brains)
    with pytest.raises(ShapeError, match="at least 16 x 16 pixels, got 15 x 40"):
        SFRC(torch.rand(1, 15, 40), torch.rand(1, 15, 40))
    nothing = image * float("nan")
    assert torch.tensor(SFRC(nothing, brains)).isnan()
    scan = scan_rings(nothing[0], brains[0])
    assert torch.equal(scan.suspicious, scan.shows_object)
