"""What runs on a GPU, on a machine without one: see :mod:`tests.accelerator`."""

from unittest import mock

import pytest
import torch

from mrirecon import pipeline
from mrirecon.adaptation import Adaptation
from mrirecon.assessment.assess import assess
from mrirecon.config import build, build_function
from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.evaluation.noise_maps.g_factor import sense_g_factor
from mrirecon.evaluation.noise_maps.replicas import pseudo_replicas
from mrirecon.networks.parts.conditioning import Conditioning
from mrirecon.operators import adjoint_image, sense_normal, wavelet
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.reconstructors.classical.partial_fourier import Homodyne, Pocs
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.ista_net import IstaNet
from mrirecon.reconstructors.learned.rim import Rim
from mrirecon.sensitivity import GivenMaps, LearnedMaps
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.training.objectives.base import Objective, Supervised
from mrirecon.training.objectives.ssdu import Ssdu
from mrirecon.training.validation_scores import VolumeScores
from tests import scenes
from tests.accelerator import DEVICE, Accelerator, WrongDeviceError
from tests.test_assessment import Changed
from tests.test_config import choices, composed
from tests.test_contract import make
from tests.training import runs

# Learned from end to end: nothing in a training step has to wait for a number.
NEVER_WAITING = (
    "fi_varnet", "promptmr", "recurrent_varnet", "sdum", "unet", "varnet", "vsharp", "xpdnet",
)  # fmt: skip
WAITING_FOR_SIZES = {"unet": ["tolist at reconstructors/learned/unet.py"]}
"""Its input is cropped to the field of view, of which a Sample tells the size."""

# What a test can afford, of methods without parameters.
QUICK = {
    "nlinv": ["++sensitivity.newton=1", "++sensitivity.iterations=1"],
    "sigpy_jsense": ["++sensitivity.iterations=1"],
    **{
        name: ["++model.iterations=2"]
        for name in ("l1_wavelet", "locally_low_rank", "sigpy_l1_wavelet", "tgv", "total_variation")
    },
}


@pytest.fixture
def device():
    wavelet._matrices.cache_clear()  # matrices of a device that there was before
    with Accelerator() as device:
        yield device


@pytest.fixture(scope="module")
def host():
    """A batch with everything that a Sample may bring."""
    near = scenes.batch().map(lambda t: t[:, None]).replace(seed=None)
    return scenes.batch().replace(
        protocol=torch.tensor([[3.0, 500, 10, torch.nan, 90]]).repeat(2, 1),
        noise=torch.tensor([0.01, 0.02]),
        neighbors=near,
        seed=(1, 2),
    )


@pytest.fixture
def sample(device, host):  # noqa: ARG001 - entered
    return host.to(DEVICE)


def scattered(sample):
    """The same batch measured at single positions with different weights."""
    h, w = sample.kspace.shape[-2:]
    mask = torch.rand(h, w, generator=torch.Generator().manual_seed(0)) > 0.4
    mask[h // 2 - 8 : h // 2 + 8, w // 2 - 8 : w // 2 + 8] = True
    mask = mask.to(sample.kspace.device)
    kspace = sample.kspace * mask
    mask = mask.expand(len(kspace), h, w)
    return sample.replace(kspace=kspace, mask=mask, weights=0.5 + 0.5 * mask.float(), acs=None)


def assert_there(*tensors):
    assert all(tensor.device == DEVICE for tensor in tensors)


def train(model, objective, sample):
    model.to(DEVICE).train()
    loss = objective.to(DEVICE)(model, sample)
    loss.backward()
    assert_there(loss, *(p.grad for p in model.parameters() if p.grad is not None))


@pytest.mark.parametrize("name", choices("model"))
def test_models(name, sample, device):
    model = make(name, *QUICK.get(name, [])).to(DEVICE)
    if not model.trainable:
        assert_there(model(sample))
        return
    device.waits.clear()
    train(model, Supervised(ssim=0, l1=1), sample.replace(target=sample.kspace[:, 0].abs()))
    if name in NEVER_WAITING:
        waits = [wait.rpartition(":")[0] for wait in device.waits]
        assert waits == WAITING_FOR_SIZES.get(name, []), device.waits
    scenery = scattered(sample) if name != "fi_varnet" else sample
    assert_there(model.eval()(scenery))


@pytest.mark.parametrize("name", choices("objective"))
def test_objectives(name, sample):
    config = composed("train", "data=simulated", f"objective={name}", "sampling=random")
    objective = build(config.objective, Objective, "objective")
    special = {"ista_net": IstaNet(GivenMaps(), 1, 4), "iterates": Rim(GivenMaps(), 2, 4)}
    special["denoising"] = make("hqs_net")
    model = special.get(name) or runs.varnet(cascades=1)
    train(model, objective, sample.replace(neighbors=None, noise=None))  # to be estimated


@pytest.mark.parametrize("name", choices("sensitivity"))
def test_sensitivities(name, sample):
    config = composed("reconstruct", f"sensitivity={name}", *QUICK.get(name, []))
    estimator = build(config.sensitivity, SensitivityEstimator, "sensitivity")
    acs = torch.tensor([[40, 20], [40, 18]], device=DEVICE)  # two groups
    assert_there(estimator(sample.replace(acs=acs)), estimator.map_sets(sample.replace(acs=acs)))
    away = sample.replace(calibration=sample.kspace[..., 10:30, 8:28])
    assert_there(estimator(away))


@pytest.mark.parametrize("name", choices("optimizer"))
def test_optimizers(name, sample):
    model = runs.varnet(cascades=1)
    train(model, Supervised(), sample)
    build_function(composed("train", f"optimizer={name}").optimizer, "optimizer")(
        model.parameters()
    ).step()
    assert_there(*model.parameters())


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("transforms", ["train", "evaluate", "semi_supervised"])
@pytest.mark.parametrize("sampling", ["random", "poisson_disc"])
def test_batches_are_prepared_where_they_are(transforms, sampling):
    config = composed(
        "train",
        "data=folder_on_device",
        f"data/transforms@data.train.batch_transform={transforms}",
        f"sampling={sampling}",
        "++data.train.scans.path=.",
        "++data.val.scans.path=.",
        *(["++sampling.acs=[8,8]"] if sampling == "poisson_disc" else []),
    )
    transform = build_function(config.data.train.batch_transform, "transform")
    scan = scenes.scan()
    whole = collate([scan[i] for i in range(len(scan))]).replace(seed=(1, 2), target=None)
    whole = whole.replace(neighbors=whole.map(lambda t: t[:, None]))
    batch = transform(whole.to(DEVICE))
    assert_there(*batch.tensors().values(), *batch.neighbors.tensors().values())


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("shape", [(1, 36), (40, 36)])
def test_the_normal_operator_as_on_a_gpu(shape, host):
    mask = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) > 0.4
    host = host.replace(
        mask=mask, weights=0.3 + 0.7 * mask.float(), kspace=host.kspace * mask[:, None]
    )

    def results(sample):
        maps = sample.maps.clone().requires_grad_()
        x = (sample.kspace[:, 0] + 1).requires_grad_()
        normal = sense_normal(sample, maps)
        y, z = normal(x), adjoint_image(sample, maps)
        (y - z).abs().square().sum().backward()
        return y, z, x.grad, maps.grad

    expected, found = results(host), results(host.to(DEVICE))
    assert_there(*found)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("device")
def test_learned_maps_on_a_gpu_are_those_of_the_host(host):
    estimator = LearnedMaps(2, 2)
    expected = estimator(host)
    torch.testing.assert_close(estimator.to(DEVICE)(host.to(DEVICE)).cpu(), expected)


@pytest.mark.parametrize("pattern", ["lines", "points"])
def test_classical_methods_that_index(pattern, sample):
    if pattern == "points":
        sample = scattered(sample).replace(weights=None)
    assert_there(Grappa(kernel=(3, 2))(sample))


def test_conditioning(sample):
    assert_there(Conditioning(8).to(DEVICE)(scattered(sample)))


def test_noise_and_g_factor(sample):
    regular = torch.arange(36, device=DEVICE) % 2 == 0
    assert_there(sense_g_factor(sample.maps, regular.expand(2, 1, 36)))
    result = pseudo_replicas(ZeroFilled(), sample, replicas=2, calibrate=False)
    assert_there(result.deviation, result.snr, result.g_factor)


def test_validation(sample):
    scores = VolumeScores()
    scores.add(sample, ZeroFilled()(sample))
    assert scores.mean()["nmse"] > 0


def test_bf16(sample):
    model = make("sdum")
    with torch.autocast(DEVICE.type, torch.bfloat16):
        train(model, Supervised(), sample)


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("name", ["cg_sense", "varnet", "homodyne", "pocs"])
def test_from_a_scan_to_images_and_their_quality(name):
    scan, fills = scenes.scan(), {"homodyne": Homodyne, "pocs": Pocs}
    model = make("cg_sense" if name in fills else name)
    model = fills[name](model) if name in fills else model

    def prepare(sample):
        mask = sample.mask.clone()
        mask[..., : 13 if name in fills else 0] = False  # a part of one side
        return Normalize()(sample.replace(kspace=sample.kspace * mask, mask=mask))

    expected = pipeline.run(scan, pipeline.Method(model, prepare))
    made = pipeline.run(scan, pipeline.Method(model.to(DEVICE), prepare, device=DEVICE))
    torch.testing.assert_close(made.results[0].volume, expected.results[0].volume)
    file = Changed(scan, scan.header)
    assert assess(file, model, prepare, device=DEVICE).coils.magnitude.any()


@pytest.mark.usefixtures("device")
def test_adaptation_to_a_scan():
    fork = torch.random.fork_rng
    with mock.patch("torch.random.fork_rng", lambda *_, **__: fork([])):  # wants a driver
        adapt = Adaptation(Ssdu(), steps=2, interval=1)
        network, record = adapt(
            scenes.scan(),
            make("modl"),
            Compose([Undersample(scenes.PATTERN), Normalize()]),
            device=DEVICE,
        )
    assert_there(*network.parameters())
    assert record.steps == 2


class Forgets(Reconstructor):
    """Makes an index on the host."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def forward(self, sample):
        place = sample.kspace.device if self.place else None
        index = torch.arange(sample.kspace.shape[-1], device=place)
        return sample.kspace[:, 0] * index


def test_what_was_made_on_the_host_is_found(sample, device):
    assert_there(Forgets(True)(sample))
    with pytest.raises(WrongDeviceError, match=r"mul .* of the host \(36,\)"):
        Forgets(False)(sample)
    with pytest.raises(WrongDeviceError, match="index"):
        sample.kspace[torch.tensor([0, 1])]
    with pytest.raises(WrongDeviceError, match="numpy"):
        sample.kspace.numpy()
    with pytest.raises(WrongDeviceError, match="generator"):
        torch.randn(3, generator=torch.Generator(), device=DEVICE)
    assert not device.waits
    assert sample.kspace.abs().sum() > 0 and device.waits


@pytest.mark.usefixtures("device")
def test_gradients_find_it_too():
    class Forgets(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return 2 * x

        @staticmethod
        def backward(_, g):
            return g * torch.arange(3)

    x = torch.ones(3, device=DEVICE, requires_grad=True)
    y = Forgets.apply(x).sum()
    with pytest.raises(WrongDeviceError):
        y.backward()
