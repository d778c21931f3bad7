"""Networks of unrolled methods that are chosen in the configuration."""

import pytest
import torch
from hydra.utils import get_class

from mrirecon.config import build
from mrirecon.errors import ConfigError
from mrirecon.networks import Denoiser, NormUnet, ResidualCnn, Restormer
from mrirecon.networks.conv_gru import ConvGru
from mrirecon.networks.conv_ind_rnn import ConvIndRnn
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.networks.joint_cnn import JointCnn
from mrirecon.networks.mwcnn import Mwcnn, ResidualMwcnn
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.cascade_net import CascadeNet
from mrirecon.reconstructors.learned.fi_varnet import FiVarNet
from mrirecon.reconstructors.learned.lpd_net import LpdNet
from mrirecon.reconstructors.learned.modl import MoDL
from mrirecon.reconstructors.learned.recurrent_varnet import RecurrentVarNet
from mrirecon.reconstructors.learned.rim import Rim
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.reconstructors.learned.vsharp import VSharp
from mrirecon.reconstructors.learned.xpdnet import XpdNet
from mrirecon.sensitivity import GivenMaps
from tests.sensitivity.scene import scene
from tests.test_config import choices, composed

GIVEN = GivenMaps()
SMALL = [
    "++model.iterations=2",
    "++model.sensitivity={_target_: mrirecon.sensitivity.GivenMaps}",
]
WAVELETS = ["++model.regularizer.channels=[4]", "++model.regularizer.first_channels=4"]


@pytest.fixture
def sample():
    sample, maps, _ = scene((24, 21), coils=3, lines=8)
    return sample.replace(maps=maps)


@pytest.mark.parametrize(
    ("model", "choice", "parts", "network", "settings"),
    [
        ("xpdnet", "regularizer@model.regularizer=joint_cnn", "networks", JointCnn, SMALL),
        (
            "lpd_net",
            "+regularizer@model.regularizer=joint_mwcnn",
            "primal_networks",
            Mwcnn,
            SMALL + WAVELETS,
        ),
        (
            "rim",
            "+regularizer@model.regularizer=conv_ind_rnn",
            "units",
            ConvIndRnn,
            [*SMALL, "++model.regularizer.channels=4"],
        ),
        (
            "recurrent_varnet",
            "+regularizer@model.regularizer=conv_ind_rnn",
            "units",
            ConvIndRnn,
            [*SMALL, "++model.regularizer.channels=4", "++model.regularizer.images=1"],
        ),
        (
            "modl",
            "regularizer@model.regularizer=mwcnn",
            "denoisers",
            ResidualMwcnn,
            SMALL + WAVELETS,
        ),
        (
            "fi_varnet",
            "+regularizer@model.regularizer=residual_cnn",
            "denoisers",
            ResidualCnn,
            [SMALL[1], "++model.cascades=1", "++model.channels=4", "++model.pools=2"],
        ),
    ],
)
def test_network_is_chosen_in_the_configuration(model, choice, parts, network, settings, sample):
    config = composed("reconstruct", f"model={model}", choice, *settings)
    built = build(config.model, Reconstructor, "model")
    assert all(isinstance(part, network) for part in getattr(built, parts))
    built(sample).abs().square().sum().backward()
    for part in getattr(built, parts):
        # the state of the last step and the last layers of unused images lead nowhere
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())


@pytest.mark.parametrize(
    ("explicit", "default"),
    [
        (
            lambda: LpdNet(GIVEN, 2, memory=3, dual_regularizer=JointCnn(5, 3, 8), channels=8),
            lambda: LpdNet(GIVEN, 2, 8, 3, 3),
        ),
        (
            lambda: LpdNet(GIVEN, 2, memory=3, regularizer=JointCnn(4, 3, 8), channels=8),
            lambda: LpdNet(GIVEN, 2, 8, 3, 3),
        ),
        (lambda: Rim(GIVEN, 2, regularizer=ConvGru(4, 2, 2)), lambda: Rim(GIVEN, 2, 4, 2)),
        (
            lambda: RecurrentVarNet(GIVEN, 2, regularizer=ConvGru(4, 3)),
            lambda: RecurrentVarNet(GIVEN, 2, 4, 3),
        ),
        (
            lambda: XpdNet(GIVEN, Mwcnn(3, 2), 1, 2),
            lambda: XpdNet(GIVEN, iterations=1, memory=2),
        ),
    ],
)
@torch.no_grad()
def test_default_network_is_the_documented_one(explicit, default, sample):
    one, other = explicit(), default()
    one.load_state_dict(other.state_dict())
    torch.testing.assert_close(one(sample), other(sample))


def test_independent_units_follow_their_equation():
    network = ConvIndRnn(4, 2, 1)
    image = torch.randn(1, 1, 8, 9, dtype=torch.complex64)
    _, (first, second) = network(image)
    _, (again, _) = network(image, (first, second))
    cell = network.cells[0]
    driven = torch.nn.functional.relu(network.convolutions[0](channels(image)))
    driven = torch.einsum("oi,bihw->bohw", cell.input.weight[..., 0, 0], driven)
    driven = driven + cell.input.bias[:, None, None]
    torch.testing.assert_close(first, driven.clamp(min=0))
    torch.testing.assert_close(again, (driven + cell.memory * first).clamp(min=0))
    assert cell.memory.min() >= 0 and cell.memory.max() <= 1


def tiny():
    return Restormer(4, (1, 1), (1, 2), 1)


def channels(image):
    return torch.cat([image.real, image.imag], 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: XpdNet(GIVEN, Mwcnn(4, 3)), "regularizer.images must be 6 .* got 4"),
        (lambda: XpdNet(GIVEN, JointCnn(6, 4)), "regularizer.outputs must be 5 .* got 4"),
        (lambda: XpdNet(GIVEN, memory=0), "memory must be at least 1, got 0"),
        (lambda: LpdNet(GIVEN, regularizer=JointCnn(7, 5)), "regularizer.images must be 6"),
        (lambda: LpdNet(GIVEN, dual_regularizer=JointCnn(6, 5)), "dual_regularizer.images must be"),
        (lambda: Rim(GIVEN, regularizer=ConvGru(4, 2)), "regularizer.images must be 2 .* got 1"),
        (lambda: RecurrentVarNet(GIVEN, regularizer=ConvIndRnn(4)), "images must be 1 .* got 2"),
        (lambda: MoDL(GIVEN, JointCnn(6, 5)), "regularizer must be a network from one image"),
        (lambda: MoDL(GIVEN, ConvIndRnn(4)), "ConvIndRnn with these settings is none; choose res"),
        (lambda: MoDL(GIVEN, FusionUnet(3, 4, 1)), "regularizer must be a network from one image"),
        (lambda: MoDL(GIVEN, Denoiser(tiny(), 3, 1)), "regularizer must be a network from one"),
        (lambda: MoDL(GIVEN, tiny()), "and Restormer with these settings is none"),
        (lambda: CascadeNet(GIVEN, None, Mwcnn(1, 1)), "kspace_regularizer must be a network from"),
        (lambda: FiVarNet(GIVEN, Mwcnn(6, 5)), "regularizer must be a network from one image to"),
        (lambda: VarNet(regularizer=Mwcnn(6, 5)), "regularizer must be a network from one image"),
        (lambda: VSharp(GIVEN, NormUnet(4, 1)), "a stack of 3 images to one image, and NormUnet"),
        (
            lambda: VSharp(GIVEN, ResidualMwcnn([4])),
            "choose a FusionUnet of 3 images, or prompt",
        ),
        (lambda: VSharp(GIVEN, JointCnn(3, 1)), "a stack of 3 images to one image, and JointCnn"),
        (lambda: VSharp(GIVEN, FusionUnet(2, 4, 1)), "and FusionUnet with these settings is none"),
        (lambda: VSharp(GIVEN, Denoiser(tiny(), 3)), "and Denoiser with these settings is none"),
        (lambda: FiVarNet(GIVEN, cascades=0), "cascades must be at least 1, got 0"),
    ],
)
def test_networks_that_do_not_fit_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_networks_from_elsewhere_are_trusted(sample):
    assert MoDL(GIVEN, torch.nn.Identity(), iterations=1)(sample).isfinite().all()


ON_IMAGES = ["modl", "promptmr", "sdum"]
ON_KSPACE = ["varnet", "fi_varnet", "recurrent_varnet", "cascade_net", "kiki_net"]
SERVES = {
    "gradient_step": ON_IMAGES,
    "proximal_step": ON_IMAGES,
    "sampling_aware_gradient": ON_IMAGES,
    "corrected_maps": ON_IMAGES,
    "estimated_maps": ON_IMAGES,
    "hard_projection": ON_KSPACE,
    "soft_step": ON_KSPACE,
    "sampling_aware_step": ON_KSPACE,
}


def test_every_consistency_is_a_choice_of_the_models_that_it_serves_and_refused_by_the_others():
    assert sorted(SERVES) == choices("consistency")
    configs, nodes = {}, {}
    for model in ON_IMAGES + ON_KSPACE:  # composing takes longer than building
        sign = "" if model == "sdum" else "+"
        left = [choice for choice in SERVES if choice not in nodes]
        choice = next(iter(left), "soft_step")
        configs[model] = composed(
            "train", f"model={model}", f"{sign}consistency@model.consistency={choice}"
        )
        nodes[choice] = configs[model].model.consistency
    for choice in set(SERVES) - nodes.keys():
        nodes[choice] = composed(
            "train", "model=modl", f"+consistency@model.consistency={choice}"
        ).model.consistency
    for model, config in configs.items():
        for choice, serves in SERVES.items():
            config.model.consistency = nodes[choice]
            with torch.device("meta"):
                if model in serves:
                    built = build(config.model, Reconstructor, "model")
                    kind = get_class(config.model.consistency._target_)
                    assert any(isinstance(part, kind) for part in built.modules())
                    continue
                reason = r"model\.consistency: expected (Image|Kspace)Consistency or null, got a "
                with pytest.raises(ConfigError, match=reason):
                    build(config.model, Reconstructor, "model")
    splitting = "{_target_: mrirecon.reconstructors.SplittingStep, iterations: 2}"
    config = composed("train", "model=modl", f"++model.consistency={splitting}")
    with pytest.raises(
        ConfigError,
        match=r"or null, got a SplittingStep; choose .*GradientStep, .*ProximalStep",
    ):
        build(config.model, Reconstructor, "model")


def test_a_network_of_another_kind_is_refused():
    config = composed("reconstruct", "model=xpdnet", "regularizer@model.regularizer=norm_unet")
    with pytest.raises(ConfigError, match=r"model\.regularizer: expected .* got a NormUnet"):
        build(config.model, Reconstructor, "model")
