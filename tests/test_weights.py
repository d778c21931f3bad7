"""Weights that are known by name: the list, fetching them, and using them by name."""

import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mrirecon import api, cli
from mrirecon.errors import ConfigError, DownloadError, MriReconError, OutputError
from mrirecon.loading import load_reconstructor
from mrirecon.reconstructors import VarNet
from mrirecon.sensitivity import LearnedMaps
from mrirecon.simulation.raw_files import write_fastmri
from mrirecon.weights import entries, entry_named, registry, weights_file
from mrirecon.weights.fetching import OnlySecure, fetch
from mrirecon.weights.places import digest
from mrirecon.weights.registry import Entry, Origin, WeightsFile
from tests import scenes
from tests.hub_server import COMMIT, FakeLibrary, Repository, serving
from tests.test_config import choices

NAME, REPOSITORY = "small", "owner/small-weights"
OTHER = "f" * 40


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def varnet():
    """Weights of a network that is known by its names, as a file holds them."""
    torch.manual_seed(0)
    model = VarNet(cascades=1, channels=2, pools=2, sensitivity=LearnedMaps(2, 2))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


@pytest.fixture
def repository(varnet):
    files = {"net/weights.pt": varnet, "net/weights.yaml": b"a: 1\n", "README.md": b"# card\n"}
    return Repository(REPOSITORY, files, large=["net/weights.pt"])


@pytest.fixture
def library(repository, monkeypatch):
    fake = FakeLibrary(repository)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder for fetched weights, and a list with one entry."""
    listed = tmp_path / "entries"
    listed.mkdir()
    monkeypatch.setattr(registry, "ENTRIES", listed)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "package")
    monkeypatch.setenv("MRIRECON_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def add(origin=f"hub:{REPOSITORY}", files=("net/weights.pt", "net/weights.yaml"), **changes):
    """Write an entry; ``files`` may be a dict of checksums."""
    sums = files if isinstance(files, dict) else dict.fromkeys(files)
    content = {
        "about": "a small network", "method": "varnet", "origin": origin, "revision": None,
        "files": [{"name": name, "sha256": value} for name, value in sums.items()],
        "checkpoint": next(iter(sums)), "licence": "MIT, as its card says", "data": "nothing",
        "size": "tiny", "scores": [{"what": "a set", "value": "SSIM 1", "source": "nobody"}],
    } | changes  # fmt: skip
    (registry.ENTRIES / f"{NAME}.yaml").write_text("# An entry.\n" + json.dumps(content))
    return entry_named(NAME)


def models(*words, capsys=None):
    """Run the command in this process; returns its status, output and errors."""
    before, sys.argv = sys.argv, ["mrirecon", "models", *words]
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return code or 0, out, err


def test_every_entry_that_is_shipped_is_whole():
    found = entries()
    assert len(found) > 10
    for name, entry in found.items():
        first = (registry.ENTRIES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# ") and len(first) <= 100
        assert entry.method in choices("model")
        assert all(score.source for score in entry.scores)
        if entry.kind is Origin.PACKAGE:
            here = digest(registry.PACKAGED / entry.checkpoint)
            assert entry.files[0].sha256 == here, f"entries/{name}.yaml: the sha256 is {here} now"
            assert Path(weights_file(f"zoo:{name}")).is_file()
        elif entry.kind in (Origin.URL, Origin.PAGE):
            assert entry.place.startswith("https://")


def test_weights_behind_a_page_are_fetched_by_hand(capsys):
    _, out, _ = models("promptmr_knee", capsys=capsys)
    assert "by hand from https://github.com/hellopipu/PromptMR, then" in out
    with pytest.raises(ConfigError, match=r"promptmr_knee: by hand from .* checkpoint=promp"):
        weights_file("zoo:promptmr_knee")


def test_weights_in_the_package_have_an_entry(capsys):
    packaged = {e.checkpoint for e in entries().values() if e.kind is Origin.PACKAGE}
    assert {file.name for file in registry.PACKAGED.glob("*.safetensors")} == packaged
    _, out, _ = models("denoiser", capsys=capsys)
    assert any(line.endswith("output=FOLDER model=pnp") for line in out.splitlines())


def test_the_list_tells_what_is_wanted_of_each(capsys):
    code, out, _ = models(capsys=capsys)
    assert code == 0
    blocks = dict(block.partition(": ")[::2] for block in out.split("\n\n"))
    assert blocks.keys() == entries().keys()
    for name, block in blocks.items():
        for title in ("origin", "licence", "trained on", "size", "score"):
            assert f"\n  {title} " in block, (name, title)
        assert entries()[name].pinned or "not pinned" in block
    code, out, _ = models("--json", capsys=capsys)
    assert {one["name"] for one in json.loads(out)} == blocks.keys()
    code, out, _ = models("fastmri_varnet_knee", capsys=capsys)
    assert "knee_leaderboard_state_dict.pt, SHA-256 not pinned" in out and "\n  note " in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fastmri_varnet_kne"], "did you mean fastmri_varnet_knee?"),
        (["fetch"], "expected NAME"),
        (["one", "two"], "expected NAME"),
        (["fastmri_varnet_knee", "--sha256", "unknown"], "belong to fetch"),
        (["fetch", "fastmri_varnet_knee"], "pins no checksum"),
        (["fetch", "fastmri_varnet_knee", "--revision", COMMIT], "has no commits"),
        (["fetch", "fastmri_varnet_knee", "--sha256", "abc"], "64 hexadecimal digits"),
        (["fetch", "direct_uniform", "--sha256", "0" * 64], "leave out --sha256"),
        (["fetch", "promptmr_knee"], "follow the link on https://github.com/hellopipu/PromptMR in"),
    ],
)
def test_what_cannot_be_is_told(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MRIRECON_WEIGHTS", str(tmp_path))
    code, out, err = models(*words, capsys=capsys)
    assert code and told in err and not out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("revision", [None, "main"])
def test_without_a_commit_the_present_one_is_told_and_nothing_is_fetched(
    revision, folder, library, capsys
):
    add()
    words = ["fetch", NAME, *(["--revision", revision] if revision else [])]
    code, _, err = models(*words, capsys=capsys)
    assert code == 1 and f"fetch {NAME} --revision {COMMIT}" in err
    assert not library.asked and not folder.exists()


def test_a_commit_is_fetched_whole_and_used_by_name(folder, library, repository, capsys, tmp_path):
    add()
    code, out, err = models("fetch", NAME, "--revision", COMMIT, capsys=capsys)
    assert code == 0 and "pins none of these checksums" in err
    assert f"{sha256(repository.files['net/weights.pt'])}  net/weights.pt" in out
    line = f"model=varnet checkpoint=zoo:{NAME}"
    assert out.splitlines()[-1].endswith(line)
    there = folder / NAME
    names = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert names == {"net/weights.pt", "net/weights.yaml", "weights.json"}
    receipt = json.loads((there / "weights.json").read_text())
    assert receipt["revision"] == COMMIT and receipt["checked"] is False
    _, out, _ = models(NAME, capsys=capsys)
    assert "not pinned, fetched" in out and line in out
    # by name, in Python and on the command line
    reconstructor, _ = load_reconstructor(f"zoo:{NAME}")
    assert len(reconstructor.cascades) == 1
    assert "weights.pt" in api.load(f"zoo:{NAME}").checkpoint
    write_fastmri(tmp_path / "scan.h5", scenes.scan(slices=1))
    sys_argv = ["mrirecon", "reconstruct", f"input={tmp_path}/scan.h5", f"output={tmp_path}/out",
                "model=varnet", f"checkpoint=zoo:{NAME}", "formats=[hdf5]"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys_argv)
        cli.main()
    assert list((tmp_path / "out").glob("*.h5"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mrirecon", "convert", f"zoo:{NAME}", f"{tmp_path}/own.ckpt"])
        cli.main()
    assert len(load_reconstructor(tmp_path / "own.ckpt")[0].cascades) == 1
    # again: nothing is fetched twice
    library.asked.clear()
    code, out, _ = models("fetch", NAME, "--revision", COMMIT, capsys=capsys)
    assert code == 0 and not library.asked


def test_into_a_folder_of_ones_own(folder, library, capsys, tmp_path):
    add()
    target = tmp_path / "my own"
    code, out, _ = models("fetch", NAME, str(target), "--revision", COMMIT, capsys=capsys)
    assert code == 0 and out.splitlines()[-1].endswith(f"'checkpoint={target}/net/weights.pt'")
    assert not folder.exists() and library.asked
    with pytest.raises(ConfigError, match=f"mrirecon models fetch {NAME} --revision COMMIT"):
        weights_file(f"zoo:{NAME}")


def test_what_is_pinned_needs_no_word_and_must_be_met(folder, library, repository):
    sums = {name: sha256(repository.files[name]) for name in ("net/weights.pt", "net/weights.yaml")}
    receipt = fetch(add(files=sums, revision=COMMIT), folder / NAME, None, None)
    assert receipt.checked
    with pytest.raises(DownloadError, match=r"expected 0000.*nothing was kept"):
        fetch(add(files=sums | {"net/weights.yaml": "0" * 64}, revision=COMMIT),
              folder / "again", None, None)  # fmt: skip
    assert not (folder / "again").exists() and library.asked


@pytest.mark.parametrize("name", ["net/weights.pt", "net/weights.yaml"])
@pytest.mark.usefixtures("library")
def test_what_the_repository_does_not_list_is_not_kept(name, folder, repository):
    repository.files[name] += b"!"
    with pytest.raises(DownloadError, match=f"{name}.*nothing was kept"):
        fetch(add(), folder / NAME, COMMIT, None)
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.usefixtures("library")
def test_a_file_that_is_not_there_and_a_commit_that_is_not_there(folder):
    with pytest.raises(DownloadError, match=r"no net/other\.pt.*it has README\.md, net/"):
        fetch(add(files=["net/other.pt"]), folder / NAME, COMMIT, None)
    with pytest.raises(DownloadError, match=r"could not be read: 404.*Without a network, copy"):
        fetch(add(), folder / NAME, OTHER, None)


@pytest.mark.usefixtures("library")
def test_nothing_that_lies_there_is_replaced(folder, tmp_path):
    entry, mine = add(), tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("my own")
    (tmp_path / "file").write_text("my own")
    (tmp_path / "link").symlink_to(mine)
    for place in (mine, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(OutputError, match="exists already"):
            fetch(entry, place, COMMIT, None)
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]
    fetch(entry, folder / NAME, COMMIT, None)
    (folder / NAME / "net" / "weights.pt").write_bytes(b"changed")
    for again in (lambda: fetch(entry, folder / NAME, COMMIT, None),
                  lambda: weights_file(f"zoo:{NAME}")):  # fmt: skip
        with pytest.raises(MriReconError, match="is not the file that was fetched"):
            again()


def test_a_missing_library_is_told_with_what_installs_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"pip install 'mrirecon\[hub\]'"):
        fetch(add(), folder / NAME, COMMIT, None)


@contextmanager
def at_url(repository, name="weights.pt", known=None):
    with serving(repository) as address:
        yield add(origin=f"{address}/files/", files={name: known})


def test_a_file_at_an_url(folder, varnet):
    repository = Repository(REPOSITORY, {"weights.pt": varnet})
    with at_url(repository) as entry:
        with pytest.raises(DownloadError, match=f"{sha256(varnet)}, expected 0000"):
            fetch(entry, folder / NAME, None, "0" * 64)
        assert not (folder / NAME).exists()
        for number, known in enumerate(("unknown", sha256(varnet), sha256(varnet).upper())):
            receipt = fetch(entry, folder / str(number), None, known)
            assert receipt.sha256 == {"weights.pt": sha256(varnet)} and not receipt.checked
    with at_url(repository, known=sha256(varnet)) as entry:
        assert fetch(entry, folder / NAME, None, None).checked
    assert load_reconstructor(f"zoo:{NAME}")[0].trainable


@pytest.mark.parametrize("name", ["missing", "cut", "away"])
def test_what_an_url_does_not_give_leaves_nothing(name, folder, varnet):
    told = pytest.raises(DownloadError, match=f"{name} (cannot be fetched|broke off)")
    with at_url(Repository(REPOSITORY, {"weights.pt": varnet}), name) as entry, told:
        fetch(entry, folder / NAME, None, "unknown")
    with pytest.raises(DownloadError, match=r"cannot be fetched.*Without a network"):
        fetch(entry, folder / NAME, None, "unknown")  # nobody serves any more
    assert not folder.exists() or not list(folder.iterdir())


def test_an_encrypted_connection_is_not_left():
    request = urllib.request.Request("https://example.org/a.pt")
    follow = OnlySecure().redirect_request
    with pytest.raises(DownloadError, match="not encrypted"):
        follow(request, None, 302, "", {}, "http://example.org/b.pt")
    there = follow(request, None, 302, "", {}, "https://example.org/b.pt")
    assert there.full_url == "https://example.org/b.pt"


def test_weights_in_the_package(folder, varnet, capsys):
    registry.PACKAGED.mkdir()
    (registry.PACKAGED / "own.pt").write_bytes(varnet)
    (registry.PACKAGED / "own.md").write_text("# Model card\n\nNot for clinical use.\n")
    add(origin="package", files={"own.pt": sha256(varnet)}, card="own.md")
    code, out, _ = models(NAME, capsys=capsys)
    assert code == 0 and "in the package" in out and "Not for clinical use." in out
    assert "fetch" not in out and f"checkpoint=zoo:{NAME}" in out
    assert weights_file(f"zoo:{NAME}") == registry.PACKAGED / "own.pt"
    code, _, err = models("fetch", NAME, capsys=capsys)
    assert code == 1 and "comes with the package" in err and not folder.exists()
    (registry.PACKAGED / "own.pt").write_bytes(varnet + b"!")
    with pytest.raises(ConfigError, match="was changed"):
        weights_file(f"zoo:{NAME}")


def test_names_that_do_not_exist(folder, tmp_path, monkeypatch):
    add()
    assert not folder.exists()
    for name in ("zoo:smal", "zoo:"):
        with pytest.raises(ConfigError, match="checkpoint: no weights are called"):
            weights_file(name)
    assert weights_file(tmp_path / "a.pt") == tmp_path / "a.pt"
    with pytest.raises(ConfigError, match=f"no file {NAME}; .* named zoo:{NAME}"):
        weights_file(NAME)
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text("a file of this name")
    assert weights_file(NAME) == NAME


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"files": ["../weights.pt"]}, "no path below a folder"),
        ({"files": ["/weights.pt"]}, "no path below a folder"),
        ({"files": {"a.pt": "abc"}}, "64 hexadecimal digits"),
        ({"revision": "main"}, "40 hexadecimal digits"),
        ({"checkpoint": "other.pt"}, "none of its files"),
        ({"licence": 3}, "licence: expected words"),
        ({"licence": None}, "licence: expected words"),
        ({"colour": "red"}, "colour is no key"),
        ({"origin": "https://example.org/weights"}, "end with a slash"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_entries_that_are_none_are_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        add(**change)


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match="none of its files"):
        Entry("a", "b", "varnet", "package", (WeightsFile("a"),), "c", "d", "e", "f")


@pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="needs huggingface_hub"
)
def test_with_the_library_itself_and_a_hub_on_this_machine(repository, tmp_path):
    code = (
        "import sys; from pathlib import Path; from mrirecon.weights.fetching import fetch;"
        "from mrirecon.weights import Entry, WeightsFile;"
        f"e = Entry('{NAME}', 'a', 'varnet', 'hub:{REPOSITORY}', (WeightsFile('net/weights.pt'),"
        "WeightsFile('net/weights.yaml')), 'net/weights.pt', 'b', 'c', 'd');"
        "print(fetch(e, Path(sys.argv[1]), sys.argv[2] or None, None))"
    )

    def run(target, revision):
        with serving(repository) as address:
            environment = os.environ | {
                "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_DISABLE_XET": "1",
            }  # fmt: skip
            return subprocess.run(
                [sys.executable, "-c", code, target, revision],
                env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip

    done = run(tmp_path / "weights", COMMIT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "weights/net/weights.pt").read_bytes() == repository.files["net/weights.pt"]
    assert COMMIT in run(tmp_path / "other", "").stderr
    assert "could not be read" in run(tmp_path / "other", OTHER).stderr
    repository.files["net/weights.pt"] = repository.files["net/weights.pt"][:-1] + b"!"
    assert "DownloadError" in run(tmp_path / "other", COMMIT).stderr
    assert not (tmp_path / "other").exists()
