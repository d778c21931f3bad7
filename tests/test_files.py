"""Nothing but our own, unchanged outputs of the same kind is ever replaced or removed."""

import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import torch

from mrirecon.commands.outputs import Outputs
from mrirecon.errors import OutputError
from mrirecon.files import Existing, Kind, Untouchable, atomic, atomic_folder, output_folder
from mrirecon.files.marks import not_ours
from mrirecon.files.partials import MARK, TEXT
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from mrirecon.writers import WRITERS
from tests import scenes

SCAN = scenes.scan(matrix=(12, 10), coils=2)
RESULT = Reconstruction(
    torch.rand(1, 2, 12, 10, generator=torch.Generator().manual_seed(0)),
    SCAN.header,
    Provenance("a.h5", "CgSense", "mrirecon x"),
)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """One output of each kind that is quick to make, by the kind."""
    folder = tmp_path_factory.mktemp("ours")
    made = {}
    for form in WRITERS.values():
        form.write(folder / f"a{form.suffix}", RESULT)
        made |= {kind: folder / f"a{suffix}" for suffix, kind in form.outputs.items()}
    for kind, write in ((Kind.RAW, write_ismrmrd), (Kind.REFERENCE, write_reference)):
        write(folder / f"{kind}.h5", SCAN)
        made[kind] = folder / f"{kind}.h5"
    return made


def contents(folder):
    """What every entry below a folder is, links included."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def test_every_output_is_recognised_as_what_it_is_and_nothing_else(ours):
    for kind, path in ours.items():
        assert {k: not not_ours(path, k) for k in Kind} == {k: k is kind for k in Kind}
        assert not_ours(path, None)


def add_dataset(path):
    with h5py.File(path, "a") as file:
        file["segmentation"] = np.ones(3)


def add_attribute(path):
    with h5py.File(path, "a") as file:
        file[next(iter(file))].attrs["reader"] = "Dr. A"


def change_byte(path):
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)


def segment(path):
    """As people save masks: with the header of the image that they belong to."""
    image = nibabel.load(path)
    data = (image.get_fdata() > 0.5).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, image.affine, image.header), path)


def rename_patient(path):
    file = sorted(path.iterdir())[0]
    image = pydicom.dcmread(file)
    image.PatientName = "X"
    image.save_as(file)


def annotate(path):
    from PIL import Image

    picture = Image.open(path)
    picture.load()
    picture.putpixel((3, 3), (255, 0, 0, 255))
    from PIL.PngImagePlugin import PngInfo

    kept = PngInfo()
    kept.add_text("Software", picture.text["Software"])
    picture.save(path, pnginfo=kept)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.VOLUME, add_dataset),
        (Kind.VOLUME, add_attribute),
        (Kind.RAW, add_dataset),
        (Kind.SIDECAR, change_byte),
        (Kind.PAGE, change_byte),
        (Kind.NIFTI, segment),
        (Kind.PICTURE, annotate),
        (Kind.DICOM, rename_patient),
        (Kind.DICOM, lambda path: (path / "notes.txt").write_text("mine")),
        (Kind.DICOM, lambda path: (path / "0009").mkdir()),
        (Kind.DICOM, lambda path: (path / "0009.dcm").symlink_to(path / "0001.dcm")),
    ],
)
def test_what_was_changed_since_is_not_ours_any_more(kind, change, ours, tmp_path):
    path = tmp_path / ours[kind].name
    (shutil.copytree if ours[kind].is_dir() else shutil.copy)(ours[kind], path)
    assert not not_ours(path, kind)
    change(path)
    assert not_ours(path, kind)


def strangers(ours, place):
    """Ways in which something that is no output of the wanted kind may be at a path."""
    raw = ours[Kind.RAW]
    yield "text", lambda p: p.write_text("precious")
    yield "empty", lambda p: p.touch()
    yield "raw", lambda p: shutil.copy(raw, p)
    yield "link to raw", lambda p: p.symlink_to(raw)
    yield "hard link to raw", lambda p: os.link(raw, p)
    yield "dangling link", lambda p: p.symlink_to(place / "nowhere")
    yield "link to folder", lambda p: p.symlink_to(raw.parent)
    yield "folder", lambda p: p.mkdir()
    yield "full folder", lambda p: (p.mkdir(), (p / "a").write_text("precious"))
    yield "pipe", os.mkfifo
    yield "cut HDF5", lambda p: p.write_bytes(raw.read_bytes()[:900])
    yield "bad gzip", lambda p: p.write_bytes(b"\x1f\x8b\x08\0 no gzip")
    yield (
        "gzip of a mark",
        lambda p: p.write_bytes(gzip.compress(b"mrirecon output: NIfTI image 00000000")),
    )
    yield "a mark", lambda p: p.write_text("mrirecon output: sidecar 12345678")
    yield "foreign HDF5", lambda p: h5py.File(p, "w").close()
    for kind, path in ours.items():
        if path.is_file():
            yield f"our {kind}", lambda p, path=path: shutil.copy(path, p)


def test_fuzz_nothing_foreign_changes(ours, tmp_path):
    """All formats, all strangers, at every path that a format writes, whatever is asked for."""
    count = 0
    for name, form in WRITERS.items():
        for suffix, kind in form.outputs.items():
            for what, put in strangers(ours, tmp_path):
                if what == f"our {kind}":
                    continue
                folder = tmp_path / f"{count}"
                folder.mkdir()
                put(folder / f"a{suffix}")
                before = contents(tmp_path / f"{count}") | contents(ours[Kind.RAW].parent)
                for overwrite in (False, True):
                    with pytest.raises(OutputError):
                        form.write(folder / f"a{form.suffix}", RESULT, overwrite=overwrite)
                for existing in (Existing.REFUSE, Existing.OVERWRITE):
                    outputs = Outputs(folder, [name], [Path("a.h5")], existing)
                    with pytest.raises(OutputError):
                        outputs.todo(Path("a.h5"), [""])
                after = contents(folder) | contents(ours[Kind.RAW].parent)
                assert after == before, (name, suffix, what)
                count += 1
    assert count > 150


@pytest.mark.parametrize("write", [write_ismrmrd, write_fastmri, write_reference])
def test_simulation_replaces_its_own_kind_only(write, ours, tmp_path):
    path = tmp_path / "a.h5"
    shutil.copy(ours[Kind.VOLUME], path)
    with pytest.raises(OutputError, match=r"another output of mrirecon \(volume\)"):
        write(path, SCAN, overwrite=True)
    path.unlink()
    write(path, SCAN)
    write(path, SCAN, overwrite=True)
    other = write_ismrmrd if write is write_reference else write_reference
    with pytest.raises(OutputError, match="another output of mrirecon"):
        other(path, SCAN, overwrite=True)


def test_what_appears_while_an_output_is_made_stays(tmp_path):
    path = tmp_path / "a.txt"
    for overwrite in (False, True):
        making = atomic(path, Kind.PAGE, overwrite=overwrite)
        with pytest.raises(OutputError, match=r"exists already|is not replaced"), making as part:
            part.write_text("ours")
            path.write_text("precious")
        assert contents(tmp_path) == {"a.txt": hashlib.sha256(b"precious").hexdigest()}
        path.unlink()


def test_what_is_put_into_a_folder_while_it_is_replaced_stays(tmp_path):
    write = WRITERS["dicom"].write
    write(tmp_path / "a_dicom", RESULT)
    making = atomic_folder(tmp_path / "a_dicom", Kind.DICOM, overwrite=True)
    with pytest.raises(OutputError, match=r"notes.txt in it"), making as part:
        (part / "new").write_text("")
        (tmp_path / "a_dicom" / "notes.txt").write_text("precious")
    names = sorted(file.name for file in (tmp_path / "a_dicom").iterdir())
    assert names == ["0001.dcm", "0002.dcm", "notes.txt"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a_dicom"]


def test_inputs_and_outputs_of_the_same_run_are_untouchable_under_any_name(tmp_path):
    raw, linked, hard = (tmp_path / name for name in ("raw.h5", "link.h5", "hard.h5"))
    raw.write_text("precious")
    linked.symlink_to(raw)
    os.link(raw, hard)
    (tmp_path / "other").symlink_to(tmp_path)
    guard = Untouchable([raw])
    for path in (
        raw,
        linked,
        hard,
        tmp_path / "other" / "raw.h5",
        tmp_path / "x" / ".." / "raw.h5",
    ):
        with pytest.raises(OutputError, match="would replace an input"):
            guard.refuse([path])
    with pytest.raises(OutputError, match="would replace an input"):
        guard.refuse([tmp_path])
    guard.refuse([tmp_path / "new.h5"])
    guard.add([tmp_path / "new.h5"])
    with pytest.raises(OutputError, match="has just written"):
        guard.refuse([tmp_path / "other" / "new.h5"])


def test_two_inputs_of_which_one_is_called_like_an_output_of_the_other(tmp_path):
    """``a.h5`` has MRD images ``a_images.h5``, and so is the volume of ``a_images.dat`` called."""
    files = [tmp_path / "raw" / name for name in ("a.h5", "a_images.dat")]
    outputs = Outputs(tmp_path / "out", ["hdf5", "mrd"], files, Existing.OVERWRITE)
    outputs.write("mrd", files[0], RESULT)
    with pytest.raises(OutputError, match="has just written"):
        outputs.todo(files[1], [""])


def test_skip_completes_sets_and_keeps_what_is_there(tmp_path):
    file, formats = Path("a.h5"), ("hdf5", "nifti", "dicom")
    outputs = Outputs(tmp_path, formats, [file], Existing.SKIP)
    assert outputs.todo(file, [""]) == {"": formats}
    for name in formats:
        outputs.write(name, file, RESULT)
    later = Outputs(tmp_path, formats, [file], Existing.SKIP)
    assert later.todo(file, [""]) == {"": ()}
    (tmp_path / "a.json").unlink()
    assert later.todo(file, [""]) == {"": ("nifti",)}
    (tmp_path / "a.nii.gz").write_text("precious")
    with pytest.raises(OutputError, match="is not replaced"):
        later.todo(file, [""])
    assert (tmp_path / "a.nii.gz").read_text() == "precious"


KILLED = """
import sys, time
from pathlib import Path
from mrirecon.files import atomic, atomic_folder
path = Path(sys.argv[1])
with atomic(path / "a.h5") as part, atomic_folder(path / "a_dicom") as folder:
    part.write_bytes(b"half")
    (folder / "0001.dcm").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_left_is_removed_by_the_next_one_and_nothing_else(tmp_path):
    foreign = {
        ".mrirecon-mine.partial": None,  # named like ours, with another file in it
        ".a.123456.partial.h5": b"precious",
        ".mrirecon-file.partial": b"precious",
    }
    for name, content in foreign.items():
        if content is None:
            (tmp_path / name).mkdir()
            (tmp_path / name / MARK).write_bytes(b"mine")
            (tmp_path / name / "new").write_bytes(b"precious")
        else:
            (tmp_path / name).write_bytes(content)
    before = contents(tmp_path)
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout.readline() == "ready\n"
    half = contents(tmp_path)
    output_folder(tmp_path)  # its owner lives
    assert contents(tmp_path) == half and len(half) > len(before)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    output_folder(tmp_path)
    assert contents(tmp_path) == before


def test_links_in_a_leftover_lead_nowhere(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "scan.h5").write_bytes(b"precious")
    for name in ("old", "new"):
        left = tmp_path / f".mrirecon-{name}.partial"
        left.mkdir()
        (left / name).symlink_to(raw)
        (left / MARK).write_bytes(TEXT)
    waiting = tmp_path / ".mrirecon-x.partial"
    waiting.mkdir()
    os.mkfifo(waiting / MARK)
    output_folder(tmp_path)
    assert (raw / "scan.h5").read_bytes() == b"precious"


def test_an_old_output_is_put_back_when_the_run_was_killed_while_replacing_it(tmp_path):
    left = tmp_path / ".mrirecon-x.partial"
    (left / "old" / "a_dicom").mkdir(parents=True)
    (left / "new" / "a_dicom").mkdir(parents=True)
    (left / "old" / "a_dicom" / "0001.dcm").write_bytes(b"whole")
    (left / MARK).write_bytes(TEXT)
    output_folder(tmp_path)
    assert sorted(contents(tmp_path)) == ["a_dicom", "a_dicom/0001.dcm"]


def test_a_leftover_with_something_unknown_in_it_keeps_that(tmp_path):
    left = tmp_path / ".mrirecon-x.partial"
    left.mkdir()
    (left / MARK).write_bytes(TEXT)
    (left / "thesis.txt").write_bytes(b"precious")
    output_folder(tmp_path)
    assert (left / "thesis.txt").read_bytes() == b"precious"
