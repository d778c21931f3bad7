"""Numbers that DIRECT itself made; they lie beside the repository, or the tests are left out."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from mrirecon.fourier import center_phases
from mrirecon.inference import reconstruct_scan
from mrirecon.loading import load_reconstructor
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.reconstructors.parts.start import kspace_percentile
from mrirecon.sensitivity import GaussianMaps, UnetMaps
from mrirecon.toolkits.direct_layout import modern
from mrirecon.types import Sample
from tests.toolkits import golden_steps

PLACE = Path("shared", "reference", "direct-golden")
FOLDER = next((one / PLACE for one in Path(__file__).parents if (one / PLACE).is_dir()), None)
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the golden numbers are not here")
END_TO_END = (
    "e2e_a_uniform_maskfunc",
    "e2e_b_uniform_given_masks",
    "e2e_c_modconv",
    "e2e_d_rvn_calgary_style",
    "e2e_e_dynamic3d",
)
CASES = [
    "vsharp2d_a_uniform_style",
    "vsharp2d_b_shared_zerofilled",
    "vsharp2d_c_normunet",
    "vsharp2d_d_pool4",
    "vsharp2d_e_modconv_features",
    "vsharp2d_f_modconv_at_input",
    "vsharp3d_g_unet",
    "vsharp3d_h_normunet",
    "rvn_a_sense_uncentered",
    "rvn_b_shared_norm_zf",
    "rvn_c_noinit",
]
STEPS = 21  # of all of them together that are compared


def complex_tensor(values):
    return torch.view_as_complex(torch.from_numpy(np.ascontiguousarray(values)))


def off(result, expected):
    return float(np.abs(np.asarray(result) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_that_of_direct(name):
    for _, error in golden_steps.errors(FOLDER / f"{name}.npz", torch.float32):
        assert error < 1e-5


def test_steps_are_those_of_direct_in_double_precision():
    """In a process of its own, where nobody checks for single precision."""
    files = [str(FOLDER / f"{name}.npz") for name in CASES]
    done = subprocess.run(
        [sys.executable, "-m", "tests.toolkits.golden_steps", *files],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(errors) == STEPS and max(errors) < 1e-10


def written(name, folder):
    """Write weights, configuration and measured samples of an end-to-end case; return the image."""
    with np.load(FOLDER / f"{name}.npz") as file:
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


@pytest.mark.parametrize("name", END_TO_END)
def test_from_file_to_image(name, tmp_path):
    image = written(name, tmp_path)
    method = load_reconstructor(tmp_path / "w.pt")
    reading = ReadOptions(axes=("phase" if method[0].joint else "slice") + " coil h w")
    assert off(reconstruct_scan(open_scan(tmp_path / "scan.h5", reading), *method), image) < 1e-5


@pytest.mark.parametrize("name", ["mini_uniform", "mini_uniform_legacy"])
def test_published_layouts(name, tmp_path):
    image = written("e2e_b_uniform_given_masks", tmp_path)
    method = load_reconstructor(FOLDER / f"{name}.pt")
    assert off(reconstruct_scan(open_scan(tmp_path / "scan.h5"), *method), image) < 1e-5


def test_maps_and_scale_with_a_silent_coil():
    with np.load(FOLDER / "sens_scaling.npz") as file:
        data = {key: file[key] for key in file.files}
    kspace = complex_tensor(data["in/masked_kspace"])
    lines = torch.from_numpy(data["in/acs_mask"])[0, 0, 0, :, 0]
    mask = torch.from_numpy(data["in/sampling_mask"])[:, 0, :1, :, 0]
    sample = Sample(kspace, mask, acs=torch.tensor([[kspace.shape[-2], int(lines.sum())]]))
    for share in (0.99, 0.995):
        expected = data[f"out32/scaling_factor_{share}"]
        assert off(kspace_percentile(sample, share).flatten(), expected) < 1e-6
    for width, word in ((0.7, "gauss0.7"), (None, "nogauss")):
        first = complex_tensor(data[f"out32/sensitivity_map_initial_{word}"]).numpy()
        estimator = UnetMaps(GaussianMaps(width), 4, 3)
        weights = {modern(k[3:]): v for k, v in data.items() if k.startswith("sd/")}
        own = {modern(name): name for name in estimator.network.unet.state_dict()}
        assert own.keys() == weights.keys()
        estimator.network.unet.load_state_dict(
            {name: torch.from_numpy(weights[key]) for key, name in own.items()}
        )
        refined = complex_tensor(data[f"out32/sensitivity_map_refined_{word}"]).numpy()
        with torch.no_grad():
            assert off(estimator.sensitivity(sample), first) < 1e-5
            assert off(estimator(sample), refined) < 5e-5  # as far as their own precisions differ
