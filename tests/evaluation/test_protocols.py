"""Protocols of published evaluations: golden numbers, and tests that fail on other conventions."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mrirecon import cli
from mrirecon.api import evaluate, named_protocol
from mrirecon.choices import choices
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.evaluation import Protocol
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import score
from mrirecon.evaluation.scores.scoring import Case, Rules, score_cases
from mrirecon.files import conf_folder

FASTMRI = {
    (0, 3, 48, 44): (0.021675799041986465, 24.851484017430852, 0.9332516164908449),
    (1, 2, 31, 25): (0.018783625215291977, 24.82552867485647, 0.914368231375792),
    (2, 4, 20, 20): (0.022725261747837067, 24.72379484204093, 0.9403437528835268),
}
"""NMSE, PSNR and SSIM of fastmri.evaluate (0.3.0), after its center_crop, for seed and shape."""
SEWAR = (0.7927723231776348, 0.8116374965224638, 0.8194522005164637)
"""sewar.vifp (0.4.10) of the phantom's slices by their maximum, with sigma_nsq=0.4."""


def phantom(slices=3, y=48, x=44, seed=0):
    """Slices of unequal brightness with a dark background, and the same with noise."""
    rng = np.random.RandomState(seed)
    v, u = np.meshgrid(np.linspace(-1, 1, y), np.linspace(-1, 1, x), indexing="ij")
    inside = np.exp(-4 * (v**2 + u**2)) * (1 + 0.4 * np.sin(11 * v) * np.cos(7 * u))
    reference = inside * np.linspace(0.3, 1, slices)[:, None, None] * 2
    image = np.abs(0.9 * reference + 0.05 * rng.randn(slices, y, x))
    return image.astype(np.float32), reference.astype(np.float32)


def scored(name, image, reference, **changes):
    protocol = replace(named_protocol(name), **changes)
    return score("m", "v", *map(torch.from_numpy, (image, reference)), protocol).values


def ssim(image, reference, peak):
    return structural_similarity(
        reference.astype(float), image.astype(float), data_range=float(peak)
    )


def nmse(image, reference):
    return np.sum((image - reference) ** 2, dtype=float) / np.sum(reference**2, dtype=float)


@pytest.mark.parametrize(("shape", "numbers"), FASTMRI.items())
def test_fastmri_scores_are_those_of_its_program(shape, numbers):
    seed, slices, y, x = shape
    rng = np.random.RandomState(seed)
    brightness = np.linspace(0.2, 1, slices, dtype=np.float32)[:, None, None]
    reference = rng.rand(slices, y, x).astype(np.float32) * brightness
    noise = rng.rand(slices, y + 4, x + 6)[:, 2 : 2 + y, 3 : 3 + x].astype(np.float32)
    found = scored("fastmri", reference + 0.1 * noise, reference)
    assert tuple(found.values()) == pytest.approx(numbers, abs=1e-6, rel=0)


def test_slices_along_another_axis_are_warned_of():
    protocol = named_protocol("calgary")
    for slices, told in ((256, False), (170, True)):
        reference, seen = torch.rand(slices, 4, 4), Observed()
        seen.compare("v", {"a": reference + 0.1}, reference, protocol)
        found = [one for one in seen.warnings(protocol) if "slices along another axis" in one]
        assert bool(found) == told and all("1 volumes have 170 slices" in one for one in found)
        assert not any("another axis" in one for one in seen.warnings(Protocol()))


def test_calgary_scores_slices_by_the_range_of_both_without_the_ends():
    image, reference = phantom(105)
    image[:50], image[-50:] = 9, 9  # what lies at the ends is of no account
    image[52, 20, 20] = 3 * reference[52].max()  # brighter than the reference
    inner = list(zip(image[50:-50].astype(float), reference[50:-50].astype(float), strict=True))
    ranges = [max(x.max(), r.max()) - min(x.min(), r.min()) for x, r in inner]
    assert ranges[2] > 2 * inner[2][1].max()
    found = scored("calgary", image, reference)
    pairs = list(zip(inner, ranges, strict=True))
    psnr = [peak_signal_noise_ratio(r, x, data_range=peak) for (x, r), peak in pairs]
    assert found["psnr"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert found["ssim"] == pytest.approx(
        np.mean([ssim(x, r, peak) for (x, r), peak in pairs]), abs=1e-6
    )
    middle = scored("calgary", *phantom(), ends=0)
    assert middle["vif"] == pytest.approx(np.mean(SEWAR), abs=1e-6)
    with pytest.raises(ShapeError, match="calgary leaves out 50 slices at each end, but there are"):
        scored("calgary", image[:100], reference[:100])


@pytest.mark.parametrize(("name", "swapped"), [("cmrxrecon", True), ("cmrxrecon_corrected", False)])
def test_cmrxrecon_divides_by_percentiles_and_exchanges_arguments(name, swapped):
    image, reference = (v.astype(np.float64) for v in phantom())
    expected = []
    for x, r in zip(image, reference, strict=True):
        x, r = x / np.percentile(x, 99.5), r / np.percentile(r, 99.5)
        if swapped:
            x, r = r, x
        psnr = peak_signal_noise_ratio(r, x, data_range=r.max())
        expected.append((psnr, ssim(x, r, r.max()), nmse(x, r)))
    pair = [v.astype(np.float32) for v in (image, reference)]
    protocol = named_protocol(name).of_stack(3, 2)
    found = scored(name, *pair, swapped=protocol.swapped)
    assert list(found) == ["psnr", "ssim", "nmse"]
    np.testing.assert_allclose(list(found.values()), np.mean(expected, 0), rtol=1e-5)
    other = scored(name, *pair, swapped="never" if swapped else "always")
    assert all(abs(found[n] / other[n] - 1) > 1e-4 for n in found)


def test_cmrxrecon_exchanges_arguments_of_files_with_slices_and_frames_only(tmp_path):
    image, reference = (v.reshape(2, 3, 48, 44) for v in phantom(6))
    shapes = {"both": (2, 3), "slices": (1, 6), "frames": (6, 1)}
    cases = []
    for name, shape in shapes.items():
        paths = [tmp_path / f"{name}_{kind}.h5" for kind in ("reference", "image")]
        for path, values in zip(paths, (reference, image), strict=True):
            with h5py.File(path, "w") as file:
                file["reconstruction"] = values.reshape(*shape, 48, 44)
        cases.append(Case(name, paths[0], {"m": paths[1]}))
    rules = Rules(named_protocol("cmrxrecon"))
    both, *single = (outcome.scores[0].values for outcome in score_cases(cases, rules))
    flat = [v.reshape(6, 48, 44) for v in (image, reference)]
    assert both == scored("cmrxrecon", *flat, swapped="always")
    assert single == 2 * [scored("cmrxrecon_corrected", *flat)]
    seen = Observed()
    seen.compare("v", {}, torch.from_numpy(flat[1]), rules.protocol)
    assert "exchanged for the metrics where there are several" in seen.definition(rules.protocol)


def test_cmrxrecon_of_2023_divides_by_maxima():
    image, reference = phantom()
    expected = [
        peak_signal_noise_ratio(r / r.max(), x / x.max(), data_range=1.0)
        for x, r in zip(image, reference, strict=True)
    ]
    assert scored("cmrxrecon_2023", image, reference)["psnr"] == pytest.approx(
        np.mean(expected), abs=1e-4
    )


def test_skm_tea_scores_the_scan_in_three_dimensions():
    image, reference = (v[:, 14:34, 14:34] for v in phantom(13))
    found = scored("skm_tea", image, reference)
    rmse = np.sqrt(np.mean((image - reference).astype(float) ** 2))
    assert found["psnr"] == pytest.approx(20 * np.log10(reference.max() / rmse), abs=1e-5)
    assert found["nrmse"] == pytest.approx(rmse / np.sqrt(np.mean(reference**2)), rel=1e-5)
    full = structural_similarity(
        reference.astype(float), image.astype(float), data_range=float(reference.max()), full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )[1]  # fmt: skip
    assert found["ssim"] == pytest.approx(full[5:-5, 5:-5, 5:-5].mean(), abs=1e-6)


def test_volume_and_slices_are_not_taken_for_one_another():
    """Per-slice peaks and norms move PSNR by decibels: fastMRI mended that in its pull request 130.

    So would the data range of each slice in SSIM, its minimum, or Gaussian windows.
    """
    image, reference = phantom()
    pairs = list(zip(image, reference, strict=True))
    volume = scored("whole", image, reference)
    slices = scored("whole", image, reference, per="slice")
    peak = reference.max()
    assert volume["psnr"] == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=peak), abs=1e-4
    )
    each = [peak_signal_noise_ratio(r, x, data_range=r.max()) for x, r in pairs]
    assert slices["psnr"] == pytest.approx(np.mean(each), abs=1e-4)
    assert volume["psnr"] > slices["psnr"] + 2
    assert volume["nmse"] == pytest.approx(nmse(image, reference), rel=1e-5)
    assert slices["nmse"] == pytest.approx(np.mean([nmse(x, r) for x, r in pairs]), rel=1e-5)
    assert volume["ssim"] == pytest.approx(np.mean([ssim(x, r, peak) for x, r in pairs]), abs=1e-5)
    own = np.mean([ssim(x, r, r.max()) for x, r in pairs])
    assert slices["ssim"] == pytest.approx(own, abs=1e-5)
    assert volume["ssim"] > own + 0.02


def test_slices_without_a_reference_have_no_share_in_scores_by_slices():
    image, reference = phantom()
    empty = np.zeros_like(reference[:1])
    padded = [np.concatenate([v, empty]) for v in (image, reference)]
    for name in ("cmrxrecon", "cmrxrecon_corrected"):
        assert scored(name, *padded) == scored(name, image, reference)
    assert scored("calgary", *padded, ends=0) == scored("calgary", image, reference, ends=0)


def test_the_crop_is_of_the_reference_not_a_fixed_size():
    """As in the trap of a hard-coded 320 x 320: a reference of 171 x 133 is scored as such."""
    reference = np.random.RandomState(0).rand(1, 171, 133).astype(np.float32)
    image = np.pad(reference, ((0, 0), (10, 9), (4, 5)))
    assert scored("whole", image[:, 1:], reference)["nmse"] == 0
    assert scored("fastmri", image[:, 1:], reference)["nmse"] == 0


@pytest.mark.parametrize("name", choices("protocol", [conf_folder()]))
def test_every_protocol_has_its_name_and_tells_all_that_defines_it(name):
    protocol = named_protocol(name)
    facts = protocol.facts()
    json.dumps(facts)
    assert all("info" not in metric for metric in facts["metrics"].values())
    assert facts["name"] == name and list(facts["metrics"]) == list(protocol.infos)
    image, reference = phantom(13, 44, 44)
    found = evaluate(image, reference, replace(protocol, ends=0))
    assert list(found.values) == list(protocol.metrics)
    assert np.isfinite(list(found.values.values())).all()
    assert all(
        metric["kind"].startswith("mrirecon.metrics.") for metric in facts["metrics"].values()
    )


def test_unknown_protocols_and_scores_are_explained():
    reference = np.random.RandomState(0).rand(2, 9, 9)
    with pytest.raises(ConfigError, match="calgarry is not shipped; choose one of calgary, "):
        evaluate(reference, reference, "calgarry")
    found = evaluate(reference, reference, "fastmri")
    assert str(found) == "nmse=0, psnr=inf, ssim=1"
    with pytest.raises(AttributeError, match="vif was not scored; there are nmse, psnr, ssim"):
        _ = found.vif
    with pytest.raises(ValueError, match="ends must not be negative"):
        Protocol(ends=-1)


def test_changes_of_a_published_protocol_are_told(tmp_path, monkeypatch, capsys):
    image, reference = phantom(5)
    for folder, values in (("ref", reference), ("ours", image)):
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / "v.h5", "w") as file:
            file["reconstruction"] = values
    folders = [f"reference={tmp_path / 'ref'}", f"reconstruction={tmp_path / 'ours'}"]
    own = "{_target_: tests.test_metrics.largest_error}"
    words = ["protocol=calgary", "protocol.ends=1", "scale=least_squares", f"metrics=[ssim,{own}]"]
    monkeypatch.setattr("sys.argv", ["mrirecon", "evaluate", *folders, *words])
    cli.main()
    head, values, definition = capsys.readouterr().out.splitlines()
    assert head.split() == ["method", "volumes", "SSIM", "largest_error"]
    inner = [v[1:-1].astype(float) for v in (image, reference)]
    factor = (inner[0] * inner[1]).sum() / (inner[0] ** 2).sum()
    peaks = [
        max(factor * x.max(), r.max()) - min(factor * x.min(), r.min())
        for x, r in zip(*inner, strict=True)
    ]
    each = [ssim(factor * x, r, peak) for x, r, peak in zip(*inner, peaks, strict=True)]
    largest = [np.abs(factor * x - r).max() for x, r in zip(*inner, strict=True)]
    assert values.split() == ["ours", "1", f"{np.mean(each):.4f}", f"{np.mean(largest):.4f}"]
    assert "without 1 slice at each end; intensities fitted" in definition
    assert "the data range is what slice and reference span together" in definition
    assert definition.endswith("protocol calgary (scale=least_squares, protocol.ends=1)")
