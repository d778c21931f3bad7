import pytest
import pytorch_lightning as pl
import torch

from mrirecon.errors import ConfigError
from mrirecon.networks import Unet
from mrirecon.training.callbacks.compile_networks import NETWORKS, CompileNetworks
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests import scenes
from tests.runtime_types import unchecked
from tests.test_contract import make
from tests.training import runs

pytestmark = [  # of what PyTorch does itself when it traces
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]
TRAINER = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def module(model):
    return ReconstructionModule(model, Supervised(), runs.adam, runs.RECIPE)


def test_networks_are_compiled_and_keep_their_names():
    model = runs.varnet()
    names = list(model.state_dict())
    CompileNetworks(backend="eager").setup(TRAINER, module(model), "validate")
    assert not any(network._compiled_call_impl for network in model.modules())
    CompileNetworks(backend="eager").setup(TRAINER, module(model), "fit")
    for network in model.modules():
        assert (network._compiled_call_impl is not None) == isinstance(network, Unet)
    assert list(model.state_dict()) == names


# A method for each of the networks but the U-Net, which is compiled with its gradient below.
METHODS = {
    "adaptive_cs_net": "MultiscaleShrinkage", "dl_espirit": "SpaceTimeUnet",
    "fi_varnet": "FeatureUnet", "hqs_net": "NoiseLevelUnet", "ista_net": "LearnedShrinkage",
    "lpd_net": "JointCnn", "modl": "ResidualCnn", "promptmr": "PromptUnet", "rim": "GruCell",
    "sdum": "Restormer", "sdum_coils": "AffineUnet", "vsharp": "DilatedCnn", "xpdnet": "Mwcnn",
}  # fmt: skip


def test_every_network_of_the_package_is_looked_at():
    assert sorted([*METHODS.values(), "Unet"]) == sorted(NETWORKS)


@pytest.mark.parametrize("name", METHODS)
def test_compiled_networks_are_whole_graphs_and_the_same_functions(name):
    sample = scenes.batch(noise=torch.tensor([0.01, 0.02]))
    with unchecked():
        torch.manual_seed(0)
        model = make(name)
        expected = model(sample)
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        CompileNetworks([METHODS[name]], "eager").setup(TRAINER, module(model), "fit")
        found = model(sample)
    torch.testing.assert_close(found, expected)
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] >= 1 and not counters["graph_break"]


def test_gradients_pass_through_a_compiled_network():
    torch.manual_seed(0)
    network, x = Unet(2, 2, 2, 1), torch.randn(1, 2, 8, 8)
    with unchecked():
        expected = torch.autograd.grad(network(x).square().sum(), network.parameters())
        torch._dynamo.reset()
        network.compile(backend="aot_eager", fullgraph=True)
        found = torch.autograd.grad(network(x).square().sum(), network.parameters())
    torch.testing.assert_close(found, expected)


def test_a_method_without_such_a_network_is_refused():
    with pytest.raises(ConfigError, match=r"VarNet has no network called Resnet to .*Unet"):
        CompileNetworks(["Resnet"]).setup(TRAINER, module(runs.varnet()), "fit")
