"""Mean and standard deviation of several images of one scan."""

import sys

import h5py
import numpy as np
import pytest
import torch

import mrirecon as mr
from mrirecon import cli
from mrirecon.data.transforms import Normalize, Undersample
from mrirecon.errors import ConfigError
from mrirecon.evaluation.noise_maps.g_factor import sense_noise
from mrirecon.pipeline import Method, Request, ensemble_of, run
from mrirecon.reconstructors.learned.guarded import Guarded, watched
from mrirecon.reconstructors.learned.plug_and_play import PlugAndPlay
from mrirecon.reconstructors.parts.domain import Domain
from mrirecon.sampling import EquispacedLines
from mrirecon.scan import Scan
from mrirecon.sensitivity import GivenMaps
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.uncertainty import Ensemble, Spread
from mrirecon.uncertainty.moments import Moments
from mrirecon.uncertainty.noisy_scan import NoisyScan
from mrirecon.uncertainty.spread import redrawn
from tests import scenes


def test_moments_equal_the_direct_computation():
    values = 1e3 + torch.randn(7, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    moments = Moments()
    for one in values:
        moments.add(one)
    torch.testing.assert_close(moments.mean, values.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(moments.deviation, values.double().std(0).float(), rtol=1e-3, atol=0)
    single = Moments()
    single.add(values[0])
    with pytest.raises(ValueError, match="at least 2 volumes, got 1"):
        _ = single.deviation


class Weighted(Scan):
    """A scan of known noise, where some lines were averaged and others were not measured."""

    def __init__(self, noise=None):
        self.inner, self.noise = scenes.scan(matrix=(64, 48)), noise
        self.header = self.inner.header

    def _read(self, index):
        sample, columns = self.inner[index], torch.arange(48)
        weights = torch.where(columns % 2 == 0, 1.0, 0.25)[None]
        mask = (columns % 3 > 0)[None]
        kspace = torch.where(mask, sample.kspace, 0)
        noise = sample.noise if self.noise is None else torch.tensor(self.noise)
        return sample.replace(kspace=kspace, mask=mask, weights=weights, noise=noise)


def test_added_noise_is_that_of_the_measurement():
    scan = Weighted(3.0)
    added = NoisyScan(scan, 0, 0)[1].kspace - scan[1].kspace
    assert not added[..., ::3].any()
    for start, level in ((4, 3.0), (1, 6.0)):  # a quarter of the averages, twice the noise
        for part in torch.view_as_real(added[..., start::6]).unbind(-1):
            assert float(part.std()) == pytest.approx(level, rel=0.05)  # 3 sigma of 2048


def test_noise_is_the_same_for_the_same_seed_and_no_other():
    scan = scenes.scan()
    once = NoisyScan(scan, 1, 2)
    assert torch.equal(once[1].kspace, NoisyScan(scan, 1, 2)[1].kspace)
    others = [NoisyScan(scan, 1, 2)[0], NoisyScan(scan, 2, 1)[1], NoisyScan(scan, 1, 3)[1]]
    drawn = [(once[1].kspace - scan[1].kspace).flatten()]
    drawn += [(o.kspace - scan[i].kspace).flatten() for o, i in zip(others, (0, 1, 1), strict=True)]
    alike = torch.corrcoef(torch.stack(drawn)).abs() - torch.eye(4)
    assert alike.max() < 0.06  # 5760 samples


def test_replicas_have_the_noise_that_sense_has():
    """The analytic standard deviation; the magnitude of a bright pixel has that of its phase."""
    scan = scenes.scan(matrix=(32, 24), slices=1, snr=200.0, with_maps=True)
    pattern = EquispacedLines(2, acs=4)
    method = mr.CgSense(GivenMaps(), regularization=0.0, iterations=12)
    image = mr.reconstruct(scan, method, sampling=pattern, samples=40)
    sample = Undersample(pattern)(scan[0])
    expected = sense_noise(sample.maps, sample.mask).numpy() * float(sample.noise)
    bright = np.isfinite(expected) & (image.array[0] > 10 * expected)
    ratio = image.std[0][bright] / expected[bright]
    assert bright.sum() > 200 and expected[bright].max() > 1.3 * expected[bright].min()
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert np.percentile(abs(ratio - 1), 95) < 0.27  # 2.4 / sqrt(2 * 40)


def test_mean_and_deviation_equal_those_of_the_images():
    scan, method = scenes.scan(with_maps=True), mr.CgSense(GivenMaps())
    image = mr.reconstruct(scan, method, samples=mr.Spread(3, "replicas", 5), batch_size=2)
    each = [mr.reconstruct(NoisyScan(scan, 5, i), method).array for i in range(3)]
    np.testing.assert_allclose(image.mean, np.mean(each, 0), rtol=1e-5)
    np.testing.assert_allclose(image.std, np.std(each, 0, ddof=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(image.array, mr.reconstruct(scan, method).array)
    part = mr.reconstruct(
        scan, method, samples=mr.Spread(3, seed=5), selection=mr.Selection(slices=[1])
    )
    np.testing.assert_allclose(part.std[0], image.std[1], rtol=1e-3, atol=1e-4)
    other = mr.reconstruct(scan, method, samples=mr.Spread(3, seed=6))
    assert abs(other.std / image.std - 1).mean() > 0.1
    assert image.provenance.spread == "3 pseudo-replicas of the noise, measured (seed 5)"


def test_noise_of_unknown_level_is_said_to_be_estimated():
    kspace = scenes.scan(slices=1)[0].kspace
    image = mr.reconstruct(kspace, "zero_filled", samples=2)
    assert "estimated from k-space" in image.provenance.spread and image.std.mean() > 0


class Scaled(mr.ZeroFilled):
    """Multiplies the image by a number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, sample):
        return self.factor * super().forward(sample)


def test_an_ensemble_is_the_mean_of_its_members():
    scan = scenes.scan()
    methods = [Method(Scaled(f), Normalize(), checkpoint=f"/x/{f}.ckpt") for f in (1.0, 2.0, 6.0)]
    single = mr.reconstruct(scan, methods[0]).array
    method = ensemble_of(methods)
    image = mr.reconstruct(scan, method, samples=3)
    np.testing.assert_allclose(image.array, 3 * single, rtol=1e-5)
    np.testing.assert_allclose(image.mean, 3 * single, rtol=1e-5)
    np.testing.assert_allclose(image.std, np.std([1, 2, 6], ddof=1) * single, rtol=1e-5)
    np.testing.assert_allclose(mr.reconstruct(scan, method).array, image.array, rtol=1e-5)
    assert method.name == "ensemble of 3 Scaled"
    replicas = mr.reconstruct(scan, method, samples=Spread(2, "replicas"))
    assert (replicas.std < 0.5 * image.std).mean() > 0.3
    with pytest.raises(ConfigError, match="has 3 checkpoints and makes as many images, not 4"):
        mr.reconstruct(scan, method, samples=4)


def test_members_that_cannot_share_a_scan_are_refused():
    one = Method(Scaled(1.0), Normalize())
    with pytest.raises(ConfigError, match=r"Normalize\(percentile=99.0\) and .*percentile=90"):
        ensemble_of([one, Method(Scaled(2.0), Normalize(90))])
    seeing = Scaled(2.0)
    seeing.context = 1
    with pytest.raises(ConfigError, match="must see the same slices and frames"):
        ensemble_of([one, Method(seeing, Normalize())])
    with pytest.raises(ConfigError, match="spread=ensemble needs several checkpoints"):
        mr.reconstruct(scenes.scan(), one, samples=Spread(2, "ensemble"))
    same = [
        Method(Scaled(1.0), Normalize(), checkpoint=f"{name} (SHA-256 0123456789abcdef)")
        for name in ("a.ckpt", "copy.ckpt")
    ]
    with pytest.raises(ConfigError, match=r"0123456789abcdef .* are given twice"):
        ensemble_of(same)
    assert ensemble_of([one]) is one


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((1,), "at least 2 images"),
        ((0,), "at least 2 images"),
        ((4, "replicas", -1), "0 or a positive number"),
    ],
)
def test_wrong_spreads_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        Spread(*wrong)


@pytest.mark.parametrize(
    "method",
    [
        mr.L1Wavelet(GivenMaps(), iterations=4),
        PlugAndPlay(GivenMaps(), iterations=3),
    ],
)
def test_random_choices_are_made_anew(method):
    scan = scenes.scan(slices=1, with_maps=True)
    image = mr.reconstruct(scan, method, sampling=scenes.PATTERN, samples=Spread(2, "random", 1))
    again = mr.reconstruct(scan, method, sampling=scenes.PATTERN, samples=Spread(2, "random", 1))
    assert image.std.max() > 0 and np.array_equal(image.std, again.std)
    plain = mr.reconstruct(scan, method, sampling=scenes.PATTERN)
    np.testing.assert_array_equal(image.array, plain.array)  # the method itself is left alone


def test_a_method_without_choices_makes_none():
    for method in (mr.CgSense(GivenMaps()), mr.L1Wavelet(GivenMaps(), cycle_spinning=False)):
        with pytest.raises(ConfigError, match="makes no random choices; take spread=replicas"):
            redrawn(method, 0)


def test_every_member_is_watched_and_replicas_are_not():
    domain = Domain(noise=(0.0, 1e-9), sampled=(0, 1), contrast=(0, 1), residual=(0, 1e9))
    guards = [Guarded(PlugAndPlay(GivenMaps(), iterations=1), domain) for _ in range(2)]
    ensemble = Ensemble(guards)
    with watched(ensemble) as told:
        ensemble(scenes.batch())
    assert len(told) == 1 and "2 of 2" in told[0]
    method = Method(guards[0], Normalize())
    made = run(scenes.scan(with_maps=True), method, Request(spread=Spread(2)))
    assert "2 of 2" in made.warnings[0]


def test_the_command_writes_every_format(tmp_path, monkeypatch, capsys):
    """From two checkpoints, of which no output tells the folder; twice the same."""
    scan = scenes.scan(slices=1)
    write_ismrmrd(tmp_path / "a.h5", scan, AcquisitionOptions(sampling=scenes.PATTERN))
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["mrirecon", "reconstruct", "input=a.h5", *words])
        cli.main()
        return capsys.readouterr().out

    told = call("output=o", "samples=3", "seed=4", "formats=[hdf5,nifti,dicom,mrd,png]")
    assert "Mean and standard deviation are of 3 pseudo-replicas of the noise" in told
    assert "a_std.nii.gz" in told
    beside = {"a_std.nii.gz", "a_std.json", "a_mean_dicom", "a_std_dicom", "a_std.png"}
    assert beside < {one.name for one in (tmp_path / "o").iterdir()}
    assert "all outputs are there" in call("output=o", "samples=3", "existing=skip",
                                           "formats=[hdf5,nifti,dicom,mrd,png]")  # fmt: skip
    (tmp_path / "o" / "a_std.png").unlink()
    assert "wrote a.png" in call("output=o", "samples=3", "seed=4", "existing=skip")
    assert (tmp_path / "o" / "a_std.png").is_file()
    call("output=again", "samples=3", "seed=4", "formats=hdf5")
    with h5py.File("o/a.h5") as one, h5py.File("again/a.h5") as other:
        for name in ("reconstruction", "mean", "standard_deviation"):
            np.testing.assert_array_equal(one[name], other[name])
        assert one["mean"].attrs["meaning"].startswith("3 pseudo-replicas")
    for words, reason in (
        (("samples=1",), "at least 2 images"),
        (("spread=replicas",), "needs samples=NUMBER"),
        (("samples=4", "spread=ensemble"), "needs several checkpoints"),
        (("samples=4", "spread=random"), "makes no random choices"),
        (("checkpoint=[x.ckpt,y.ckpt]",), "x.ckpt is not a file"),
    ):
        with pytest.raises(SystemExit) as end:
            call("output=wrong", *words)
        assert reason in str(end.value) + capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()
