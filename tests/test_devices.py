"""What runs on a GPU, on a machine without one: see :mod:`tests.accelerator`."""

from collections import Counter
from types import SimpleNamespace
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
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.reconstructors.classical.partial_fourier import Homodyne, Pocs
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.ista_net import IstaNet
from mrirecon.reconstructors.learned.rim import Rim
from mrirecon.sensitivity import GivenMaps, LearnedMaps, eigenmaps
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

# What the host waits for in a training step, by the file that asks for it. What is learned from
# end to end waits for nothing.
ESPIRIT = {
    "tolist at sensitivity/base.py": 1,  # sizes of the calibration regions, which are cut out
    "_local_scalar_dense at sensitivity/subspace.py": 1,  # how many singular vectors are signal
    "nonzero at sensitivity/eigenmaps.py": 2,  # of each member, the pixels to compute exactly
}
PHASED = ESPIRIT | {"tolist at sensitivity/low_resolution.py": 1}  # refuses too small a centre
PER_SERIES = {
    "cpu at sensitivity/base.py": 1,  # the centre of the time average, found in its mask
    "_local_scalar_dense at sensitivity/series.py": 1,  # whether each frame brings a centre
}
WAITS = {
    **dict.fromkeys(
        ("adaptive_cs_net", "cascade_net", "ista_net", "kiki_net", "lpd_net", "modl", "rim"),
        ESPIRIT,
    ),
    "dl_espirit": ESPIRIT | PER_SERIES | {"nonzero at sensitivity/eigenmaps.py": 1},
    "hqs_net": PHASED,
    "pretrained": PHASED,
    # its iterations end where a step changes little; trained is only its denoiser
    "pnp": PHASED | {"_local_scalar_dense at solvers/base.py": 2},
    "sdum_coils": {"cpu at reconstructors/learned/sdum.py": 1},  # tells the kind of the mask
    "unet": {"tolist at reconstructors/learned/unet.py": 1},  # the field of view, which is cut out
}
NOISE = {"cpu at reconstructors/parts/estimated_noise.py": 1}  # where k-space shows only noise
WAITS_OF_OBJECTIVES = {
    **dict.fromkeys(("noise2recon", "noise2recon_ssdu", "robust_ssdu", "vortex"), NOISE),
    "denoising": PHASED,
}

# What a test can afford.
QUICK = {
    "nlinv": ["++sensitivity.newton=1", "++sensitivity.iterations=1"],
    "sigpy_jsense": ["++sensitivity.iterations=1"],
    **{
        name: ["++model.iterations=2"]
        for name in (
            "l1_wavelet",
            "locally_low_rank",
            "pnp",
            "sigpy_l1_wavelet",
            "tgv",
            "total_variation",
        )
    },
}


@pytest.fixture
def device():
    for kept in (
        wavelet._matrices,
        eigenmaps._kept,
        eigenmaps._bands,
    ):  # for a device that there was before
        kept.cache_clear()
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
    return host.pin_memory().to(DEVICE, non_blocking=True)


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


def waits_of(device):
    """Count what was waited for; the same lines, whatever their numbers are."""
    return dict(Counter(wait.rpartition(":")[0] for wait in device.waits))


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
    assert waits_of(device) == WAITS.get(name, {}), device.waits
    scenery = scattered(sample) if name != "fi_varnet" else sample
    assert_there(model.eval()(scenery))


@pytest.mark.parametrize("name", choices("objective"))
def test_objectives(name, sample, device):
    config = composed("train", "data=simulated", f"objective={name}", "sampling=random")
    objective = build(config.objective, Objective, "objective")
    special = {"ista_net": IstaNet(GivenMaps(), 1, 4), "iterates": Rim(GivenMaps(), 2, 4)}
    special["denoising"] = make("hqs_net")
    model = special.get(name) or runs.varnet(cascades=1)
    unknown = sample.replace(neighbors=None, noise=None)  # to be estimated
    train(model, objective, unknown)
    device.waits.clear()
    train(model, objective, unknown)  # by now it is known that method and sampling fit
    assert waits_of(device) == WAITS_OF_OBJECTIVES.get(name, {}), device.waits


@pytest.mark.parametrize("name", choices("sensitivity"))
def test_sensitivities(name, sample):
    config = composed("reconstruct", f"sensitivity={name}", *QUICK.get(name, []))
    estimator = build(config.sensitivity, SensitivityEstimator, "sensitivity")
    acs = torch.tensor([[40, 20], [40, 18]], device=DEVICE)  # two groups
    assert_there(estimator(sample.replace(acs=acs)), estimator.map_sets(sample.replace(acs=acs)))
    away = sample.replace(calibration=sample.kspace[..., 10:30, 8:28])
    assert_there(estimator(away))


@pytest.mark.parametrize("name", choices("optimizer"))
def test_optimizers(name, sample, device):
    model = runs.varnet(cascades=1)
    train(model, Supervised(), sample)
    device.waits.clear()
    build_function(composed("train", f"optimizer={name}").optimizer, "optimizer")(
        model.parameters()
    ).step()
    assert_there(*model.parameters())
    assert not device.waits


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


def test_batches_go_there_without_waiting(device):
    data = runs.data(subjects=1)
    for place in (DEVICE, torch.device("cpu")):
        strategy = SimpleNamespace(root_device=place)
        data.trainer = SimpleNamespace(
            strategy=strategy, num_devices=1, global_rank=0, world_size=1, current_epoch=0
        )
        loader = data.train_dataloader()
        assert loader.pin_memory is (place == DEVICE)
    batch = loader.dataset[next(iter(loader.sampler))]
    assert_there(data.transfer_batch_to_device(batch.pin_memory(), DEVICE, 0).kspace)
    assert not device.waits
    data.transfer_batch_to_device(batch.replace(kspace=batch.kspace.clone()), DEVICE, 0)
    assert device.waits  # what is not pinned


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
    if isinstance(model, CgSense):  # with fewer coils on a CPU, it stops elsewhere by rounding
        model.iterations, model.tolerance = 6, 0.0
    model = fills[name](model) if name in fills else model

    def prepare(sample):
        mask = sample.mask.clone()
        mask[..., : 13 if name in fills else 0] = False  # a part of one side
        return Normalize()(sample.replace(kspace=sample.kspace * mask, mask=mask))

    expected = pipeline.run(scan, pipeline.Method(model, prepare))
    made = pipeline.run(scan, pipeline.Method(model.to(DEVICE), prepare, device=DEVICE))
    volumes = [one.results[0].volume for one in (made, expected)]
    if name == "varnet":
        torch.testing.assert_close(*volumes)
    else:  # sums over fewer coils on a CPU
        assert torch.dist(*volumes) < 1e-5 * volumes[1].norm()
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
