"""What the quality page says about a reconstruction is true where the truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mrirecon.assessment import REPLICAS, TimedScan, assess, peak_memory
from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.image import complex_image
from mrirecon.networks import NoiseLevelUnet
from mrirecon.readers import FileScan, open_scan
from mrirecon.reconstruction import chosen_planes, series_of
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.partial_fourier import Pocs
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.hqs_net import HqsNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sampling import EquispacedLines
from mrirecon.scan import Frame
from mrirecon.selection import Selection
from mrirecon.sensitivity import Espirit, GivenMaps, LearnedMaps, LowResolutionMaps
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd
from tests import scenes

NORMALIZE = Compose([Normalize()])


def undersampling(factor):
    return Compose([Undersample(EquispacedLines(factor, acs=16)), Normalize()])


def assessed(scan, reconstructor, transform):
    """Assess, and make sure that nothing of the reconstructor has changed."""
    before = repr(reconstructor)
    quality = assess(scan, reconstructor, transform)
    assert repr(reconstructor) == before
    return quality


class Changed(FileScan):
    """Another scan with its Samples changed, that remembers which ones were read."""

    format, layout = "changed", ""

    def __init__(self, scan, header, change=lambda sample: sample):
        self.scan, self.header, self.change, self.read = scan, header, change, []

    def _read(self, index):
        self.read.append(index)
        return self.change(self.scan[index])

    @classmethod
    def detect(cls, path):  # noqa: ARG003
        return False


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A whitened, fully sampled scan."""
    path = tmp_path_factory.mktemp("scan") / "a.h5"
    write_ismrmrd(path, scenes.scan(matrix=(64, 60), slices=3, coils=6), AcquisitionOptions())
    return open_scan(path)


class Magnitude(Reconstructor):
    """A method whose images have no phase."""

    def __init__(self, method):
        super().__init__()
        self.method = method

    def forward(self, sample):
        return complex_image(self.method(sample).abs())


class SeesNeighbors(ZeroFilled):
    context = 1

    def forward(self, sample):
        assert [key[1] for key in sample.neighbors.key[0]] == [0, 2]
        return super().forward(sample)


def test_a_method_gets_the_neighbours_that_it_declares(scan):
    seen = Changed(scan, scan.header)
    assess(seen, SeesNeighbors(), NORMALIZE)
    assert sorted(set(seen.read)) == [0, 1, 2]


def test_noise_of_a_fully_sampled_image_is_one(scan):
    """Whitened noise has unit variance per real component, and unit-norm maps keep it."""
    method = CgSense(Espirit(crop=0.0), regularization=0.0)
    noise = assessed(scan, method, NORMALIZE).noise
    assert noise.replicas == REPLICAS
    assert np.median(noise.deviation) == pytest.approx(1, abs=0.03)
    assert noise.deviation.std() < 0.1
    np.testing.assert_allclose(noise.snr, noise.signal / noise.deviation)


def test_root_sum_of_squares_keeps_the_noise_of_its_zero_filled_data(scan):
    """A magnitude has the noise along its phase; a part 1/R of the noise is measured."""
    noise = assessed(scan, ZeroFilled(), NORMALIZE).noise
    assert np.median(noise.deviation[noise.inside]) == pytest.approx(1, abs=0.06)
    quality = assessed(scan, ZeroFilled(), undersampling(2))
    expected = quality.masks[-1].acceleration ** -0.5
    noise = quality.noise
    assert np.median(noise.deviation[noise.inside]) == pytest.approx(expected, rel=0.08)


def test_noise_maps_agree_with_noise_that_is_really_there(scan):
    """Against the spread of many independent noise realizations of undersampled CG-SENSE."""
    method, transform = CgSense(Espirit(), 3e-3), undersampling(3)
    quality = assessed(scan, method, transform)
    one = transform(scan[1])
    sample = collate([one.replace(maps=method.sensitivity(collate([one]))[0])] * 24)
    drawn = torch.randn(*sample.kspace.shape, 2, generator=torch.Generator().manual_seed(5))
    noise = torch.view_as_complex(drawn) * sample.mask[:, None] / sample.scale[:, None, None, None]
    with torch.inference_mode():
        images = CgSense(GivenMaps(), 3e-3)(sample.replace(kspace=sample.kspace + noise))
    images = images * sample.scale[:, None, None]
    truth = (images - images.mean(0)).abs().square().sum(0).div(2 * 23).sqrt().numpy()
    inside = truth > 0
    ratio = quality.noise.deviation[inside] / truth[inside]
    assert np.median(ratio) == pytest.approx(1, abs=0.05) and ratio.std() < 0.2
    assert np.median(quality.noise.deviation[inside]) > 1.2  # the price of three-fold undersampling
    assert ((quality.noise.deviation == 0) == ~inside).all()


def test_lines_that_were_averaged_less_often_are_noisier(scan):
    def quarter(sample):
        return sample.replace(weights=torch.full((1, sample.mask.shape[-1]), 0.25))

    noise = assess(Changed(scan, scan.header, quarter), ZeroFilled(), NORMALIZE).noise
    assert np.median(noise.deviation[noise.inside]) == pytest.approx(2, abs=0.1)


def test_the_residual_is_noise_when_the_model_fits(scan):
    quality = assessed(scan, CgSense(Espirit()), undersampling(2))
    for residual in (quality.residual, quality.own_residual):
        assert 0.7 < residual.noise < 1.3 and 0 < residual.relative < 0.5
        assert residual.misfit < 0.05 and residual.fits
    wrong = assessed(scan, CgSense(Espirit(crop=0.9), regularization=10.0), undersampling(2))
    assert wrong.residual.noise > 2 * quality.residual.noise
    assert not wrong.residual.fits and "does not fit the measured data" in wrong.warnings[0]


class Altered(Reconstructor):
    """A method whose image is changed in a way that is known."""

    def __init__(self, change):
        super().__init__()
        self.method, self.change = CgSense(Espirit()), change

    def forward(self, sample):
        return self.change(self.method(sample))


def inserted(image):
    """Add a square of half the peak, with the phase that is there."""
    square = torch.zeros(image.shape[-2:])
    square[32:42, 20:30] = 0.5 * image.abs().max()
    return image + torch.polar(square.expand_as(image.real), image.angle())


def smoothed(image):
    kernel = torch.ones(5) / 5
    return sum(
        kernel[i] * kernel[j] * image.roll((i - 2, j - 2), (-2, -1))
        for i in range(5) for j in range(5)
    )  # fmt: skip


ALTERED = {
    "nothing": (lambda image: image, True),
    "another phase everywhere": (lambda image: 1j * image, True),
    "5 % brighter": (lambda image: 1.05 * image, True),
    "20 % brighter": (lambda image: 1.2 * image, False),
    "a structure": (inserted, False),
    "smoothed": (smoothed, False),
    "one pixel aside": (lambda image: image.roll(1, -1), False),
    "flipped": (lambda image: image.flip(-1), False),
}


@pytest.mark.parametrize("whitened", [True, False])
@pytest.mark.parametrize("what", ALTERED)
def test_images_that_are_wrong_are_told_and_right_ones_are_not(what, whitened, scan):
    change, right = ALTERED[what]
    changed = Changed(
        scan, replace(scan.header, whitened=whitened),
        lambda sample: sample if whitened else sample.replace(noise=None),
    )  # fmt: skip
    quality = assessed(changed, Altered(change), undersampling(2))
    assert quality.residual.fits == right
    assert bool(quality.warnings) == (not right)


class Turned(LowResolutionMaps):
    """Maps of another smooth phase, as a network may learn them."""

    def forward(self, sample):
        maps = super().forward(sample)
        h, w = maps.shape[-2:]
        phase = torch.linspace(-3, 3, h)[:, None] + torch.linspace(2, -2, w).square()
        return maps * torch.polar(torch.ones_like(phase), phase)


def test_the_residual_of_record_compares_methods_whatever_their_maps_and_phase(scan):
    """The image is the same up to its phase, or its phase is gone: so is what it explains."""
    plain, turned = (
        assessed(scan, CgSense(maps), undersampling(2)).residual
        for maps in (LowResolutionMaps(), Turned())
    )
    assert turned.misfit == pytest.approx(plain.misfit, abs=0.02) and turned.fits
    magnitude = assessed(scan, Magnitude(CgSense(Espirit())), undersampling(2))
    assert magnitude.residual.fits and magnitude.own_residual is None
    assert not assessed(scan, ZeroFilled(), undersampling(3)).residual.fits


def test_a_root_sum_of_squares_is_judged_with_the_phase_that_its_method_knows(scan):
    method = HqsNet(Espirit(), NoiseLevelUnet((4, 6), 1, images=2), iterations=2, combination="rss")
    combined = assessed(scan, method, undersampling(3))
    method.combine_by("sense")
    assert combined.own_residual is not None
    assert combined.residual == assessed(scan, method, undersampling(3)).residual


def test_a_learned_method_that_does_not_fit_is_told_by_the_maps_of_record(scan):
    torch.manual_seed(0)
    quality = assessed(scan, VarNet(1, 2, 2, LearnedMaps(2, 2), combination="sense"), NORMALIZE)
    assert quality.residual.maps == "ESPIRiT's maps"
    assert quality.own_residual.maps == "the method's own maps"


def test_without_calibration_data_the_reason_is_told(scan):
    thin = Compose([Undersample(EquispacedLines(4, acs=2)), Normalize()])
    quality = assessed(scan, ZeroFilled(), thin)
    assert quality.residual is None and quality.warnings == ()
    assert "data consistency with maps of record" in dict(quality.missing)


def test_masks_centre_maps_and_correlation(scan):
    quality = assessed(scan, CgSense(Espirit()), undersampling(3))
    assert quality.plane == "slice 2 of 3" and len(quality.masks) == 1
    mask = quality.masks[0]
    assert mask.mask.shape == (64, 60) and mask.acs == (64, 16)
    assert mask.acceleration == pytest.approx(mask.mask.size / mask.mask.sum())
    assert np.abs(np.subtract(quality.peak, (32, 30))).max() <= 1
    assert quality.coils.magnitude.shape == (6, 64, 60) and quality.coils.crop == 0.9
    kept = quality.coils.eigenvalue >= 0.9
    assert ((quality.coils.magnitude.max(0) > 0) == kept).all() and 0.2 < kept.mean() < 1
    np.testing.assert_allclose(np.diag(quality.correlation), 1)
    assert 0.02 < quality.correlation[0, 1] < 1 and not quality.missing
    assert assessed(scan, CgSense(LowResolutionMaps()), NORMALIZE).coils.eigenvalue is None


def test_what_cannot_be_measured_is_named_with_the_reason(scan, tmp_path):
    write_fastmri(tmp_path / "b.h5", scenes.scan(slices=1), AcquisitionOptions())
    missing = dict(assessed(open_scan(tmp_path / "b.h5"), ZeroFilled(), NORMALIZE).missing)
    assert "not whitened" in missing["SNR and noise amplification"]
    assert "no noise scan" in missing["noise correlation"]
    torch.manual_seed(0)
    learned = VarNet(cascades=1, channels=4, pools=2)
    for method, reason in (
        (learned, "linearly through VarNet"),
        (Pocs(CgSense(Espirit())), "Pocs"),
    ):
        quality = assessed(scan, method, NORMALIZE)
        assert quality.noise is None and quality.coils.of.startswith("coil sensitivities")
        assert reason in dict(quality.missing)["SNR and noise amplification"]
    assert assess(scan, learned, NORMALIZE).own_residual is None  # its image has no phase


def test_the_plane_belongs_to_the_series(scan):
    frames = tuple(Frame(contrast=number) for number in range(3))
    echoes = Changed(scan, replace(scan.header, slices=1, frames=frames))
    for number, series in enumerate(series_of(echoes.header)):
        echoes.read.clear()
        assess(echoes, ZeroFilled(), NORMALIZE, series=series)
        assert echoes.read == [number]


@pytest.mark.parametrize(
    ("slices", "frames", "read"),
    [(0, None, [0]), (2, None, [2]), ("1:", None, [2, 1]), (None, 1, [4, 3]), ([0, 1], -1, [4, 3])],
)
def test_the_plane_is_one_that_was_reconstructed(scan, slices, frames, read):
    two = (Frame(), Frame(repetition=1))
    both = Changed([*scan, *scan], replace(scan.header, frames=two))
    both.read.clear()
    quality = assess(both, ZeroFilled(), NORMALIZE, selection=Selection(slices, frames))
    assert both.read == read and quality.plane == f"slice {read[0] % 3 + 1} of 3"


def test_the_plane_of_a_stack_is_chosen_within_it(scan):
    stacks = (replace(scan.header.geometry, positions=scan.header.geometry.positions[:1]),) * 3
    header = replace(scan.header, geometry=None, stacks=stacks)
    for number, series in enumerate(series_of(header)):
        chosen = chosen_planes(header, series, Selection(0))
        assert (chosen.frames, chosen.slices) == ((0,), (number,))


def test_reading_is_timed_and_memory_measured(scan):
    timed = TimedScan(scan)
    assert len(timed) == 3 and timed.seconds == 0
    assert timed[1].key == scan[1].key and timed.seconds > 0
    assert dict(peak_memory(torch.device("cpu")))["process"] > 50


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("method", [CgSense(Espirit()), ZeroFilled()])
def test_data_without_signal_fit_no_image(method, level):
    source = scenes.scan(matrix=(48, 40))
    parts = torch.randn((*source[0].kspace.shape, 2), generator=torch.manual_seed(0))
    noise = level * torch.view_as_complex(parts)
    scan = Changed(source, replace(source.header, whitened=False),
                   lambda sample: sample.replace(kspace=noise, noise=None))  # fmt: skip
    found = assess(scan, method, NORMALIZE)
    assert found.residual.empty and found.residual.signal < 0.05
    assert len(found.warnings) == 1 and "k-space is noise or zero" in found.warnings[0]
    assert not assess(Changed(source, source.header), method, NORMALIZE).residual.empty


def test_an_empty_slice_is_not_looked_at(scan):
    """Of five slices of which only the first and the fourth have been acquired, the fourth."""

    def without(*numbers):
        header = replace(scan.header, slices=5, geometry=None)
        made = Changed(scan, header)
        made._read = lambda n: scenes.empty(scan[0]) if n in numbers else scan[0]
        return assess(made, ZeroFilled(), NORMALIZE).plane

    assert without() == without(1, 3) == "slice 3 of 5"
    assert without(1, 2) == without(1, 2, 4) == "slice 4 of 5"
    assert without(*range(5)) == "slice 3 of 5"
