"""Damaged files: nothing but RawDataError escapes, and the file stays as it is."""

import h5py
import numpy as np
import pytest

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan
from tests.readers.array_files import (
    bart,
    calgary_campinas,
    cmrxrecon,
    m4raw,
    old_mat,
    prostate,
    random,
    skm_tea,
)

TWINS = {
    "m4raw.h5": lambda path: m4raw(path, random(2, 2, 16, 16)),
    "prostate.h5": lambda path: prostate(path, random(3, 2, 2, 16, 9)),
    "calgary.h5": lambda path: calgary_campinas(path, random(2, 12, 5, 8)),
    "skmtea.h5": lambda path: skm_tea(
        path, random(2, 3, 2, 5, 4), random(3, 2, 5, 4), abs(random(2, 3, 5, 4)) + 0j
    ),
    "cine.mat": lambda path: cmrxrecon(path, "kus", random(2, 2, 2, 6, 5), mask=np.ones((5, 6))),
    "old.mat": lambda path: old_mat(path, "kspace_full", random(2, 2, 2, 6, 5)),
    "old_packed.mat": lambda path: old_mat(
        path, "kspace_full", random(2, 2, 2, 6, 5), do_compression=True
    ),
    "bart.cfl": lambda path: bart(path.parent, random(6, 5, 1, 2), path.stem),
    "volume.hdr": lambda path: bart(path.parent, random(4, 5, 3, 2), path.stem),
    "plain.npy": lambda path: np.save(path, random(2, 2, 6, 5)),
    "plain.npz": lambda path: np.savez_compressed(path, kspace=random(2, 2, 6, 5)),
}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    for name, write in TWINS.items():
        write(folder / name)
    return folder


def use(path):
    """Open, read every plane; returns the refusal, or None."""
    before = path.read_bytes()
    error = None
    try:
        for sample in open_scan(path):
            assert sample.kspace.isfinite().all()
    except RawDataError as refusal:
        error = str(refusal)
        assert error.startswith(str(path))
    assert path.read_bytes() == before
    return error


def damage(content, rng):
    """Cut, or overwrite some bytes: most often near the beginning, where the structure is."""
    content = bytearray(content)
    if rng.random() < 0.3:
        return bytes(content[: rng.integers(1, len(content))])
    reach = len(content) if rng.random() < 0.3 else min(len(content), 1024)
    for _ in range(rng.integers(1, 9)):
        content[rng.integers(reach)] = rng.integers(256)
    return bytes(content)


@pytest.mark.parametrize("name", TWINS)
def test_random_damage(twins, name, tmp_path, rounds=15):
    rng = np.random.default_rng(sum(name.encode()))
    assert use(twins / name) is None
    for other in twins.glob(f"{name.split('.')[0]}.*"):
        (tmp_path / other.name).write_bytes(other.read_bytes())
    outcomes = []
    for _ in range(rounds):
        (tmp_path / name).write_bytes(damage((twins / name).read_bytes(), rng))
        outcomes.append(use(tmp_path / name))
    assert any(outcomes)


WRONG = (
    np.zeros((2, 3), np.int16),
    np.zeros(0, np.complex64),
    np.full((2, 2, 4, 4), np.nan, np.complex64),
    np.float32(1),
    h5py.Empty("f4"),
    "text",
    None,  # a group
    np.zeros((2, 2, 4, 4), [("real", "<f4"), ("imag", "S3")]),
    np.full((3, 2, 2, 4, 4), 1e300),
)


@pytest.mark.parametrize("name", [name for name in TWINS if name.endswith(".h5")] + ["cine.mat"])
def test_each_array_replaced_or_missing(twins, name, tmp_path):
    content = (twins / name).read_bytes()
    with h5py.File(twins / name) as file:
        arrays = list(file)
    path = tmp_path / name
    for array in arrays:
        for value in ("missing", *WRONG):
            path.write_bytes(content)
            with h5py.File(path, "r+") as file:
                del file[array]
                if value is None:
                    file.create_group(array)
                elif not isinstance(value, str) or value != "missing":
                    file[array] = value
            use(path)
