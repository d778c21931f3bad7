import pytest
import pytorch_lightning as pl

from mrirecon.errors import ConfigError
from mrirecon.networks import Unet
from mrirecon.training.compilation import CompileNetworks
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objective import Supervised
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


def test_a_method_without_such_a_network_is_refused():
    with pytest.raises(ConfigError, match=r"VarNet has no network called Resnet to .*Unet"):
        CompileNetworks(["Resnet"]).setup(TRAINER, module(runs.varnet()), "fit")
