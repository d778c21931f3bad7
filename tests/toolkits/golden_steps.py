"""How far a loaded network is from what DIRECT recorded of it; also run as a program, in double."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from mrirecon.building import build_node
from mrirecon.fourier import center_phases
from mrirecon.reconstructors import ModulatedNetwork, NominalSampling
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.unrolled import Iterating
from mrirecon.toolkits.direct import METHODS, assembled
from mrirecon.toolkits.direct_layout import modern
from mrirecon.toolkits.direct_settings import settings_of
from mrirecon.toolkits.direct_tensors import Tensors
from mrirecon.types import Sample


def complex_tensor(values, dtype):
    return torch.view_as_complex(torch.from_numpy(np.ascontiguousarray(values))).to(dtype)


class Told(NominalSampling):
    """What DIRECT was told, whatever the mask is."""

    def __init__(self, numbers):
        super().__init__()
        self.told = numbers

    def forward(self, sample):  # noqa: ARG002 - as the others
        return self.told


def errors(path, dtype):
    """Yield what was compared and the largest difference, of the largest number."""
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    config = json.loads(str(data["config_json"]))
    tree = {
        "model": {**config, "model_name": config["model"]},
        "physics": {"forward_operator": config["fft"]},
        "inference": {"dataset": {"transforms": {"scale_percentile": None, "padding_eps": 0.0}}},
    }
    weights = {
        modern(f"model.{k[3:]}"): torch.from_numpy(v) for k, v in data.items() if k[:3] == "sd/"
    }
    found = Tensors(weights, str(path), settings_of(tree, Path("config.yaml")))
    method = next(one for one in METHODS if one.network == config["model"])
    node = {**method.node(found), "sensitivity": {"_target_": "mrirecon.sensitivity.GivenMaps"}}
    model = build_node(node, Reconstructor, "model").eval().to(dtype)
    model.load_state_dict(assembled(node, found, method))
    if "in/auxiliary_data" in data:
        for network in filter(lambda one: isinstance(one, ModulatedNetwork), model.modules()):
            network.sampling = Told(torch.from_numpy(data["in/auxiliary_data"]).to(dtype))
    sample = _sample(data, config, torch.promote_types(dtype, torch.complex64))
    out = "out64" if dtype == torch.float64 else "out32"
    with torch.no_grad():
        if isinstance(model, Iterating):
            images = [(f"x_{t}", image) for t, image in enumerate(model.iterates(sample))]
        else:
            images = [("image_rss", model(sample).real)]
    for name, image in images:
        expected = data[f"{out}/{name}"]
        expected = torch.from_numpy(expected) if name == "image_rss" else complex_tensor(
            expected, image.dtype
        )  # fmt: skip
        expected = expected[0] if expected.ndim > image.ndim else expected
        yield name, float((image - expected).abs().max() / expected.abs().max())


def _sample(data, config, dtype):
    kspace = complex_tensor(data["in/masked_kspace"], dtype)
    maps = complex_tensor(data["in/sensitivity_map"], dtype)
    if "centered=False" in config["fft"]:  # our transform is centred
        (p_h, q_h), (p_w, q_w) = (center_phases(n, kspace) for n in kspace.shape[-2:])
        kspace, maps = kspace * (q_h[:, None] * q_w), maps * (p_h[:, None] * p_w).conj()
    mask = torch.from_numpy(data["in/sampling_mask"])[:, 0, ..., 0]
    if kspace.ndim == 5:  # of series, whose frames are our batch
        kspace, maps, mask = kspace[0].transpose(0, 1), maps[0].transpose(0, 1), mask[0]
        mask = mask.expand(len(kspace), *mask.shape[1:])
    return Sample(kspace, mask, maps=maps)


if __name__ == "__main__":
    for one in sys.argv[1:]:
        for step, error in errors(Path(one), torch.float64):
            print(Path(one).stem, step, error)
