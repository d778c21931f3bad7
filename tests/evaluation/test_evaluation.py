import csv
import io
import json

import h5py
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mrirecon.errors import RawDataError, ShapeError
from mrirecon.evaluation.protocol import score, square
from mrirecon.evaluation.report import report_json, scores_csv, summarize, summary_csv, table
from mrirecon.evaluation.volumes import read_volume, volume_files


def volumes(y=24, x=20, seed=0):
    rng = np.random.RandomState(seed)
    reference = rng.rand(3, y, x).astype(np.float32)
    return reference + 0.1 * rng.rand(3, y, x).astype(np.float32), reference


def test_scores_as_fastmris_evaluate():
    image, reference = volumes()
    larger = np.zeros((3, 30, 26), np.float32)
    larger[:, 3:27, 3:23] = image
    found = score("m", "v", torch.from_numpy(larger), torch.from_numpy(reference))
    # evaluate.py: both cropped to (width, width), offsets (n - width) // 2, volume maximum
    gt, pred = reference[:, 2:22], image[:, 2:22]
    peak = gt.max()
    ssim = np.mean(
        [structural_similarity(a, b, data_range=peak) for a, b in zip(gt, pred, strict=True)]
    )
    assert found.ssim == pytest.approx(ssim, abs=1e-6)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(gt, pred, data_range=peak), abs=1e-4)
    nmse = np.linalg.norm(gt - pred) ** 2 / np.linalg.norm(gt) ** 2
    assert found.nmse == pytest.approx(nmse, rel=1e-5)


def test_the_crop_is_fastmris_for_odd_sizes_and_wide_references():
    volume = torch.arange(8 * 9).reshape(1, 8, 9).float()
    assert square(volume, torch.zeros(1, 8, 5)).shape == (1, 5, 5)
    assert square(volume, torch.zeros(1, 8, 5))[0, 0, 0] == 1 * 9 + 2  # (8 - 5) // 2, (9 - 5) // 2
    assert square(volume, torch.zeros(1, 6, 9)).shape == (1, 6, 9)
    with pytest.raises(ShapeError, match="8 x 9 pixels is smaller than its reference, 10 x 10"):
        square(volume, torch.zeros(1, 12, 10))


def test_different_numbers_of_slices_are_refused():
    image, reference = map(torch.from_numpy, volumes())
    with pytest.raises(ShapeError, match="v: m has 2 slices, its reference 3"):
        score("m", "v", image[:2], reference)


def test_reports_agree():
    scores = [
        score(m, f"v{i}", *map(torch.from_numpy, volumes(seed=i + 10 * n)))
        for n, m in enumerate(("a", "b"))
        for i in range(3)
    ]
    summaries = summarize(scores)
    values = [s.psnr for s in scores if s.method == "b"]
    assert summaries[1].mean["psnr"] == pytest.approx(np.mean(values))
    assert summaries[1].std["psnr"] == pytest.approx(np.std(values, ddof=1))
    rows = list(csv.DictReader(io.StringIO(summary_csv(summaries))))
    assert list(rows[0]) == ["method", "nmse", "psnr", "ssim"]
    assert float(rows[1]["psnr"]) == pytest.approx(np.mean(values))
    assert len(list(csv.DictReader(io.StringIO(scores_csv(scores))))) == 6
    report = json.loads(report_json(scores, summaries, command="c"))
    assert report["command"] == "c" and report["summary"][0]["volumes"] == 3
    assert "±" in table(summaries)
    single = summarize(scores[:1])[0]
    assert single.std["ssim"] is None and "±" not in table([single])


def test_volumes_are_found_and_read(tmp_path):
    image, reference = volumes()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["reconstruction"], file["reconstruction_rss"] = image, reference
    assert read_volume(volume_files(tmp_path)["a"]).equal(torch.from_numpy(reference))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = image
    with pytest.raises(RawDataError, match="found images, expected one of the data sets"):
        read_volume(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["reconstruction"] = np.full((3, 8, 8), np.nan)
    with pytest.raises(RawDataError, match="must be finite"):
        read_volume(tmp_path / "c.h5")
    (tmp_path / "d.h5").write_text("text")
    with pytest.raises(RawDataError, match="not a readable HDF5 file"):
        read_volume(tmp_path / "d.h5")
    with pytest.raises(RawDataError, match="no such file or folder"):
        volume_files(tmp_path / "nowhere")
