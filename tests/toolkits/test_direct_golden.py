"""Numbers that DIRECT itself made; they lie beside the repository, or the tests are left out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mrirecon.reconstructors.parts.start import kspace_percentile
from mrirecon.sensitivity import GaussianMaps, UnetMaps
from mrirecon.toolkits.direct_layout import modern
from mrirecon.types import Sample
from tests.toolkits import golden_scans, golden_steps

PLACE = Path("shared", "reference", "direct-golden")
FOLDER = next((one / PLACE for one in Path(__file__).parents if (one / PLACE).is_dir()), None)
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the golden numbers are not here")
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


@pytest.fixture(scope="module")
def errors_of_images():
    """Single and double precision's errors of images from files, by case."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.toolkits.golden_scans", str(FOLDER)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: (float(single), float(double)) for name, single, double in lines}


@pytest.mark.parametrize("name", [*golden_scans.CASES, *golden_scans.LAYOUTS])
def test_from_file_to_image(name, errors_of_images):
    """What DIRECT recorded is single; in double the difference is all its own.

    Our single precision may add as much, and half as much again for another processor's order of
    sums.
    """
    single, double = errors_of_images[name]
    assert double < 1e-5
    assert single < 2.5 * double


def test_maps_and_scale_with_a_silent_coil():
    with np.load(FOLDER / "sens_scaling.npz") as file:
        data = {key: file[key] for key in file.files}
    kspace = complex_tensor(data["in/masked_kspace"])
    lines = torch.from_numpy(data["in/acs_mask"])[0, 0, 0, :, 0]
    mask = torch.from_numpy(data["in/sampling_mask"])[:, 0, :1, :, 0]
    sample = Sample(kspace, mask, acs=torch.tensor([[kspace.shape[-2], int(lines.sum())]]))
    for share in (0.99, 0.995):
        expected = data[f"out32/scaling_factor_{share}"]
        assert golden_scans.off(kspace_percentile(sample, share).flatten(), expected) < 1e-6
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
            assert golden_scans.off(estimator.sensitivity(sample), first) < 1e-5
            assert (
                golden_scans.off(estimator(sample), refined) < 5e-5
            )  # as far as their own precisions differ
