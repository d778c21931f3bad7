"""Raw files damaged at random, bytes and meaning: python -m tests.readers.fuzz 1000.

Every damaged file must be read or refused with a RawDataError: no other exception, no crash, no
hang, no exhaustion of memory, and the file must stay as it is.
"""

import hashlib
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, AcquisitionFlag
from mrirecon.readers import open_scan
from tests.readers.mrd2_files import version2
from tests.readers.mrd_files import MrdFile
from tests.readers.test_ismrmrd_volumes import MrdVolume

NUMBERS = ("0", "-1", "1", "7", "65535", "4000000", "99999999999", "nan", "1e30", "", "many")


def originals(folder):
    """Small files of several kinds, with all that there is to damage."""
    calibration = {"flags": (AcquisitionFlag.PARALLEL_CALIBRATION,)}
    flat = MrdFile(shape=(2, 2, 16, 12)).noise(np.eye(2), count=4)
    for slice_ in (1, 0):
        flat.lines(slice_=slice_, average=0).lines(range(4, 8), slice_=slice_, average=1)
    frames = MrdFile(xml={"calibration": "separate", "vendor": "SIEMENS"})
    frames.lines(range(4, 9), **calibration)
    frames.lines(range(0, 12, 2), contrast=0).lines(range(0, 12, 2), contrast=1)
    deep = MrdVolume((16, 12, 6)).noise(np.eye(2), count=4).points()
    (folder / "stream.mrd").write_bytes(version2(flat))
    return [
        folder / "stream.mrd",
        flat.write(folder / "flat.h5"),
        frames.write(folder / "frames.h5"),
        deep.write(folder / "deep.h5"),
    ]


def damage(path, rng):
    """Damage a file in place; returns in which way."""
    ways = [truncate, flip, flip]
    if h5py.is_hdf5(path):
        ways += [lie, lie, lie, corrupt_heads, corrupt_heads, corrupt_heads, restructure]
    way = rng.choice(ways)
    way(path, rng)
    return way.__name__


def truncate(path, rng):
    with path.open("r+b") as file:
        file.truncate(rng.randrange(path.stat().st_size))


def flip(path, rng):
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 4, 16, 64])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def lie(path, rng):
    """Change, remove or repeat elements of the XML header."""
    with h5py.File(path, "r+") as file:
        xml = file["dataset/xml"][0].decode()
        for _ in range(rng.choice([1, 1, 2, 4])):
            elements = list(re.finditer(r"<(\w+)>([^<>]*)</\1>", xml))
            if not elements:
                break
            one = rng.choice(elements)
            name = one.group(1)
            text = rng.choice([f"<{name}>{rng.choice(NUMBERS)}</{name}>", "", 2 * one.group(0),
                               f"<{name}>", "<strange/>"])  # fmt: skip
            xml = xml[: one.start()] + text + xml[one.end() :]
        file["dataset/xml"][0] = xml


def corrupt_heads(path, rng):
    """Put random numbers into fields of some readouts' headers, or of all."""
    with h5py.File(path, "r+") as file:
        rows = file["dataset/data"][:]
        for _ in range(rng.choice([1, 1, 3])):
            field = rng.choice(ACQUISITION_HEADER.names)
            some = slice(None) if rng.random() < 0.5 else rng.randrange(len(rows))
            target = rows["head"]
            if field == "idx":
                target, field = target["idx"], rng.choice(ACQUISITION_HEADER["idx"].names)
            number = rng.choice([0, 1, 2, 3, 31, 64, 255, 65535])
            if target[field].dtype.kind == "f":
                number = rng.choice([0.0, 1.0, -1.0, np.nan, np.inf, 1e30])
            if field == "flags":
                number = 1 << rng.randrange(64)
            target[field][some] = number
        del file["dataset/data"]
        file["dataset"].create_dataset("data", data=rows, chunks=(1,), maxshape=(None,))


def restructure(path, rng):
    """Remove, empty or replace what should be there."""
    with h5py.File(path, "r+") as file:
        name = rng.choice(["xml", "data"])
        group, kept = file["dataset"], file["dataset/data"][:1]
        del group[name]
        what = rng.randrange(7)
        if what == 1:
            group[name] = np.zeros(3)
        elif what == 2:
            group[name] = "text"
        elif what == 3:
            group.create_group(name)
        elif what == 4 and name == "data":
            group["data"] = kept[:0]
        elif what == 5 and name == "data":
            group["data"] = kept["head"]
        elif what == 6:
            group.create_dataset(name, (0,), h5py.string_dtype())


def outcome(path):
    """Open and read everything; returns ``read`` or ``refused``, and lets other errors out."""
    before = hashlib.sha256(path.read_bytes()).digest()
    try:
        scan = open_scan(path)
        for index in range(min(len(scan), 40)):
            scan[index]
        result = "read"
    except RawDataError as error:
        assert str(path) in str(error), f"the error does not name the file: {error}"
        result = "refused"
    assert hashlib.sha256(path.read_bytes()).digest() == before, "the file was changed"
    return result


def run(folder: Path, cases: int, seed: int = 0) -> Counter:
    """Damage files ``cases`` times; returns how often each kind of damage had each outcome."""
    kinds = [path.read_bytes() for path in originals(folder)]
    tally: Counter = Counter()
    for number in range(cases):
        rng = random.Random(f"{seed} {number}")
        path = folder / "case.h5"
        path.write_bytes(rng.choice(kinds))
        way = damage(path, rng)
        started = time.perf_counter()
        try:
            tally[way, outcome(path)] += 1
        except BaseException:
            path.replace(folder / f"failed_{number}.h5")
            print(f"case {number} ({way}) failed", file=sys.stderr)
            raise
        slow = time.perf_counter() - started
        assert slow < 30, f"case {number} ({way}) took {slow:.0f} s"
    return tally


if __name__ == "__main__":
    import resource
    import tempfile
    import warnings

    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    with tempfile.TemporaryDirectory() as place:
        for (way, result), count in sorted(run(Path(place), int(sys.argv[1])).items()):
            print(f"{way:<16}{result:<10}{count}")
