"""Networks that are fitted to the scan that they reconstruct."""

import pytest
import torch

from mrirecon.adaptation import Adaptation, AdaptationRecord
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft
from mrirecon.inference import reconstruct_scan
from mrirecon.metrics.fastmri import psnr
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.scan import Scan
from mrirecon.sensitivity import LowResolutionMaps
from mrirecon.training.objectives.base import Objective, Supervised
from mrirecon.training.objectives.ssdu import Ssdu
from tests import scenes
from tests.training import runs

TRANSFORM = Compose([Undersample(scenes.PATTERN), Normalize()])


def varnet():
    torch.manual_seed(0)
    return VarNet(2, 4, 2, LowResolutionMaps(), combination="sense")


def test_it_improves_on_the_starting_weights_and_leaves_them():
    scan, model = scenes.scan(2, slices=2), varnet()
    before = runs.weights(model)
    adapt = Adaptation(steps=30, interval=10, lr=3e-3)
    state = torch.get_rng_state()
    network, record = adapt(scan, model, TRANSFORM)
    assert torch.get_rng_state().equal(state)
    assert runs.weights(model).equal(before) and not network.training
    losses = dict(record.losses)
    assert list(losses) == [0, 10, 20, 30] and losses[record.best] == min(losses.values())
    assert losses[record.best] < 0.9 * losses[0]
    reference = torch.stack([scan.target(i) for i in range(len(scan))])
    start, fitted = (
        psnr(reconstruct_scan(scan, m, TRANSFORM), reference) for m in (model, network)
    )
    assert fitted > start + 1
    again, _ = adapt(scan, model, TRANSFORM)
    assert runs.weights(again).equal(runs.weights(network))


@pytest.mark.parametrize("lines", [False, True])
def test_whole_lines_may_be_set_aside(lines):
    sample = TRANSFORM(scenes.scan(2, slices=1)[0]).map(lambda x: x.unsqueeze(0))
    sample = sample.replace(key=(("a", 0),))
    part = Adaptation(lines=lines)._set_aside(sample, 1)
    counts = part.unseen.expand_as(sample.kspace[:, 0]).sum(-2)
    assert part.unseen.any() and not (part.unseen & part.sample.mask).any()
    assert set(counts.unique().tolist()) == {0, sample.kspace.shape[-2]} or not lines
    assert lines or len(counts.unique()) > 2


class Guess(Reconstructor):
    """Returns its parameter, whatever was measured; remembers what it saw."""

    def __init__(self, image):
        super().__init__()
        self.image, self.seen = torch.nn.Parameter(image), []

    def forward(self, sample):
        if self.training:
            self.seen.append(sample)
        return self.image.expand(len(sample.kspace), -1, -1)

    def __deepcopy__(self, _):
        copied = Guess(self.image.detach().clone())
        copied.seen = self.seen
        return copied


class Away(Objective):
    """Leads away from the truth: adaptation must end where it began."""

    def forward(self, reconstructor, sample):
        return -Ssdu()(reconstructor, sample)


class OneCoil(Scan):
    """A scan of one object with a single coil."""

    def __init__(self, slices=1):
        simulated = scenes.scan(slices=slices, coils=1)
        self.header = simulated.header
        self.simulated = simulated

    def _read(self, index):
        sample = self.simulated[index]
        target = self.simulated.target(index)
        return sample.replace(maps=torch.ones_like(sample.kspace), target=target)


def test_the_starting_weights_are_kept_when_nothing_is_better():
    scan = OneCoil()
    truth = TRANSFORM(scan[0])
    full = scan[0].kspace / truth.scale
    image = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(full[0]), norm="ortho"))
    model = Guess(image)
    network, record = Adaptation(Away(), steps=100, interval=2, patience=3, lr=0.01)(
        scan, model, TRANSFORM
    )
    assert record.best == 0 and record.steps == 6  # three validations in vain
    assert network.image.equal(model.image)
    assert dict(record.losses)[0] == pytest.approx(0, abs=1e-4)


def test_what_validates_is_never_trained_on_and_nothing_looks_at_the_target():
    scan = OneCoil(slices=3)
    model = Guess(torch.zeros(40, 36, dtype=torch.complex64))
    _, record = Adaptation(steps=6, interval=2, lr=0.1)(scan, model, TRANSFORM)
    assert {s.key[0][1] for s in model.seen[:3]} == {0, 1, 2}  # every slice in turn
    assert all(s.target is None and s.peak is None for s in model.seen)
    measured = TRANSFORM(scan[0]).mask.sum() * 40
    unions = [
        torch.stack([s.mask[0] for s in model.seen if s.key[0][1] == i]).any(0) for i in range(3)
    ]
    for union in unions:  # of three or more divisions: nearly all that may be seen, and no more
        assert union.sum() <= 0.81 * measured
    assert len(record.losses) == 4


def test_the_self_validation_loss_is_the_error_at_what_was_set_aside():
    scan = OneCoil()
    image = torch.randn(40, 36, dtype=torch.complex64)
    adapt = Adaptation(steps=1, lr=1e-9)
    torch.manual_seed(0)
    sample = TRANSFORM(scan[0]).map(lambda t: t.unsqueeze(0))
    unseen = adapt.partition.split(sample)[1][0]
    share = unseen.sum() / (sample.mask.sum() * 40)
    assert share.item() == pytest.approx(0.2, abs=0.01)
    y, e = sample.kspace[0, 0][unseen], (fft(image) - sample.kspace[0, 0])[unseen]
    expected = e.norm() / y.norm() + e.abs().sum() / y.abs().sum()
    _, record = adapt(scan, Guess(image), TRANSFORM)
    assert record.losses[0][1] == pytest.approx(expected.item(), rel=1e-4)


def test_the_record_tells_it_in_words():
    lines = AdaptationRecord(20, 10, ((0, 1.5), (10, 1.0), (20, 1.1))).lines()
    assert "best weights after 10 of 20 steps" in lines[0]
    assert "1.5000 before, 1.0000 then" in lines[0] and lines[3] == "step 20: 1.100000"


def test_what_cannot_work_is_refused():
    scan = scenes.scan(slices=1)
    with pytest.raises(ConfigError, match="CgSense has no parameters to adapt"):
        Adaptation()(scan, CgSense(LowResolutionMaps()), TRANSFORM)
    with pytest.raises(ConfigError, match=r"no sample of .* can be set aside"):
        Adaptation()(scan, varnet(), Normalize())  # fully sampled: all of it is the centre
    with pytest.raises(ConfigError, match="returned a magnitude"):
        Adaptation()(scan, runs.varnet(combination="rss"), TRANSFORM)
    for options, message in (
        ({"objective": Supervised()}, "Supervised needs a reference image"),
        ({"validation": 0.0}, "validation must lie between 0 and 1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            Adaptation(**options)
