"""Reads ``fastmri.npz`` and rebuilds the inputs and weights that belong to it."""

from pathlib import Path

import numpy as np
import torch

from mrirecon.fourier import ifft
from mrirecon.types import Sample
from tests.golden import formula

FILE = Path(__file__).with_name("fastmri.npz")


def golden(name):
    with np.load(FILE) as file:
        return file[name]


def filled(model, prefix=""):
    """Return ``model`` with the weights of the generator, whose names lack ``prefix``."""
    state = {
        name: torch.from_numpy(
            np.asarray(formula.parameter(name.removeprefix(prefix), tuple(value.shape)))
        )
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model.eval()


def sample(name, rule="told"):
    mask = torch.from_numpy(formula.lines(name))[None]
    acs = torch.tensor([formula.SHAPES[name][0], formula.LINES[name]])
    kspace = torch.from_numpy(formula.kspace(name)) * mask
    return Sample(kspace=kspace, mask=mask, acs=acs if rule == "told" else None)


def coil_images(name):
    return ifft(sample(name).kspace)
