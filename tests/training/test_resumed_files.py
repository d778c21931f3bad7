"""A resumed checkpoint may tell any path; only files of its own run are replaced or removed."""

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mrirecon.errors import OutputError
from mrirecon.training.callbacks.last_checkpoint import LastCheckpoint
from mrirecon.training.checkpoint_files import AtomicCheckpoints
from tests.training import runs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def fit(folder, epochs, resume=None, io=None):
    kept = ModelCheckpoint(folder, monitor="val/ssim", mode="max", save_top_k=1, save_last=True)
    last = LastCheckpoint(folder, "end")
    runs.fit(folder, runs.varnet(), epochs, resume=resume, loaders=runs.data(subjects=1),
             callbacks=[kept, last], enable_checkpointing=True,
             plugins=[io or AtomicCheckpoints()])  # fmt: skip
    return kept, last


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    fit(folder, 1)
    return folder


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("form", ["{home}/precious", "{run}/../precious", "{run}/a/../mine.ckpt",
                                  "memory://{home}/precious", "{run}/link.ckpt"])  # fmt: skip
def test_paths_in_a_checkpoint_remove_nothing(form, moved, first, tmp_path):
    run, home = tmp_path / "run", tmp_path
    (home / "precious").mkdir()
    (run / "a").mkdir(parents=True)
    (run / "mine.ckpt").write_text("mine")
    (run / "link.ckpt").symlink_to(home / "precious")
    (home / "precious" / "scan.h5").write_text("raw")
    state = torch.load(first / "end.ckpt", weights_only=True)
    path = form.format(home=home, run=run)
    for one in state["callbacks"].values():
        if "best_model_path" in one:
            one |= {"dirpath": "/elsewhere" if moved else str(run), "best_model_path": path,
                    "last_model_path": path, "kth_best_model_path": path,
                    "kth_value": torch.tensor(-9.0), "best_k_models": {path: torch.tensor(-9.0)},
                    }  # fmt: skip
    torch.save(state, tmp_path / "evil.ckpt")
    fit(run, 2, tmp_path / "evil.ckpt")
    assert (home / "precious" / "scan.h5").read_text() == "raw"
    assert (run / "mine.ckpt").read_text() == "mine" and (run / "link.ckpt").is_symlink()
    assert (run / "end.ckpt").is_file()


def test_a_resumed_run_knows_its_files_also_in_a_moved_folder(first, tmp_path):
    moved = tmp_path / "moved"
    first_files = {p.name: p.read_bytes() for p in first.glob("*.ckpt")}
    moved.mkdir()
    for name, content in first_files.items():
        (moved / name).write_bytes(content)
    kept, last = fit(moved, 2, moved / "end.ckpt")
    assert len(list(moved.glob("epoch*.ckpt"))) == 1  # the better of both epochs
    assert kept.best_model_path == str(next(moved.glob("epoch*.ckpt")))
    assert last.best_model_path == str(moved / "end.ckpt")


def test_a_checkpoint_is_handed_over_and_not_read_again(first, tmp_path):
    io = AtomicCheckpoints()
    path = tmp_path / "end.ckpt"
    io.hand_over(path, torch.load(first / "end.ckpt", weights_only=True))
    path.write_bytes(b"cposix\nsystem\n(S'touch pwned'\ntR.")  # changed since it was checked
    fit(tmp_path / "on", 2, path, io)
    assert torch.load(tmp_path / "on" / "end.ckpt", weights_only=True)["epoch"] == 1


def test_a_foreign_file_is_not_replaced(tmp_path):
    (tmp_path / "end.ckpt").write_text("mine")
    with pytest.raises(OutputError, match="no checkpoint of this run"):
        AtomicCheckpoints().save_checkpoint({"recipe": {}}, tmp_path / "end.ckpt")
    assert (tmp_path / "end.ckpt").read_text() == "mine"


def test_a_checkpoint_tells_no_folders(tmp_path):
    folder = tmp_path / "Jane_Doe" / "checkpoints"
    states = {"ModelCheckpoint{'monitor': None}": {
        "dirpath": str(folder), "best_model_path": str(folder / "best.ckpt"),
        "best_k_models": {str(folder / "best.ckpt"): torch.tensor(0.5)}, "monitor": "val/ssim",
    }}  # fmt: skip
    checkpoint = {"state_dict": {}, "callbacks": states}
    AtomicCheckpoints().save_checkpoint(checkpoint, folder / "last.ckpt")
    assert b"Jane_Doe" not in (folder / "last.ckpt").read_bytes()
    stored = torch.load(folder / "last.ckpt", weights_only=True)["callbacks"]
    (state,) = stored.values()
    assert state["best_model_path"] == "best.ckpt" and state["monitor"] == "val/ssim"
    assert list(state["best_k_models"]) == ["best.ckpt"]
    assert states["ModelCheckpoint{'monitor': None}"]["dirpath"] == str(folder)  # as it was
