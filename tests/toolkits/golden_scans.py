"""How far images from files are from those that DIRECT recorded; run as a program.

In a process of its own, where nobody checks for single precision: the images are made in both.
"""

import json
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml

from mrirecon.fourier import center_phases
from mrirecon.inference import reconstruct_scan
from mrirecon.loading import load_reconstructor
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan

CASES = (
    "e2e_a_uniform_maskfunc",
    "e2e_b_uniform_given_masks",
    "e2e_c_modconv",
    "e2e_d_rvn_calgary_style",
    "e2e_e_dynamic3d",
)
LAYOUTS = ("mini_uniform", "mini_uniform_legacy")


def off(result, expected):
    """Return the largest difference, of the largest number."""
    return float(np.abs(np.asarray(result) - expected).max() / np.abs(expected).max())


def written(recorded, folder):
    """Write weights, configuration and measured samples of a recorded case; return the image."""
    with np.load(recorded) as file:
        data = {key: file[key] for key in file.files}
    state = {"model": {}, "sensitivity_model": {}}
    for key, value in data.items():
        if key.startswith("sd/"):
            _, section, inner = key.split("/")
            state[section][inner] = torch.from_numpy(value)
    torch.save(state, folder / "w.pt")
    config = json.loads(str(data["config_json"]))["yaml"]
    (folder / "w.yaml").write_text(yaml.safe_dump(config))
    mask = data["out32/sampling_mask_used"].squeeze()[0]
    kspace = data["in/kspace"] * mask
    if "centered=False" in config["physics"]["forward_operator"]:
        (_, q_h), (_, q_w) = (
            center_phases(n, torch.zeros(0, dtype=torch.complex64)) for n in kspace.shape[-2:]
        )
        kspace = kspace * (q_h[:, None] * q_w).numpy()
    image = data["out32/reconstruction"][0]
    image = image[0] if image.ndim == 4 else image
    acs = next(value for key, value in data.items() if key.startswith("in/acs_mask"))
    with h5py.File(folder / "scan.h5", "w") as file:
        file["kspace"] = kspace[None] if kspace.ndim == 3 else kspace.swapaxes(0, 1)
        file["mask"] = mask
        file["reconstruction_rss"] = np.ones(image.shape, np.float32)  # tells the size only
        file.attrs["num_low_frequency"] = int(acs.squeeze()[0].sum())
    return image


def _double(tensor):
    wider = torch.float64 if tensor.is_floating_point() else torch.complex128
    return tensor.to(wider) if tensor.is_floating_point() or tensor.is_complex() else tensor


def _errors(method, path, image):
    network, transform = method
    reading = ReadOptions(axes=("phase" if network.joint else "slice") + " coil h w")
    single = reconstruct_scan(open_scan(path, reading), network, transform)
    double = reconstruct_scan(
        open_scan(path, reading), network.double(), lambda sample: transform(sample).map(_double)
    )
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    return off(single, image), off(double, image)


def main(folder):
    """Print each case, its error in single and that in double precision."""
    for name in (*CASES, *LAYOUTS):
        with tempfile.TemporaryDirectory() as place:
            case = name if name in CASES else "e2e_b_uniform_given_masks"
            image = written(folder / f"{case}.npz", Path(place))
            weights = Path(place) / "w.pt" if name in CASES else folder / f"{name}.pt"
            errors = _errors(load_reconstructor(weights), Path(place) / "scan.h5", image)
            print(name, *errors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
