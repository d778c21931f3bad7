import os
import pickle

import pytest

from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.data.transforms import Compose, Undersample
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.sampling import RandomLines
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd
from tests import scenes

AS_IS = Compose([])


@pytest.fixture
def folder(tmp_path):
    for subject in (1, 0):
        simulated = scenes.scan(subject)
        write_ismrmrd(tmp_path / f"a{subject}.h5", simulated)
    write_fastmri(tmp_path / "b.h5", scenes.scan(2))
    return tmp_path


def test_slices_of_a_folder_in_order(folder):
    dataset = SliceDataset(Folder(folder), AS_IS)
    keys = [dataset[i].key for i in range(len(dataset))]
    assert keys == [(n, i) for n in ("a0.h5", "a1.h5", "b.h5") for i in range(2)]
    assert "subject0002" in dataset.subjects
    with pytest.raises(IndexError):
        dataset[6]
    assert pickle.loads(pickle.dumps(dataset))[5].key == ("b.h5", 1)


def test_a_cache_keeps_slices_but_draws_masks_anew():
    reads = []

    class Counts(type(scenes.scan())):
        def _read(self, index):
            reads.append(index)
            return super()._read(index)

    scan = scenes.scan()
    scan.__class__ = Counts
    transform = Undersample(RandomLines(4, acs=4), seed="random")
    dataset = SliceDataset([scan], transform, cache=True)
    masks = {tuple(dataset[0].mask[0].tolist()) for _ in range(6)}
    assert reads == [0] and len(masks) > 3


def test_unreadable_files_are_all_named_or_left_out_on_request(folder, capsys):
    (folder / "c.h5").write_text("not HDF5")
    (folder / "d.h5").write_bytes((folder / "b.h5").read_bytes()[:2000])
    with pytest.raises(RawDataError, match="2 of 5 files cannot be read") as error:
        Folder(folder)
    assert "c.h5" in str(error.value) and "d.h5" in str(error.value)
    assert len(Folder(folder, skip_unreadable=True)) == 3
    assert "left out 2 files" in capsys.readouterr().err
    assert [scan.header.name for scan in Folder(folder, pattern="a*.h5")] == ["a0.h5", "a1.h5"]


def test_empty_and_missing_folders_are_explained(tmp_path):
    with pytest.raises(RawDataError, match="holds no file"):
        Folder(tmp_path)
    with pytest.raises(RawDataError, match="no such file or folder"):
        Folder(tmp_path / "nowhere")
    (tmp_path / "a.h5").write_text("x")
    with pytest.raises(RawDataError, match=r"no file matches '\*.dat'"):
        Folder(tmp_path, pattern="*.dat")


def test_splits_never_share_a_patient():
    train, val, other = (SliceDataset([scenes.scan(s)], AS_IS) for s in (0, 0, 1))
    with pytest.raises(
        ConfigError, match=r"data.train and data.val share the subjects subject0000"
    ):
        DataModule(train, val)
    module = DataModule(train, other, batch_size=2)
    (sample,) = module.train_dataloader()
    assert sample.kspace.shape[0] == 2


def test_a_pipe_is_explained(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RawDataError, match="is a pipe"):
        Folder(tmp_path / "pipe")
