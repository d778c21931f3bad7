import pytest
import pytorch_lightning as pl
import torch

from mrirecon.errors import ConfigError
from mrirecon.networks import Unet
from mrirecon.training.callbacks.compile_networks import CompileNetworks
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests.training import runs

TRAINER = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def module(model):
    return ReconstructionModule(model, Supervised(), runs.adam, runs.RECIPE)


def test_real_networks_are_compiled_and_keep_their_names():
    """The types that the tests check at run time are more than the compiler can trace."""
    model = runs.varnet()
    names = list(model.state_dict())
    CompileNetworks(backend="eager").setup(TRAINER, module(model), "validate")
    assert not any(network._compiled_call_impl for network in model.modules())
    CompileNetworks(backend="eager").setup(TRAINER, module(model), "fit")
    for network in model.modules():
        assert (network._compiled_call_impl is not None) == isinstance(network, Unet)
    assert list(model.state_dict()) == names


def test_a_compiled_network_is_the_same_function():
    class Twice(torch.nn.Module):
        """Without the type checks of the tests, which cannot be traced."""

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return torch.nn.functional.leaky_relu(self.layer(x)) * 2

    torch.manual_seed(0)
    model, x = runs.varnet(), torch.randn(1, 1, 5, 6)
    model.cascades[0].model = network = Twice()
    expected = network(x)
    CompileNetworks(["Twice"], backend="aot_eager").setup(TRAINER, module(model), "fit")
    found = network(x)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert network.layer.weight.grad.abs().max() > 0


def test_a_method_without_such_a_network_is_refused():
    with pytest.raises(ConfigError, match=r"VarNet has no network called Resnet to .*Unet"):
        CompileNetworks(["Resnet"]).setup(TRAINER, module(runs.varnet()), "fit")
