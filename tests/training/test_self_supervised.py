"""Objectives that need no reference image."""

import pytest
import torch

from mrirecon.data.batches import derived_seed
from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft
from mrirecon.inference import reconstruct_scan
from mrirecon.metrics.fastmri import psnr
from mrirecon.networks import NoiseLevelUnet
from mrirecon.operators import sense
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.hqs_net import HqsNet
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sampling import RandomLines
from mrirecon.sensitivity import GivenMaps, LowResolutionMaps
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.equivariant import EquivariantImaging, rotated
from mrirecon.training.objectives.measured_kspace import reconstruct_with_maps, unseen
from mrirecon.training.objectives.ssdu import Ssdu, repeated
from mrirecon.training.objectives.weighted_ssdu import RobustSsdu, WeightedSsdu
from tests import scenes
from tests.training import runs


class Learned(Reconstructor):
    """An image to train, and a memory of what the method was shown."""

    def __init__(self, shape):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.image = torch.nn.Parameter(torch.randn(shape, dtype=torch.complex64, generator=g))
        self.seen = []

    def forward(self, sample):
        self.seen.append(sample)
        return self.image.expand(len(sample.kspace), -1, -1)


def single_coil():
    sample = scenes.batch()
    kspace = sample.kspace[:, :1]
    return sample.replace(kspace=kspace, maps=torch.ones_like(kspace))


@pytest.mark.parametrize(
    "objective",
    [
        Ssdu(consistency=0),
        Ssdu(0.2, masks=3, consistency=0),
        Ssdu(lines=True, consistency=0),
        Ssdu(density="uniform", center=(4, 4), consistency=0),
    ],
    ids=["default", "masks", "lines", "uniform"],
)
def test_the_method_never_sees_what_the_loss_sees(objective):
    torch.manual_seed(0)
    sample = single_coil()
    method = Learned(sample.kspace.shape[-2:])
    seen, held = objective.split(sample)
    measured = sample.mask.expand(held.shape)
    assert not (seen.mask & held).any() and (seen.mask | held).equal(measured)
    assert not seen.kspace[~seen.mask.unsqueeze(-3).expand_as(seen.kspace)].any()
    share = held.sum((-2, -1)) / measured.sum((-2, -1))
    assert share == pytest.approx(torch.full((2,), objective.held_out), abs=0.03)
    h, w = sample.kspace.shape[-2:]
    n = int(seen.acs[0, 1])
    start = (w - n + 1) // 2
    top = (h - int(seen.acs[0, 0]) + 1) // 2
    center = seen.mask.expand(-1, h, w)[:, top : top + int(seen.acs[0, 0]), start : start + n]
    assert center.all() and n == (4 if objective.center else 12)

    torch.manual_seed(1)
    objective(method, sample).backward()
    shown = method.seen[-1]
    assert len(shown.kspace) == len(shown.key) == 2 * objective.masks and shown.target is None
    gradient = fft(method.image.grad)  # of the loss with respect to k-space
    never = ~held_anywhere(objective, sample)
    assert gradient[never].abs().max() < 1e-4 * gradient.abs().max()


@pytest.mark.parametrize("rows", [slice(None), slice(6, None)])
def test_lines_are_held_out_however_their_mask_is_written(rows):
    sample = scenes.batch()
    there = torch.zeros(2, *sample.kspace.shape[-2:], dtype=torch.bool)
    there[:, rows] = sample.mask
    held = []
    for mask in (sample.mask, there):
        torch.manual_seed(2)
        held.append(Ssdu(0.3, lines=True).split(sample.replace(mask=mask))[1])
    assert held[0].shape[-2] == 1 and held[0].any()
    assert torch.equal(held[1], held[0] & there)
    there[:, 20, 0] ^= True  # points
    held = Ssdu(0.3, lines=True).split(sample.replace(mask=there))[1]
    columns = held.any(-2)
    assert (held.sum(-2)[columns] < there.sum(-2)[columns]).any()


def held_anywhere(objective, sample):
    """Where any of the divisions that ``objective`` draws after seed 1 holds samples out."""
    torch.manual_seed(1)
    many = repeated(sample, objective.masks)
    held = objective.split(many)[1]
    return held.expand(-1, *sample.kspace.shape[-2:]).any(0)


def test_consistency_adds_the_samples_that_were_seen():
    sample, losses = single_coil(), []
    for objective in (Ssdu(consistency=0), Ssdu()):
        torch.manual_seed(1)
        method = Learned(sample.kspace.shape[-2:])
        losses.append(objective(method, sample))
        losses[-1].backward()
    assert losses[1] > losses[0]
    gradient = fft(method.image.grad)
    measured = sample.mask[0].expand(gradient.shape)
    assert gradient[~measured].abs().max() < 1e-4 * gradient.abs().max()


@pytest.mark.parametrize(
    "objective",
    [
        Ssdu(),
        EquivariantImaging(0.0),
        WeightedSsdu(RandomLines(2), RandomLines(2), draws=100),
        RobustSsdu(RandomLines(2), RandomLines(2), draws=100),
    ],
    ids=["ssdu", "equivariant", "weighted", "robust"],
)
def test_where_no_coil_sees_the_image_is_drawn_to_zero(objective):
    """Nothing was measured there: the gradient would be zero, and the network do as it likes."""
    sample = single_coil().replace(noise=torch.full((2,), 1e-3))
    nobody = torch.zeros(sample.kspace.shape[-2:], dtype=torch.bool)
    nobody[:, :6] = True
    sample = sample.replace(maps=sample.maps * ~nobody)
    method = Learned(nobody.shape)
    torch.manual_seed(0)
    objective(method, sample).backward()
    downhill = -(method.image.grad * method.image.detach().conj()).real[nobody]
    assert (downhill < 0).all()
    share = unseen(method.image[None], sample.maps[:1])
    expected = method.image[nobody].norm() / method.image.norm()
    torch.testing.assert_close(share[0], expected)
    zero = torch.zeros_like(method.image[None], requires_grad=True)
    unseen(zero, sample.maps[:1]).sum().backward()
    assert not torch.view_as_real(zero.grad).any()


def test_masks_of_points_and_empty_slices():
    g = torch.Generator().manual_seed(0)
    sample = single_coil()
    mask = torch.rand(sample.kspace.shape[0], *sample.kspace.shape[-2:], generator=g) < 0.5
    sample = sample.replace(kspace=sample.kspace * mask.unsqueeze(1), mask=mask, acs=None)
    for case in (sample, scenes.empty(sample)):
        method = Learned(sample.kspace.shape[-2:])
        Ssdu()(method, case).backward()
        assert torch.view_as_real(method.image.grad).isfinite().all()


@pytest.mark.parametrize("objective", [Ssdu(), EquivariantImaging()], ids=["ssdu", "ei"])
def test_what_cannot_work_is_refused(objective):
    sample = scenes.batch(maps=None)
    with pytest.raises(ConfigError, match="UNet has no coil sensitivities"):
        objective(UNet(4, 2), sample)
    with pytest.raises(ConfigError, match=r"VarNet returned a magnitude.*combination=sense"):
        objective(runs.varnet(combination="rss"), sample)


def test_what_is_held_out_is_predicted_from_the_combined_image():
    """A method that keeps what was measured and combines the coils is judged by its prediction."""
    torch.manual_seed(0)
    denoiser = NoiseLevelUnet((4, 6), 1, images=2)
    method, sample = HqsNet(GivenMaps(), denoiser, iterations=1), scenes.batch()
    losses, gradients = [], []
    for combination in ("sense", "rss"):
        method.combine_by(combination)
        method.zero_grad()
        torch.manual_seed(1)
        loss = Ssdu()(method, sample)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in method.parameters()]))
        image, _ = reconstruct_with_maps(method, sample)
        assert image.equal(method.alone(sample, sample.maps)) and image.imag.any()
    assert not method(sample).imag.any()
    assert losses[0] == losses[1] and gradients[0].any() and gradients[0].equal(gradients[1])


@pytest.mark.parametrize("empty", [False, True])
def test_a_root_sum_of_squares_trains_likewise(empty):
    torch.manual_seed(0)
    method = HqsNet(GivenMaps(), NoiseLevelUnet((4, 6), 1, images=2), iterations=1)
    method.combine_by("rss")
    sample = scenes.empty(scenes.batch()) if empty else scenes.batch()
    Supervised(psnr=1)(method, sample).backward()
    gradients = torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])
    assert gradients.isfinite().all() and bool(gradients.any()) != empty


def test_a_sampling_that_leaves_nothing_to_hold_out_is_refused():
    """The loss would be zero whatever the method does."""
    usual = single_coil()
    w = usual.kspace.shape[-1]
    mask = ((torch.arange(w) - w // 2).abs() < 4).expand(len(usual.kspace), 1, -1)
    sample = usual.replace(kspace=usual.kspace * mask.unsqueeze(1), mask=mask, acs=None)
    method = Learned(sample.kspace.shape[-2:])
    later = Ssdu()
    assert later(method, usual) > 0
    for objective in (Ssdu(), later):
        with pytest.raises(ConfigError, match="lies in the fully sampled centre"):
            objective(method, sample)
    assert Ssdu(center=(4, 4), consistency=0)(method, sample) > 0


def test_wrong_options():
    for options, message in (
        ({"held_out": 1.0}, "held_out must lie between 0 and 1"),
        ({"masks": 0}, "masks must be at least 1"),
        ({"consistency": -1.0}, "consistency must not be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            Ssdu(**options)
    with pytest.raises(ValueError, match="weight must not be negative"):
        EquivariantImaging(-1.0)


def test_a_quarter_turn_is_a_quarter_turn():
    x = torch.randn(2, 24, 24, dtype=torch.complex64)
    quarter = rotated(x, torch.tensor([torch.pi / 2, 0.0]))
    assert torch.allclose(quarter[0], torch.rot90(x[0]), atol=1e-4)
    assert torch.allclose(quarter[1], x[1], atol=1e-4)
    wide = torch.zeros(1, 17, 33, dtype=torch.complex64)
    wide[0, 8, 20] = 1  # four pixels beside the centre, which is pixel 16
    turned = rotated(wide, torch.tensor([torch.pi / 2]))[0].abs()
    assert turned[4, 16] == pytest.approx(1, abs=1e-3)


def test_equivariance_costs_nothing_for_the_truth_when_all_is_measured():
    """The inverse of a complete measurement is equivariant; another method is not."""

    class Inverse(Reconstructor):
        def __init__(self, factor):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(factor))

        def forward(self, sample):
            return self.factor * sense(sample.maps, sample.mask).H(sample.kspace)

    sample = single_coil()
    image = torch.randn(2, *sample.kspace.shape[-2:], dtype=torch.complex64)
    mask = torch.ones_like(sample.mask)
    sample = sample.replace(kspace=sense(sample.maps, mask)(image), mask=mask)
    right, wrong = (EquivariantImaging()(Inverse(f), sample).item() for f in (1.0, 0.5))
    assert right == pytest.approx(0, abs=1e-5) and wrong > 0.5


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
@pytest.mark.parametrize(
    "objective",
    [Ssdu(), Ssdu(masks=2), EquivariantImaging(other_masks=True)],
    ids=["ssdu", "multi-mask", "ei"],
)
def test_training_without_references_beats_the_zero_filled_image(objective, tmp_path):
    torch.manual_seed(0)
    model = VarNet(3, 6, 2, LowResolutionMaps(), combination="sense")
    drawn, fixed = (
        Compose([Undersample(scenes.PATTERN, seed), Normalize()]) for seed in ("random", "scan")
    )
    train = SliceDataset([scenes.scan(s) for s in range(10, 16)], drawn, cache=True)
    data = DataModule(train, SliceDataset([scenes.scan(1)], fixed), batch_size=2, seed=0)
    runs.fit(tmp_path, model, 8, objective, loaders=data)
    scan = scenes.scan(2)
    reference = torch.stack([scan.target(i) for i in range(len(scan))])
    trained, zero_filled = (
        psnr(reconstruct_scan(scan, method, fixed), reference) for method in (model, ZeroFilled())
    )
    assert trained > zero_filled + 0.5


class Watched(runs.pl.Callback):
    """Looks at val/loss, as a checkpoint does, and remembers the scores."""

    monitor = "val/loss"

    def __init__(self):
        self.scores = []

    def on_validation_end(self, trainer, _module):
        self.scores.append({k: v.item() for k, v in trainer.callback_metrics.items() if "val" in k})


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_scans_without_references_are_validated_by_the_loss(tmp_path):
    def fit(reference, **options):
        loaders, watch = runs.data(matrix=(20, 36)), Watched()
        slices = loaders.sets["val"]
        samples = [slices[i].replace(target=None) for i in range(len(slices))]
        if not reference:
            slices.transform = lambda sample: runs.FIXED(sample).replace(target=None)
        model = runs.varnet(combination="sense")
        runs.fit(tmp_path, model, 2, loaders=loaders, callbacks=[watch], **options)
        return watch.scores, model, samples

    scores, model, samples = fit(False, objective=Ssdu())
    assert [set(score) for score in scores] == [{"val/loss"}] * 2
    torch.manual_seed(derived_seed(repr(tuple(sample.key for sample in samples))))
    with torch.no_grad():
        expected = Ssdu()(model.eval(), collate(samples))
    assert scores[1]["val/loss"] == pytest.approx(expected.item(), rel=1e-4)
    assert scores[0]["val/loss"] != scores[1]["val/loss"]
    # with references the same, and their scores; training is as if nobody had looked
    both, other, _ = fit(True, objective=Ssdu())
    assert set(both[1]) == {"val/loss", "val/nmse", "val/psnr", "val/ssim"}
    assert [s["val/loss"] for s in both] == [s["val/loss"] for s in scores]
    assert runs.weights(other).equal(runs.weights(model))
    supervised, _, _ = fit(True)
    assert "val/loss" not in supervised[0]
