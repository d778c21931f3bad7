import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from mrirecon.evaluation.scores.volumes import read_volume
from mrirecon.quality import CoilPictures, MeasuredMask, NoiseMaps, Quality, Residual
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.writers import write_hdf5, write_qc
from mrirecon.writers.qc import page
from tests import scenes

GENERATOR = np.random.default_rng(0)


def random(*shape):
    return GENERATOR.random(shape).astype(np.float32)


def quality(**changes):
    mask = np.zeros((40, 36), bool)
    mask[:, ::2] = mask[:, 12:24] = True
    common = Quality(
        plane="slice 2 of 3",
        masks=(MeasuredMask("slice 2 of 3", mask, (40, 12), 1.5),),
        kspace=random(40, 36),
        peak=(21, 18),
        coils=CoilPictures(random(4, 40, 36), "coil sensitivities", (1, 1), random(40, 36), 0.9),
        noise=NoiseMaps(10 * random(40, 36), 1 + random(40, 36), 4),
        correlation=np.eye(4),
        residual=Residual("ESPIRiT's maps", 0.123, 1.01, 0.02),
        own_residual=Residual("the method's own maps", 0.1, 0.99, 0.0),
        seconds=(("reconstruction", 1.234),),
        memory=(("process", 321.0),),
    )
    return replace(common, **changes)


@pytest.fixture
def result():
    scan = scenes.scan(slices=3)
    header = replace(scan.header, notes=("First <note> & more.", "Second note."))
    made = Provenance("a.h5", "CgSense", "mrirecon reconstruct input='a b.h5'", "model: {a: 1}",
                      acceleration=1.5, versions=("mrirecon 9.9",))  # fmt: skip
    import torch

    return Reconstruction(torch.rand(1, 3, 40, 36), header, made, quality=quality())


class Checker(HTMLParser):
    """Everything that is opened is closed, and nothing is fetched or run."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.tags = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open and not {"script", "link", "iframe"} & checker.tags
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert "http" not in re.sub('base64,[^"]*', "", text)
    return len(checker.sources)


def test_one_page_tells_everything_and_needs_nothing_else(result, tmp_path):
    write_qc(tmp_path / "a.html", result)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert check(text) == 8
    for told in (
        "First &lt;note&gt; &amp; more.", "Second note.", "CgSense", "R = 1.50", "40 × 12",
        "+1, +0", "1.01", "12.30%", "reconstruction 1.23 s", "process 321 MB", "mrirecon 9.9",
        "input=&#x27;a b.h5&#x27;", "model: {a: 1}", "not for diagnostic use", "4 replicas",
        "R to L across, A to P down",
    ):  # fmt: skip
        assert told in text, told


def test_an_image_that_does_not_fit_is_warned_of_and_one_that_fits_is_not(result):
    assert "WARNING" not in page(result) and "misfit, fits the data" in page(result)
    bad = quality(residual=Residual("ESPIRiT's maps", 0.42, 6.3, 0.41))
    text = page(replace(result, quality=bad))
    check(text)
    assert '<section class="warnings">' in text and "misfit, DOES NOT FIT the data" in text
    assert "41% of the measured k-space is not explained" in text.replace("&#x27;", "'")
    noise = quality(residual=Residual("ESPIRiT's maps", 0.94, None, 0.0, signal=0.002))
    assert noise.warnings == (
        "The measured k-space is noise or zero: 0.2% of its energy are signal, where at least 5% "
        "are needed to judge an image. What the image shows is not the object.",
    )
    only_own = quality(residual=None, own_residual=Residual("own", 0.3, None, 0.3))
    assert len(only_own.warnings) == 1 and quality().warnings == ()


def test_what_is_missing_is_said_instead_of_shown(result):
    poor = quality(
        noise=None, correlation=None, residual=None, own_residual=None,
        coils=CoilPictures(random(1, 40, 36), "coil images"),
        missing=(("SNR", "the noise is <unknown>"),),
    )  # fmt: skip
    header = replace(result.header, geometry=None, voxel=None, notes=(), coils=1)
    text = page(replace(result, quality=poor, header=header))
    assert check(text) == 4 and "SNR: the noise is &lt;unknown&gt;." in text
    assert "1 coil ·" in text and "does not tell the orientation" in text
    assert '<section class="notes">' not in text


def test_a_volume_without_measurements_has_a_page_too(result):
    assert check(page(replace(result, quality=None))) == 1


def test_empty_and_odd_pictures_do_no_harm(result):
    zero = np.zeros((40, 36), np.float32)
    empty = quality(
        kspace=zero,
        coils=CoilPictures(np.zeros((40, 40, 36), np.float32), "coils", (1, 3), zero, 0.9),
        noise=NoiseMaps(zero, zero, 4),
        masks=(
            MeasuredMask("slice 1", zero > 0, (0, 0), float("inf")),
            MeasuredMask("slice 2", zero == 0, (40, 36), 1.0),
        ),
    )
    text = page(replace(result, volume=result.volume * 0, quality=empty))
    assert check(text) == 8 and "the first 16 of 40" in text


@pytest.mark.parametrize(
    ("residual", "told"),
    [
        (Residual("ESPIRiT's maps", 0.42, 6.3, 0.4125), 0.4125),
        (Residual("ESPIRiT's maps", 0.94, None, 0.3, signal=0.002), None),
        (None, 0.0),  # that with the method's own maps
    ],
)
def test_an_evaluation_reads_the_misfit_off_the_page_beside_the_images(
    result, tmp_path, residual, told
):
    result = replace(result, quality=quality(residual=residual))
    volume, written = tmp_path / "v.h5", tmp_path / "v_qc.html"
    write_hdf5(volume, result)
    assert read_volume(volume).judged.misfit is None
    write_qc(written, result)
    assert read_volume(volume).judged.misfit == told
    written.write_bytes(written.read_bytes().replace(b"First", b"Third"))
    assert read_volume(volume).judged.misfit is None
