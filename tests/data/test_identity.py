"""Scans that are in two sets, whatever they are called; the data range of references made here."""

import shutil

import h5py
import numpy as np
import pytest
import torch

from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.data.packing import Packing, pack
from mrirecon.data.transforms import Compose, Normalize, RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.readers import open_scan
from mrirecon.training.validation_scores import VolumeScores
from tests import scenes

TRANSFORM = Compose([RssTarget(), Undersample(scenes.PATTERN), Normalize()])


def headerless(path, number, scale=1.0):
    """A file that tells no patient and no reference."""
    scan = scenes.scan(number, slices=3)
    kspace = torch.stack([sample.kspace for sample in scan]).numpy()
    factors = np.array([0.5, 1.0, 0.25])[:, None, None, None]  # no slice but one has the peak
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["kspace"] = (scale * factors * kspace).astype(np.complex64)
    return path


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    for number in (0, 1):
        headerless(folder / f"{number}.h5", number)
    return folder


def slices(folder):
    return SliceDataset(Folder(folder), TRANSFORM)


def copied(train, val):
    shutil.copy(train / "0.h5", val / "another name.h5")


def linked(train, val):
    (val / "0.h5").symlink_to(train / "0.h5")


def packed(train, val):
    pack(open_scan(train / "0.h5"), val / "p.h5", Packing(half=True))


def compressed(train, val):
    with h5py.File(train / "0.h5") as file:
        np.savez_compressed(val / "0.npz", kspace=file["kspace"][()])


def repeated(train, val):
    """The same person once more: other noise."""
    shutil.copy(train / "0.h5", val / "x.h5")
    with h5py.File(val / "x.h5", "r+") as file:
        kspace = file["kspace"][()]
        noise = np.random.default_rng(0).normal(size=(*kspace.shape, 2)).view(complex)[..., 0]
        file["kspace"][()] = kspace + 0.002 * np.abs(kspace).max() * noise


@pytest.mark.parametrize("copy", [copied, linked, packed, compressed, repeated])
def test_a_scan_is_in_one_set_only(copy, train, tmp_path):
    copy(train, tmp_path)
    with pytest.raises(ConfigError, match=r"data.train and data.val hold the same scans: .*0.h5"):
        DataModule(slices(train), slices(tmp_path))
    with pytest.raises(ConfigError, match=r"data.val and data.test hold the same scans"):
        DataModule(slices(headerless(tmp_path / "t/2.h5", 2).parent), *[slices(tmp_path)] * 2)


def test_other_people_are_no_copies(train, tmp_path):
    headerless(tmp_path / "0.h5", 7)  # of the same name
    DataModule(slices(train), slices(tmp_path))


@pytest.mark.parametrize("on_device", [False, True])
def test_the_data_range_of_training_is_that_of_validation(on_device, train):
    scans = Folder(train)
    if on_device:
        found = SliceDataset(scans, Compose([]), batch_transform=TRANSFORM)
    else:
        found = SliceDataset(scans, TRANSFORM)
    volume = torch.stack([root_sum_of_squares(ifft(sample.kspace)) for sample in scans[0]])
    for index in range(3):
        batch = found.prepared(index)
        assert batch.peak * batch.scale == pytest.approx(float(volume.max()), rel=1e-6)
        assert batch.peak >= batch.target.max()
    assert batch.peak > 2 * batch.target.max()  # the last slice is dark
    scores = VolumeScores()
    for index in range(3):
        batch = found.prepared(index)
        scores.add(batch, torch.complex(batch.target, torch.zeros_like(batch.target)))
    assert scores.mean()["ssim"] == pytest.approx(1)


def test_the_maximum_is_found_once(train, monkeypatch):
    from mrirecon.data import peaks

    slices(train)[0]
    monkeypatch.setattr(peaks, "volume_peak", lambda _: pytest.fail("it is in the cache"))
    assert slices(train)[0].peak > 0
