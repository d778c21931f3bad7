"""Outputs are refused before anything is computed, and raw files are never replaced."""

from dataclasses import replace
from pathlib import Path

import pytest

from mrirecon.commands.outputs import Outputs
from mrirecon.commands.reconstruct import Settings, _reconstruct
from mrirecon.data.transforms import Normalize
from mrirecon.errors import ConfigError, OutputError
from mrirecon.files import Existing
from mrirecon.pipeline import Method
from mrirecon.readers import open_scan
from mrirecon.reconstruction import series_of
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.scan import Frame
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.writers import WRITERS
from tests import scenes

ECHOES = replace(scenes.scan().header, frames=(Frame(contrast=0), Frame(contrast=1)))


@pytest.mark.parametrize("existing", ["a.nii.gz", "a.json", "a_qc.html"])
def test_every_file_that_exists_is_refused_unless_asked_for(existing, tmp_path):
    (tmp_path / existing).write_text("")
    file, formats = Path("a.h5"), ("nifti", "qc")
    with pytest.raises(OutputError, match=f"{existing} exists already"):
        Outputs(tmp_path, formats, [file]).todo(file, [""])
    with pytest.raises(OutputError, match=f"{existing} is not replaced, whatever"):
        Outputs(tmp_path, formats, [file], Existing.OVERWRITE).todo(file, [""])
    todo = Outputs(tmp_path, formats, [file]).todo(file, series_of(ECHOES))
    assert todo == {"_echo-1": formats, "_echo-2": formats}


def test_every_series_has_files_of_its_own(tmp_path):
    outputs = Outputs(tmp_path, list(WRITERS), [Path("x/a.h5")])
    paths = [
        outputs.path(name, Path("x/a.h5"), s) for s in ("_echo-1", "_echo-2") for name in WRITERS
    ]
    assert len(set(paths)) == 2 * len(WRITERS)
    assert tmp_path / "a_echo-2_images.h5" in paths and tmp_path / "a_echo-1.nii.gz" in paths


def test_no_output_takes_the_place_of_a_raw_file(tmp_path):
    """Neither of its own file, nor of another one that is called like a series of it."""
    with pytest.raises(OutputError, match="would replace an input"):
        Outputs(tmp_path, ["png"], [tmp_path / "a.h5"], Existing.OVERWRITE)
    files = [tmp_path / "a.dat", tmp_path / "a_echo-2.h5"]
    with pytest.raises(OutputError, match=r"a_echo-2\.h5 would replace an input"):
        Outputs(tmp_path, ["hdf5"], files, Existing.OVERWRITE)


def test_equal_names_and_bad_templates_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="called a up to their ending"):
        Outputs(tmp_path, ["png"], [Path("a.h5"), Path("a.dat")])
    (tmp_path / "t.dcm").write_text("no DICOM")
    with pytest.raises(OutputError, match=r"template .*t\.dcm cannot be read"):
        Outputs(tmp_path, ["dicom"], [Path("a.h5")], dicom_template=str(tmp_path / "t.dcm"))


def test_images_survive_a_quality_page_that_fails(tmp_path, capsys):
    """It is named on stderr, and the caller is told so that the program can fail at the end."""
    write_ismrmrd(tmp_path / "a.h5", scenes.scan(slices=1), AcquisitionOptions())
    outputs = Outputs(tmp_path / "out", ["hdf5", "qc"], [tmp_path / "a.h5"])
    method = Method(ZeroFilled(), Normalize())
    outputs._writers["qc"] = lambda *_, **__: 1 / 0
    settings = Settings(
        input="a.h5", output="out", pattern="*", checkpoint=None, existing="refuse", hours=None,
        overwrite=False, device="cpu", batch_size=1, provenance="private", formats=["hdf5", "qc"],
        dicom_template=None, image="magnitude", slices=None, frames=None, trust=[],
        samples=None, spread=None, seed=0, calibration=None, coverage=None, regions=None,
        flip_boxes=True,
    )  # fmt: skip
    (page,) = _reconstruct(open_scan(tmp_path / "a.h5"), method, outputs, settings)
    assert page.path is None
    warning = capsys.readouterr().err
    assert "WARNING" in warning and "no quality page a_qc.html: ZeroDivisionError" in warning
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["a.h5"]
