import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity as skimage_ssim

from mrirecon.errors import ConfigError, ShapeError
from mrirecon.metrics import KNOWN, MsSsim, Ssim, Vif, chosen_metrics, structural_similarity
from mrirecon.metrics.base import checked
from mrirecon.metrics.fastmri import nmse, psnr, ssim


@pytest.fixture
def pair():
    rng = np.random.RandomState(0)
    reference = rng.rand(3, 24, 17) * np.array([1.0, 0.2, 3.0])[:, None, None]
    return reference + 0.1 * rng.randn(3, 24, 17), reference


def test_equals_skimage_as_fastmri_calls_it(pair):
    image, reference = pair
    x, r = map(torch.from_numpy, pair)
    peak = reference.max()
    assert ssim(x, r) == pytest.approx(
        np.mean(
            [skimage_ssim(a, b, data_range=peak) for a, b in zip(reference, image, strict=True)]
        ),
        abs=1e-12,
    )
    assert psnr(x, r) == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=peak), abs=1e-12
    )
    assert nmse(x, r) == pytest.approx(
        np.linalg.norm(reference - image) ** 2 / np.linalg.norm(reference) ** 2, rel=1e-12
    )


@pytest.mark.parametrize("metric", [nmse, psnr, ssim])
def test_arrays_serve_as_tensors_do(pair, metric):
    assert metric(*pair) == metric(*map(torch.from_numpy, pair))


def test_ssim_has_a_gradient_and_one_peak_per_image(pair):
    x, r = (torch.from_numpy(v).float() for v in pair)
    x.requires_grad_()
    peaks = r.amax((-2, -1))
    together = structural_similarity(x, r, peaks)
    alone = [structural_similarity(x[i], r[i], peaks[i]) for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))
    together.mean().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_perfect_images():
    r = torch.rand(2, 9, 9)
    assert ssim(r, r) == pytest.approx(1) and nmse(r, r) == 0
    assert psnr(r, r) == float("inf")


def test_wrong_shapes_are_explained():
    with pytest.raises(ShapeError, match=r"\(2, 9, 9\) and its reference \(2, 9, 8\)"):
        checked(torch.rand(2, 9, 9), torch.rand(2, 9, 8))  # behind the annotations
    with pytest.raises(ShapeError, match="at least 7 x 7 pixels, got 6 x 9"):
        ssim(torch.rand(2, 6, 9), torch.rand(2, 6, 9))


@pytest.fixture
def brain():
    """A smooth object with noise, and without, (2, 192, 176)."""
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in (192, 176))
    waves = [1 + 0.5 * torch.sin(9 * y[:, None] + 7 * k * x) for k in (1, 2)]
    reference = torch.exp(-3 * (y[:, None] ** 2 + x**2)) * torch.stack(waves)
    noise = torch.from_numpy(np.random.RandomState(0).randn(2, 192, 176))
    return (0.97 * reference + 0.03 * noise).abs(), reference


# Made on this pair in double precision with piqa 1.3.2 (haarpsi and gmsd of avg_pool2d(v / peak,
# 2); ms_ssim with a kernel of double precision), sewar 0.4.10 (vifp of slices times 255 / peak),
# and scipy.signal.convolve2d with the kernel of MATLAB's fspecial('log', 15, 1.5).
GOLDEN = {
    "haarpsi": 0.923443542114,
    "gmsd": 0.019242056387,
    "ms_ssim": 0.975849245365,
    "vif": 0.517856328651,
    "hfen": 0.954085681195,
}


@pytest.mark.parametrize(("name", "value"), GOLDEN.items())
def test_equals_other_programs(brain, name, value):
    assert KNOWN[name](*brain) == pytest.approx(value, abs=1e-9)


def test_gaussian_windows_are_those_of_skimage(brain):
    image, reference = (v[:, :40, 60:100] for v in brain)
    kinds = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    peak = float(reference.max())
    pairs = zip(reference.numpy(), image.numpy(), strict=True)
    flat = [skimage_ssim(r, x, data_range=peak, **kinds) for r, x in pairs]
    assert Ssim("gaussian")(image, reference) == pytest.approx(np.mean(flat), abs=1e-9)
    deep = [torch.cat([v] * 8)[:13] * torch.linspace(1, 2, 13)[:, None, None] for v in brain]
    x, r = (v[:, 80:100, 80:101].numpy() for v in deep)
    cut = skimage_ssim(r, x, data_range=r.max(), full=True, **kinds)[1][5:-5, 5:-5, 5:-5].mean()
    found = Ssim("gaussian_3d")(torch.from_numpy(x), torch.from_numpy(r))
    assert found == pytest.approx(cut, abs=1e-9)
    with pytest.raises(ShapeError, match="11 x 11 pixels and 11 slices, got 20 x 21 and 10 slices"):
        Ssim("gaussian_3d")(torch.rand(10, 20, 21), torch.rand(10, 20, 21))


@pytest.mark.parametrize("metric", KNOWN.values(), ids=lambda metric: metric.info.name)
def test_metrics_know_their_direction_and_no_scale(brain, metric):
    image, reference = brain
    worse = reference + 2 * (image - reference)
    perfect, ours, far = (metric(v, reference) for v in (reference, image, worse))
    sign = 1 if metric.info.higher_is_better else -1
    assert sign * perfect > sign * ours > sign * far
    assert metric(1e-4 * image, 1e-4 * reference) == pytest.approx(ours, rel=1e-6)
    assert metric(image, reference, torch.ones_like(reference, dtype=torch.bool)) == pytest.approx(
        ours, rel=1e-9
    )


@pytest.mark.parametrize("metric", KNOWN.values(), ids=lambda metric: metric.info.name)
def test_what_lies_outside_of_a_region_does_not_count(brain, metric):
    """But for windows and, of HaarPSI, GMSD and MS-SSIM, coarser pixels that reach across."""
    image, reference = brain
    metric = MsSsim(scales=2) if metric.info.name == "ms_ssim" else metric
    where = torch.zeros_like(reference, dtype=torch.bool)
    where[1, 40:150, 40:140] = True
    spoilt = image.clone()
    spoilt[0] = 0.5 * image[0].flip(1)  # of half the brightness alone, sFRC sees nothing
    spoilt[1, :8] = 0
    spoilt[1, :, 168:] = 0
    found = metric(image, reference, where)
    assert metric(spoilt, reference, where) == pytest.approx(found, rel=1e-9)
    assert metric(spoilt, reference) != pytest.approx(metric(image, reference), rel=1e-3)
    with pytest.raises(ShapeError, match="holds no voxel"):
        metric(image, reference, torch.zeros_like(where))


def test_ssim_of_a_region_is_the_mean_of_its_map(pair):
    image, reference = pair
    where = reference > 0.3 * reference.max()
    maps = [
        skimage_ssim(r, x, data_range=reference.max(), full=True)[1]
        for r, x in zip(reference, image, strict=True)
    ]
    inner = np.zeros_like(where)
    inner[:, 3:-3, 3:-3] = where[:, 3:-3, 3:-3]
    means = [m[w].mean() for m, w in zip(maps, inner, strict=True) if w.any()]
    found = ssim(*map(torch.from_numpy, (image, reference, where)))
    assert found == pytest.approx(np.mean(means), abs=1e-9)
    edge = np.zeros_like(where)
    edge[:, :3] = True
    with pytest.raises(ShapeError, match="no window of it lies in the region"):
        ssim(*map(torch.from_numpy, (image, reference, edge)))


def test_empty_slices_and_empty_images_have_finite_values(brain):
    image, reference = brain
    empty = torch.zeros_like(reference[:1])
    padded = [torch.cat([v, empty]) for v in (image, reference)]
    for name, metric in KNOWN.items():
        value = metric(torch.zeros_like(reference), reference)
        assert np.isfinite(value), name
        assert np.isfinite(metric(*padded)), name
    assert KNOWN["vif"](*padded) == pytest.approx(KNOWN["vif"](image, reference), rel=1e-9)


def test_small_images_are_explained():
    for name, least in {"ms_ssim": 161, "vif": 41, "ssim": 7, "gmsd": 3}.items():
        ok, small = torch.rand(1, least, least), torch.rand(1, least, least - 1)
        assert np.isfinite(KNOWN[name](ok, ok)), name
        with pytest.raises(ShapeError, match=f"at least {least} x {least} pixels"):
            KNOWN[name](small, small)
    assert np.isfinite(MsSsim(scales=2)(torch.rand(1, 21, 30), torch.rand(1, 21, 30)))


def largest_error(image, reference):
    assert image.dtype == np.float64
    return np.abs(image - reference).max()


def two_values(image, reference):
    return image, reference


def test_metrics_are_chosen_by_name_and_by_target():
    nodes = ["vif", {"_target_": f"{__name__}.largest_error"},
             {"_target_": "mrirecon.metrics.Ssim", "window": "gaussian"}]  # fmt: skip
    found = chosen_metrics(nodes, {"vif": Vif(noise=0.4)})
    assert list(found) == ["vif", "largest_error", "ssim"]
    assert found["vif"] == Vif(noise=0.4) and found["ssim"] == Ssim("gaussian")
    image, reference = torch.rand(2, 8, 9), torch.rand(2, 8, 9)
    value = found["largest_error"](image, reference)
    assert value == pytest.approx(float((image - reference).abs().max()))
    assert list(chosen_metrics({"mine": nodes[1], "psnr": "psnr"}, {})) == ["mine", "psnr"]
    with pytest.raises(ConfigError, match="restricted to a region"):
        found["largest_error"](image, reference, reference > 0)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (["psnrr"], "there is no psnrr; did you mean psnr"),
        (["psnr", "psnr"], "the name psnr is taken"),
        ({"method": "psnr"}, "the name method is taken"),
        ([], "expected at least one of nmse"),
        ([7], "expected a name or a node"),
        ([{"_target_": "nowhere.metric"}], "cannot find nowhere.metric"),
        ([{"_target_": "mrirecon.metrics.Ssim", "windw": 1}], "no such argument; did you mean w"),
        ([{"_target_": "mrirecon.metrics.MsSsim", "scales": 9}], "scales: expected 1 to 5, got 9"),
        ([{"_target_": "mrirecon.errors.MriReconError"}], "not callable"),
        ([{"_target_": "mrirecon.metrics.WINDOW"}], "is of type int, no class and no function"),
    ],
)
def test_wrong_choices_are_explained(chosen, words):
    with pytest.raises(ConfigError, match=words):
        chosen_metrics(chosen, {})


def test_a_function_of_no_number_is_explained():
    (metric,) = chosen_metrics([{"_target_": f"{__name__}.two_values"}], {}).values()
    with pytest.raises(ConfigError, match="two_values: expected a function that returns a number"):
        metric(torch.rand(1, 8, 8), torch.rand(1, 8, 8))
