"""Readers give what lies in the file, or in the parts of a virtual dataset beside it."""

import os

import h5py
import numpy as np
import pytest
import torch

from mrirecon.data.folder import Folder
from mrirecon.data.packing import pack
from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.volumes import read_volume
from mrirecon.readers import open_scan
from tests.readers.array_files import cmrxrecon, random, write_hdf5
from tests.readers.fuzz_links import run
from tests.readers.mrd_files import MrdFile

HERE, OTHER = random(4, 2, 8, 6, seed=1), random(4, 2, 8, 6, seed=2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def kspace(path):
    return torch.stack([sample.kspace for sample in open_scan(path)]).numpy()


def virtual(path, parts, **options):
    """Put ``kspace`` together from ``(selection, file, values)``."""
    layout = h5py.VirtualLayout(HERE.shape, "c8")
    for selection, name, values in parts:
        if values is not None:
            write_hdf5(path.parent / name, kspace=values)
        shape = layout_shape(selection) if values is None else values.shape
        layout[selection] = h5py.VirtualSource(name, "kspace", shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("kspace", layout, **options)
    return path


def layout_shape(selection):
    return HERE[selection].shape


def test_random_links(tmp_path):
    tally = run(tmp_path, 40, seed=3)
    assert tally["all", "read"] > 5 and tally["all", "refused"] > 5


@pytest.mark.parametrize("name", ["fastmri", "ismrmrd", "matlab", "packed", "mask", "reference"])
def test_a_measurement_of_another_file_is_refused_by_name(path, tmp_path, name):
    other = tmp_path / "other.h5"
    write_hdf5(other, kspace=OTHER)
    taken = "kspace"
    if name == "ismrmrd":
        MrdFile(seed=5).lines().write(other)
        taken = "dataset"
        MrdFile(seed=6).lines().write(path)
    elif name == "matlab":
        taken = "kspace_full"
        for file, values in ((path, HERE), (other, OTHER)):
            cmrxrecon(file, taken, values)
    elif name == "packed":
        taken = "sample/kspace"
        for file, values in ((path, HERE), (other, OTHER)):
            file.unlink(missing_ok=True)
            pack(open_scan(write_hdf5(tmp_path / "source.h5", kspace=values)), file)
    else:
        write_hdf5(path, kspace=HERE)
    if name in ("mask", "reference"):
        taken = {"mask": "mask", "reference": "reconstruction_rss"}[name]
        write_hdf5(other, **{taken: np.ones(6) if name == "mask" else np.ones((4, 8, 6))})
    with h5py.File(path, "r+") as file:
        if taken in file:
            del file[taken]
        file[taken] = h5py.ExternalLink("other.h5", f"/{taken}")
    with pytest.raises(RawDataError, match=f"{path}.*{taken[-6:]}.*external link.*other.h5"):
        open_scan(path)
    with pytest.raises(RawDataError, match=f"(?s){path}.*external link"):
        Folder(tmp_path)


def test_links_that_nobody_asks_for_do_not_matter(path):
    write_hdf5(path, kspace=HERE)
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)  # to open it would wait for ever
    with h5py.File(path, "r+") as file:
        file["documentation"] = h5py.ExternalLink(str(pipe), "/")
        file["again"] = h5py.SoftLink("/kspace")
        file["circle"] = h5py.SoftLink("/circle")
    assert np.array_equal(kspace(path), HERE)


def test_volumes_to_evaluate_are_read_from_the_file_itself(path):
    write_hdf5(path.with_name("other.h5"), reconstruction=np.ones((2, 4, 4)))
    with h5py.File(path, "w") as file:
        file["reconstruction"] = h5py.ExternalLink("other.h5", "/reconstruction")
    with pytest.raises(RawDataError, match=f"{path}: 'reconstruction' is not in the file.*other"):
        read_volume(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("reconstruction", (2, 4, 4), "f4", chunks=(1, 4, 4))[0] = 1
    with pytest.raises(RawDataError, match="some of '/reconstruction' was never written"):
        read_volume(path)


def test_values_in_other_files_are_refused(path):
    raw = path.with_name("values.raw")
    raw.write_bytes(OTHER.tobytes())
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", HERE.shape, "c8", external=[(raw.name, 0, OTHER.nbytes)])
    with pytest.raises(RawDataError, match=r"values of '/kspace' are not in the file but in value"):
        open_scan(path)


def test_virtual_datasets_are_read_when_all_parts_are_beside_them(path):
    (path.parent / "parts").mkdir()
    parts = [(np.s_[::2], "a.h5", HERE[::2]), (np.s_[1::2], "parts/b.h5", HERE[1::2])]
    virtual(path, parts)
    assert np.array_equal(kspace(path), HERE)
    (note,) = [note for note in open_scan(path).header.notes if "put together" in note]
    assert "a.h5, b.h5" in note
    moved = path.parent / "moved"
    moved.mkdir()
    for name in ("scan.h5", "a.h5", "parts"):
        (path.parent / name).rename(moved / name)
    assert np.array_equal(kspace(moved / path.name), HERE)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("gone.h5", None, "'gone.h5', which is missing"),
        ("../outside.h5", HERE[2:], "'../outside.h5', which is not in the folder"),
        ("/proc/self/outside.h5", None, "outside.h5', which is missing"),
        ("short.h5", HERE[2:3], r"does not fill"),
    ],
)
def test_parts_that_are_missing_or_elsewhere_are_named(tmp_path, name, values, reason):
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder/scan.h5"
    parts = [
        (np.s_[:2], "a.h5", HERE[:2]),
        (np.s_[2:], name, HERE[2:] if "short" in name else values),
    ]
    virtual(path, parts)
    if "short" in name:
        write_hdf5(path.with_name(name), kspace=values)
    with pytest.raises(RawDataError, match=f"{path}: '/kspace' is put together from.*{reason}"):
        open_scan(path)


@pytest.mark.parametrize("what", ["virtual", "unwritten", "no dataset", "text"])
def test_parts_that_do_not_hold_the_values_are_named(path, what):
    virtual(path, [(np.s_[:2], "a.h5", HERE[:2]), (np.s_[2:], "b.h5", HERE[2:])])
    part = path.with_name("b.h5")
    with h5py.File(part, "w") as file:
        if what == "virtual":
            layout = h5py.VirtualLayout((2, *HERE.shape[1:]), "c8")
            layout[:] = h5py.VirtualSource("a.h5", "kspace", (2, *HERE.shape[1:]))
            file.create_virtual_dataset("kspace", layout)
        elif what == "unwritten":
            file.create_dataset("kspace", (2, *HERE.shape[1:]), "c8", chunks=(1, *HERE.shape[1:]))
            file["kspace"][0] = HERE[2]
    if what == "text":
        part.write_text("no HDF5")
    with pytest.raises(RawDataError, match=r"from 'kspace' of the file 'b.h5', w"):
        open_scan(path)


def test_parts_without_end_are_refused(path):
    made, grows = h5py.h5p.create(h5py.h5p.DATASET_CREATE), h5py.h5s.UNLIMITED
    spaces = [h5py.h5s.create_simple((0, *HERE.shape[1:]), (grows, *HERE.shape[1:])) for _ in "ab"]
    for space in spaces:
        space.select_hyperslab((0, 0, 0, 0), (grows, 1, 1, 1), (4, 1, 1, 1), HERE.shape)
    made.set_virtual(spaces[0], b"a.h5", b"kspace", spaces[1])
    write_hdf5(path.with_name("a.h5"), kspace=HERE)
    kind = h5py.h5t.py_create(HERE.dtype, logical=True)
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"kspace", kind, spaces[0], made)
    with pytest.raises(RawDataError, match="sources without end"):
        open_scan(path)


def test_parts_that_vanish_later_are_named(path):
    virtual(path, [(np.s_[:2], "a.h5", HERE[:2]), (np.s_[2:], "b.h5", HERE[2:])])
    scan = open_scan(path)
    path.with_name("b.h5").unlink()
    with pytest.raises(RawDataError, match=r"b.h5"):
        scan[3]


@pytest.mark.parametrize("layout", ["chunked", "compressed", "virtual"])
def test_slices_that_were_never_written_are_told(path, layout):
    if layout == "virtual":
        virtual(path, [(np.s_[0:2], "a.h5", HERE[:2])])
    else:
        options = {
            "chunks": (1, 2, 8, 3),
            "compression": "gzip" if layout == "compressed" else None,
        }
        with h5py.File(path, "w") as file:
            file.create_dataset("kspace", HERE.shape, "c8", **options)
            file["kspace"][:2] = HERE[:2]
    scan = open_scan(path)
    assert any("'kspace' of slice 2, 3 was never written" in note for note in scan.header.notes)
    assert np.array_equal(scan[1].kspace, HERE[1])


def test_lines_that_were_never_written_count_as_unmeasured(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", HERE.shape, "c8", chunks=(1, 2, 8, 2))
        file["kspace"][..., 2:6] = HERE[..., 2:6]
    scan = open_scan(path)
    assert any("Parts of 'kspace' were never written" in note for note in scan.header.notes)
    assert scan[0].mask.flatten().tolist() == [False] * 2 + [True] * 4


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 2, 8, 6)}, {"compression": "gzip"}])
@pytest.mark.parametrize("name", ["kspace", "mask", "reconstruction_rss"])
def test_what_was_never_written_at_all_is_refused(path, name, options):
    shapes = {"mask": HERE.shape[2:], "reconstruction_rss": (4, 8, 6)}
    options = options if len(options) == 0 or "chunks" not in options else {"chunks": True}
    write_hdf5(path, **({} if name == "kspace" else {"kspace": HERE}))
    with h5py.File(path, "r+") as file:
        kind = "c8" if name == "kspace" else "f4"
        file.create_dataset(name, shapes.get(name, HERE.shape), kind, **options)
    with pytest.raises(RawDataError, match=f"'/{name}' was created but never written"):
        open_scan(path)


def test_holes_that_read_as_numbers_are_refused(path):
    with h5py.File(path, "w") as file:
        chunks = (1, 2, 8, 6, 2)
        file.create_dataset("kspace", (*HERE.shape, 2), "f4", chunks=chunks, fillvalue=1)
        file["kspace"][:2] = HERE[:2].view(np.float32).reshape(2, 2, 8, 6, 2)
    with pytest.raises(RawDataError, match=r"never written and reads as 1\.0"):
        open_scan(path)


def test_compressed_readouts_that_are_missing_are_told(path):
    MrdFile().lines().write(path)
    with h5py.File(path, "r+") as file:
        rows = file["dataset/data"][:]
        del file["dataset/data"]
        options = {"chunks": (4,), "maxshape": (None,), "compression": "gzip"}
        file["dataset"].create_dataset("data", data=rows, **options).resize((20,))
    with pytest.raises(RawDataError, match=r"'/dataset/data' was never written.*12, 13, 14"):
        open_scan(path)


def test_a_filter_that_is_missing_is_named(path):
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((1, *HERE.shape[1:]))
    made.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, ())
    kind = h5py.h5t.py_create(HERE.dtype, logical=True)
    with h5py.File(path, "w") as file:
        data = h5py.h5d.create(file.id, b"kspace", kind, h5py.h5s.create_simple(HERE.shape), made)
        for index in range(4):
            data.write_direct_chunk((index, 0, 0, 0), HERE[index].tobytes())
    with pytest.raises(RawDataError, match=r"filter 32001.*not installed"):
        open_scan(path)
