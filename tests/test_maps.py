import sys

import h5py
import numpy as np
import pytest

from mrirecon import cli
from mrirecon.commands import maps
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from tests.scenes import scan


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "subject.h5"
    write_ismrmrd(path, scan(slices=2), AcquisitionOptions())
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["mrirecon", "maps", *map(str, arguments)])
    cli.main()


def test_writes_maps_a_picture_and_their_quality(raw, tmp_path, monkeypatch, capsys):
    run(monkeypatch, f"input={raw}", f"output={tmp_path}")
    text = capsys.readouterr().out
    assert "residual" in text and "wrote subject_maps.h5, subject_maps.png" in text
    with h5py.File(tmp_path / "subject_maps.h5") as file:
        maps = file["maps"][:]
        assert maps.dtype == np.complex64 and maps.shape[:2] == (2, 4)
        norm = np.linalg.norm(maps, axis=1)
        assert np.allclose(norm[norm > 0], 1, atol=1e-4)
        assert file["eigenvalues"].shape == norm.shape
        assert (file["residual"][:] < 0.3).all() and (file["null_energy"][:] < 0.1).all()
        assert file["provenance"].attrs["method"] == "Espirit"
        assert "mrirecon.sensitivity.Espirit" in file["provenance"].attrs["config"]
    assert (tmp_path / "subject_maps.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit, match="exists already"):
        run(monkeypatch, f"input={raw}", f"output={tmp_path}")


def test_empty_kspace_is_told_and_a_failure_stops_no_other_file(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("a", "b"):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["kspace"] = np.zeros((1, 2, 32, 32), np.complex64)
    run(monkeypatch, f"input={folder}", f"output={tmp_path / 'zero'}")
    told = capsys.readouterr()
    assert told.err.count("WARNING: the maps are zero everywhere") == 2
    assert "note: k-space is zero everywhere" in told.out
    tried = []

    def fail(scan, *_):
        tried.append(scan.header.name)
        raise MemoryError("too large")

    monkeypatch.setattr(maps, "_maps_of_scan", fail)
    with pytest.raises(SystemExit, match="2 of 2 files failed"):
        run(monkeypatch, f"input={folder}", f"output={tmp_path / 'none'}")
    assert tried == ["a.h5", "b.h5"] and "MemoryError: too large" in capsys.readouterr().err


def test_two_sets_and_a_cache(raw, tmp_path, monkeypatch):
    for name in ("first", "second"):
        run(
            monkeypatch, f"input={raw}", f"output={tmp_path / name}", "sensitivity=cached",
            f"sensitivity.folder={tmp_path / 'cache'}", "sensitivity.sensitivity.sets=2",
        )  # fmt: skip
    assert len(list((tmp_path / "cache").glob("*.coilmaps"))) == 2
    found = []
    for name in ("first", "second"):
        with h5py.File(tmp_path / name / "subject_maps.h5") as file:
            found.append(file["maps"][:])
    assert found[0].shape[:3] == (2, 2, 4)
    assert np.array_equal(*found)


def test_a_learned_estimator_is_refused(raw, tmp_path, monkeypatch):
    node = "sensitivity={_target_: mrirecon.sensitivity.LearnedMaps}"
    with pytest.raises(SystemExit, match="no weights of its own"):
        run(monkeypatch, f"input={raw}", f"output={tmp_path}", "sensitivity=null", f"++{node}")


def test_too_little_calibration_fails_by_file(raw, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="1 of 1 files failed"):
        run(
            monkeypatch, f"input={raw}", f"output={tmp_path}", "sampling=equispaced",
            "sampling.acs=1", "sampling.acceleration=4",
        )  # fmt: skip
    assert "fully sampled centre" in capsys.readouterr().err
    assert not list(tmp_path.glob("*"))
