"""What was measured and what was added, where both are known."""

import numpy as np
import pytest
import torch

from mrirecon.assessment import assess, null_space
from mrirecon.assessment.null_space import measured_part
from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import MriReconError
from mrirecon.evaluation.scores.volumes import read_volume
from mrirecon.fourier import fft, ifft
from mrirecon.image import complex_image
from mrirecon.operators import SenseNormal, sense, sense_normal
from mrirecon.pipeline import Method, assessed, run
from mrirecon.readers import open_scan
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sampling import EquispacedLines
from mrirecon.sensitivity import Espirit
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.writers import write_hdf5, write_qc
from tests import scenes

NORMALIZE = Compose([Normalize()])
PATTERN = EquispacedLines(4, acs=16)
REDUCED = Compose([Undersample(PATTERN), Normalize()])


def noise(*shape):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def test_with_one_coil_what_was_not_sampled_was_not_measured():
    image, mask = noise(1, 24, 20), torch.zeros(1, 1, 20)
    mask[..., ::3] = 1
    normal = SenseNormal.of(torch.ones(1, 1, 24, 20, dtype=torch.complex64), mask)
    found = measured_part(image, normal, 1e-3)
    torch.testing.assert_close(found, ifft(mask * fft(image)) / (1 + 1e-3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threshold", [1e-2, 1e-5])
def test_coils_measure_between_the_lines_as_far_as_noise_allows(threshold):
    """Against the singular values of the encoding, written out."""
    h, w, coils = 1, 12, 2
    maps = noise(1, coils, h, w)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    mask = torch.zeros(1, 1, w)
    mask[..., ::4] = 1
    encode = sense(maps, mask.bool())
    columns = [
        encode(torch.eye(w, dtype=torch.complex64)[i].view(1, h, w)).flatten() for i in range(w)
    ]
    _, values, vectors = torch.linalg.svd(torch.stack(columns, 1), full_matrices=True)
    kept = torch.zeros(w)
    kept[: len(values)] = values.square() / (values.square() + threshold)
    image = noise(1, h, w)
    expected = vectors.mH @ (kept * (vectors @ image.flatten()))
    found = measured_part(image, SenseNormal.of(maps, mask), threshold)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-3, atol=1e-3)
    assert (kept > 0.5).sum() == 6  # three lines, two coils


def test_a_small_threshold_is_reached_or_told(scan, monkeypatch):
    """At high SNR a residual that is small beside the data is not small beside the threshold."""
    sample = collate([REDUCED(scan[0])])
    normal = sense_normal(sample, Espirit(crop=0.0)(sample))
    image = CgSense(Espirit())(sample)
    parts = []
    for accuracy in (null_space.ACCURACY, 1e-2, 100.0):
        monkeypatch.setattr(null_space, "ACCURACY", accuracy)
        parts.append(image - measured_part(image, normal, 1e-4))
    errors = [float((part - parts[1]).norm() / parts[1].norm()) for part in parts]
    assert errors[0] < 0.05 and errors[2] > 0.1
    monkeypatch.undo()
    monkeypatch.setattr(null_space, "ITERATIONS", 10)
    with pytest.raises(MriReconError, match="did not converge within 10 steps"):
        measured_part(image, normal, 1e-5)
    found = assess(scan, CgSense(Espirit()), REDUCED)
    assert found.added is None
    assert "did not converge" in dict(found.missing)["measured and added part of the image"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "a.h5"
    write_ismrmrd(path, scenes.scan(matrix=(64, 60), slices=1, coils=2), AcquisitionOptions())
    return open_scan(path)


class Inventing(Reconstructor):
    """CG-SENSE with a texture that the data cannot tell, or one that they contradict."""

    def __init__(self, told):
        super().__init__()
        self.method, self.told = CgSense(Espirit()), told

    def forward(self, sample):
        image = self.method(sample)
        normal = sense_normal(sample, Espirit(crop=0.0)(sample))
        texture = image.abs() * noise(*image.shape[-2:])
        for _ in range(2):  # what is measured in part is left out
            known = measured_part(texture, normal, 2e-3)
            texture = known if self.told else texture - known
        return image + image.abs().mean() / texture.abs().mean() * texture


def test_invented_structure_lies_in_what_was_not_measured_and_misfit_does_not(scan):
    plain, invented, wrong = (
        assess(scan, method, REDUCED, reference=NORMALIZE)
        for method in (CgSense(Espirit()), Inventing(False), Inventing(True))
    )
    assert plain.added.error.name == "image minus the combination of the full data"
    assert invented.added.image.share > 1.5 * plain.added.image.share > 0
    assert invented.added.error.share > 0.8 > 0.75 > plain.added.error.share
    assert wrong.added.error.share < 0.5 * plain.added.error.share
    assert wrong.misfit > 2 * invented.misfit
    for part in (plain.added.image, plain.added.error):
        assert part.whole.shape == part.unmeasured.shape == scan.header.matrix
        ratio = (part.unmeasured**2).sum() / (part.whole**2).sum()
        assert ratio == pytest.approx(part.share, rel=0.25)  # the field of view was cut


class Magnitude(CgSense):
    def forward(self, sample):
        return complex_image(super().forward(sample).abs())


def test_the_phase_of_a_magnitude_image_is_no_invention(scan):
    plain, magnitude = (
        assess(scan, method, REDUCED, reference=NORMALIZE).added
        for method in (CgSense(Espirit()), Magnitude(Espirit()))
    )
    assert magnitude.image.share == pytest.approx(plain.image.share, abs=0.01)
    np.testing.assert_allclose(
        np.linalg.norm(magnitude.error.whole), np.linalg.norm(plain.error.whole), rtol=0.2
    )


def test_full_data_leave_nothing_to_add_and_without_them_there_is_no_error(scan):
    full = assess(scan, CgSense(Espirit(crop=0.0)), NORMALIZE)
    assert full.added.image.share < 1e-3 and full.added.error is None and not full.missing
    reduced = assess(scan, CgSense(Espirit()), REDUCED)
    assert reduced.added.error is None and reduced.added.image.share > full.added.image.share
    zero = assess(
        scan, ZeroFilled(), Compose([Undersample(EquispacedLines(4, acs=2)), Normalize()])
    )
    assert zero.added is None  # no maps to judge by


def test_page_and_evaluation_tell_what_was_added(scan, tmp_path):
    method = Method(CgSense(Espirit()), NORMALIZE, PATTERN)
    made = run(scan, method)
    result = assessed(scan, made.results[0], method, made.seconds)
    write_hdf5(tmp_path / "a.h5", result)
    write_qc(tmp_path / "a_qc.html", result)
    text = (tmp_path / "a_qc.html").read_text(encoding="utf-8")
    added = result.quality.added
    assert "Measured and added" in text and "Of the error (image minus" in text
    assert f"{added.image.share:.1%}" in text
    judged = read_volume(tmp_path / "a.h5").judged
    assert judged.unmeasured == pytest.approx(added.image.share, abs=1e-6)
    assert judged.unmeasured_error == pytest.approx(added.error.share, abs=1e-6)
    assert judged.misfit is not None
