import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.errors import RawDataError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.inspection import as_dict, as_text, inspect_file
from mrirecon.readers import open_scan
from mrirecon.reconstructors import CgSense, ZeroFilled
from mrirecon.sampling import EquispacedLines
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.sensitivity import Espirit
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.types import Sample
from tests import scenes


def test_an_undersampled_raw_file(tmp_path):
    scan = scenes.scan(matrix=(64, 60), slices=3)
    path = tmp_path / "a.h5"
    write_ismrmrd(path, scan, AcquisitionOptions(sampling=scenes.PATTERN, partial_fourier=0.75))
    report = inspect_file(path)
    assert report.header.slices == 3 and report.sampling.acs[1] >= 12
    assert "one line of 2" in report.sampling.pattern
    assert report.sampling.partial_fourier[1] == pytest.approx(0.75, abs=0.04)
    assert report.sampling.partial_fourier[0] == 1
    mask = scan_mask(path)
    assert report.sampling.acceleration == pytest.approx(mask.size / mask.sum())
    shown = as_text(report)
    for part in ("ISMRMRD", "axial", "kspace_encode_step_1", "32 noise"):
        assert part in shown
    assert any("Partial Fourier" in warning for warning in report.warnings)
    assert f"input={path}" in report.command and "model=cg_sense" in report.command
    told = json.loads(json.dumps(as_dict(report)))
    assert told["header"]["coils"] == 4 and "subject0000" not in json.dumps(told["header"])
    assert as_dict(report, patient=True)["header"]["subject"] == "subject0000"


def scan_mask(path):
    from mrirecon.readers import open_scan

    return open_scan(path)[0].mask.numpy()


def test_a_file_that_tells_nothing(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.ones((1, 1, 8, 8), np.complex64)
    report = inspect_file(tmp_path / "a.h5")
    assert report.sampling.pattern == "fully sampled" and "model=zero_filled" in report.command
    assert "position         unknown" in as_text(report)


def test_the_command_names_bad_files_and_goes_on(tmp_path):
    write_ismrmrd(tmp_path / "a.h5", scenes.scan())
    (tmp_path / "b.h5").write_text("text")
    done = subprocess.run(
        [sys.executable, "-m", "mrirecon.cli", "inspect", tmp_path, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "b.h5" in done.stderr and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["sampling"]["acceleration"] == 1
    with pytest.raises(RawDataError):
        inspect_file(tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("acs", "expected"),
    [(10, "model=cg_sense"), (5, "model=cg_sense"), (3, "model=cg_sense"),
     (1, "model=zero_filled")],
)  # fmt: skip
def test_the_recommended_command_fits_the_fully_sampled_centre(acs, expected, tmp_path):
    """Ten of 128 lines are what simulate sampling=equispaced leaves by itself."""
    scan = scenes.scan(matrix=(64, 60), slices=1)
    pattern = EquispacedLines(4, acs=acs)
    write_ismrmrd(tmp_path / "a.h5", scan, AcquisitionOptions(sampling=pattern))
    report = inspect_file(tmp_path / "a.h5")
    assert report.command.endswith(expected)
    if "cg_sense" in expected:
        sample = collate([open_scan(tmp_path / "a.h5")[0]])
        reference = root_sum_of_squares(ifft(scan.noise_free(0)))
        mistakes = [
            float((method(sample)[0].abs() - reference).norm() / reference.norm())
            for method in (CgSense(Espirit()), ZeroFilled())
        ]
        assert mistakes[0] < (0.6 if acs > 4 else 0.75) * mistakes[1]


@pytest.mark.parametrize(("missing", "acs"), [([], (8, 12)), ([0], (8, 11)), ([6], (0, 0))])
def test_the_centre_is_counted_where_a_reader_does_not_tell_it(missing, acs):
    mask = torch.ones(1, 12, dtype=torch.bool)
    mask[:, missing] = False
    sample = Sample(kspace=torch.ones(2, 8, 12, dtype=torch.complex64), mask=mask)
    assert sampled_plane_of(sample).description().acs == acs
