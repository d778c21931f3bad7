"""Random scans, and the images that they are made of."""

import h5py
import numpy as np
import pytest
import torch

from mrirecon.epoch import training_epoch
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.simulation import RandomScans, random_scans
from mrirecon.simulation.anatomy_bank import (
    AnatomyImage,
    Source,
    read_bank,
    sources_of,
    write_bank,
)

SMALL = {"matrix": (48, 64), "coils": (2, 5)}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Two images: a disc and a square."""
    y, x = np.mgrid[-30:30, -24:24].astype(np.float32)
    images = [
        AnatomyImage((np.hypot(y, x) < 20).astype(np.float32), 1.0, "discs"),
        AnatomyImage((np.maximum(abs(y), abs(x)) < 15).astype(np.float32) * 0.5, 2.0, "squares"),
    ]
    path = tmp_path_factory.mktemp("bank") / "bank.h5"
    sources = [Source("discs", "CC0-1.0", "here", 1), Source("squares", "MIT", "there", 1)]
    write_bank(path, iter(images), sources, seed=3)
    return path


def test_a_bank_keeps_images_and_where_they_come_from(bank):
    disc, square = read_bank(str(bank))
    assert disc.pixels.shape == (60, 48)
    assert disc.pixels.max() == 1
    assert square.pixels.max() == pytest.approx(0.5, abs=1e-3)
    assert (square.spacing, square.source) == (2.0, "squares")
    assert [source.licence for source in sources_of(str(bank))] == ["CC0-1.0", "MIT"]


@pytest.mark.parametrize("content", [b"not HDF5", None])
def test_other_files_are_no_bank(tmp_path, content):
    path = tmp_path / "bank.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RawDataError, match=r"bank\.h5.*anatomy_bank\.py"):
        random_scans(0, 1, RandomScans(bank=str(path), shapes=0.0))[0][0]


def elsewhere(folder, kind):
    """Make a bank of which something lies in another file: somebody else's."""
    path, other = folder / "bank.h5", folder / "other.h5"
    image = AnatomyImage(np.ones((8, 8), np.float32), 1.0, "ones")
    for file in (path, other):
        write_bank(file, iter([image]), [Source("ones", "MIT", "here", 1)], seed=3)
    with h5py.File(path, "r+") as file:
        del file["images/00000"]
        if kind == "link":
            file["images/00000"] = h5py.ExternalLink(other.name, "images/00000")
        elif kind == "soft":
            file["way"] = h5py.ExternalLink(other.name, "images")
            file["images/00000"] = h5py.SoftLink("/way/00000")
        else:
            (folder / "raw").write_bytes(bytes(128))
            stored = [(str(folder / "raw"), 0, 128)]
            file["images"].create_dataset("00000", (8, 8), "u2", external=stored)
    return path


@pytest.mark.parametrize("kind", ["link", "soft", "storage"])
def test_a_bank_gives_only_what_it_holds(tmp_path, kind):
    path = elsewhere(tmp_path, kind)
    with pytest.raises(RawDataError, match=r"bank\.h5: .*(00000|way).*\. Other files"):
        read_bank(str(path))


def test_scans_are_drawn_anew_in_each_epoch_and_the_same_again(bank):
    ranges = RandomScans(bank=str(bank), **SMALL)
    scan, same = (random_scans(7, 1, ranges)[0] for _ in range(2))
    with training_epoch(1):
        first = scan[0]
        assert torch.equal(same[0].kspace, first.kspace)
    with training_epoch(2):
        assert not torch.equal(scan[0].kspace, first.kspace)
        assert scan[0].kspace.shape == first.kspace.shape
    assert tuple(first.kspace.shape) == (scan.header.coils, *scan.header.grid)


def test_what_is_drawn_lies_in_its_ranges(bank):
    headers = [one.header for one in random_scans(0, 60, RandomScans(bank=str(bank), **SMALL))]
    assert {header.coils for header in headers} == {2, 3, 4, 5}
    assert {n for header in headers for n in header.grid} == {48, 52, 56, 60, 64}
    assert 0 < sum(header.whitened for header in headers) < 60


def test_scans_share_as_many_forms_as_are_asked_for(bank):
    ranges = RandomScans(bank=str(bank), forms=3, **SMALL)
    headers = [one.header for one in random_scans(0, 12, ranges)]
    assert len({(header.coils, header.grid, header.whitened) for header in headers}) == 3
    assert len({header.name for header in headers}) == 12


def test_noise_has_the_level_that_the_sample_tells(bank):
    ranges = RandomScans(bank=str(bank), snr=(5.0, 5.0), correlated=0.0, shapes=0.0, **SMALL)
    sample = random_scans(0, 1, ranges)[0][0]
    corners = torch.cat([sample.kspace[:, :12, :12], sample.kspace[:, -12:, -12:]])
    assert sample.noise == 1
    assert corners.abs().square().mean() == pytest.approx(2, rel=0.1)  # of both components
    ranges = RandomScans(bank=str(bank), snr=(np.inf, np.inf), **SMALL)
    clean = random_scans(0, 1, ranges)[0][0]
    assert clean.noise is None


def test_correlated_noise_has_unit_variance_on_average():
    ranges = RandomScans(snr=(1e-3, 1e-3), correlated=1.0, coils=(8, 8), matrix=(64, 64))
    sample = random_scans(0, 1, ranges)[0][0]
    covariance = torch.cov(sample.kspace.flatten(1))
    assert covariance.diagonal().real.mean() == pytest.approx(2, rel=0.05)
    assert (covariance - covariance.diagonal().diag()).abs().max() > 0.2
    assert sample.noise is None


@pytest.mark.parametrize("changes", [{"snr": (0, 3)}, {"snr": (4, 3)}])
def test_ranges_that_cannot_be_are_refused(changes):
    with pytest.raises(ConfigError, match="snr"):
        RandomScans(**changes)
