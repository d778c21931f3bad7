"""The contract that every conf/model/*.yaml keeps; a new YAML is tested without a new test."""

import pytest
import torch

from mrirecon.config import build
from mrirecon.data.collate import collate
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.types import Sample
from tests import scenes
from tests.test_config import choices, composed_once

# What a test can afford; everything else stays as shipped.
SMALL = {
    "adaptive_cs_net": ["++model.scales=[2,1]", "++model.channels=4"],
    "cascade_net": ["++model.iterations=2", "++model.regularizer.channels=4"],
    "fi_varnet": [
        "++model.cascades=2",
        "++model.channels=4",
        "++model.pools=2",
        "++model.acceleration=2",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
    ],
    "ista_net": ["++model.iterations=2", "++model.channels=4"],
    "kiki_net": ["++model.regularizer.channels=4", "++model.kspace_regularizer.channels=4"],
    "lpd_net": ["++model.iterations=2", "++model.channels=4"],
    "modl": ["++model.iterations=2", "++model.regularizer.channels=4"],
    "dl_espirit": ["++model.iterations=2", "++model.regularizer.channels=4"],
    "promptmr": [
        "++model.iterations=2",
        "++model.context=0",
        "++model.body.channels=[4,6,8]",
        "++model.body.prompt_channels=[2,3]",
        "++model.body.prompt_size=8",
        "++model.body.encoder=[1,1,1]",
        "++model.body.decoder=[1,1]",
        "++model.body.history=1",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
    ],
    "promptmr_kspace": [
        "++model.iterations=2",
        "++model.context=0",
        "++model.readout=null",
        "++model.regularizer.images=1",
        *(
            f"++model.{place}.body.{size}"
            for place in ("regularizer", "sensitivity.network")
            for size in (
                "channels=[4,6,8]",
                "prompt_channels=[2,3]",
                "prompt_size=8",
                "encoder=[1,1,1]",
                "decoder=[1,1]",
            )
        ),
    ],
    "recurrent_varnet": [
        "++model.iterations=2",
        "++model.channels=4",
        "++model.layers=2",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
    ],
    "rim": ["++model.iterations=2", "++model.channels=4"],
    "sdum": [
        "++model.iterations=2",
        "++model.context=0",
        "++model.body.channels=4",
        "++model.body.blocks=[1,1]",
        "++model.body.heads=[1,2]",
        "++model.body.refinement=1",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
        "++model.consistency.maps.estimator.channels=2",
        "++model.consistency.maps.estimator.pools=2",
    ],
    "sdum_coils": [
        "++model.iterations=2",
        "++model.context=0",
        "++model.maps=[2,4]",
        "++model.grid=[20,18]",
        "++model.network.images=1",
        "++model.network.channels=[4,8]",
        "++model.network.blocks=[1,1]",
        "++model.network.refinement=1",
    ],
    "vsharp": [
        "++model.iterations=2",
        "++model.steps=2",
        "++model.regularizer.channels=4",
        "++model.regularizer.pools=2",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
    ],
    "unet": ["++model.channels=4", "++model.pools=2"],
    "varnet": [
        "++model.cascades=2",
        "++model.channels=4",
        "++model.pools=2",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
    ],
    "xpdnet": [
        "++model.iterations=2",
        "++model.regularizer.channels=[8,8]",
        "++model.regularizer.first_channels=8",
        "++model.sensitivity.channels=2",
        "++model.sensitivity.pools=2",
    ],
}
# Where an iteration ends matters when the members of a batch end at different ones, not elsewhere.
ITERATIVE = (
    "l1_wavelet", "locally_low_rank", "low_rank_plus_sparse", "pnp", "sigpy_l1_wavelet",
    "sigpy_total_variation", "temporal_tv", "tgv", "total_variation",
)  # fmt: skip
FEW = {name: ["++model.iterations=3"] for name in ITERATIVE} | {
    "pretrained": ["++model.partner.iterations=3"]
}


def make(name: str, *overrides: str) -> Reconstructor:
    torch.manual_seed(0)
    config = composed_once("reconstruct", f"model={name}", *SMALL.get(name, []), *overrides)
    return build(config.model, Reconstructor, "model").eval()


@pytest.fixture(params=choices("model"))
def name(request):
    return request.param


@pytest.fixture
def model(name):
    return make(name, *FEW.get(name, []))


@pytest.fixture(scope="module")
def sample():
    return scenes.batch()


def test_image_has_the_grid_of_kspace(model, sample):
    image = model(sample)
    assert image.shape == (2, 40, 36) and image.dtype == torch.complex64
    assert image.isfinite().all() and image.abs().max() > 0.1


@pytest.mark.parametrize("matrix", [(33, 31), (40, 31)])
def test_odd_sizes(model, matrix):
    assert model(scenes.batch(scenes.scan(matrix=matrix, slices=1))).shape == (1, *matrix)


def assert_independent(model: Reconstructor, sample: Sample):
    together = model(sample)
    for i in range(len(sample.key)):
        alone = model(sample.map(lambda t, i=i: t[i : i + 1]).replace(key=sample.key[i : i + 1]))
        torch.testing.assert_close(alone[0], together[i], rtol=1e-3, atol=1e-4)


def test_members_of_a_batch_do_not_influence_one_another(name):
    model = make(name)
    if model.joint:
        pytest.skip("the members are frames that are reconstructed together")
    a, b = (scenes.undersampled(scenes.scan(subject)) for subject in (0, 1))
    louder = b.replace(kspace=30 * b.kspace)
    assert_independent(model, collate([a, louder]))


class MixesTheBatch(Reconstructor):
    def forward(self, sample):
        coils = sample.kspace.sum(-3)
        return coils / coils.abs().mean()


def test_the_independence_test_catches_a_batch_mixing_method(sample):
    with pytest.raises(AssertionError):
        assert_independent(MixesTheBatch(), sample)


def test_does_not_modify_its_input(model, sample):
    before = sample.map(torch.clone)
    model(sample)
    for name, tensor in before.tensors().items():
        assert scenes.equal(tensor, getattr(sample, name)), name


def test_every_parameter_receives_a_gradient(model, sample):
    if not model.trainable:
        pytest.skip("classical method")
    model.train()(sample).abs().square().sum().backward()
    missing = [
        name
        for name, p in model.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    ]
    assert not missing


def test_empty_slices_stay_finite(model):
    a = scenes.undersampled(scenes.scan())
    image = model(collate([a, scenes.empty(a), scenes.unmeasured(a)]))
    assert image.isfinite().all() and image[1:].abs().max() < 1e-3
    if model.trainable:
        image.abs().sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_one_coil(model):
    image = model(scenes.batch(scenes.scan(coils=1, slices=1)))
    assert image.isfinite().all() and image.abs().max() > 0.1


def test_weights_survive_a_round_trip(name, model, sample, tmp_path):
    other = make(name, *FEW.get(name, []))
    for parameter in model.parameters():
        parameter.data += 0.01
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    torch.testing.assert_close(other(sample), model(sample))
