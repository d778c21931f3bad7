"""A cache in folders with random contents: python -m tests.sensitivity.fuzz_cache 2000.

Nothing but what the cache wrote is ever changed or removed, in the folder and where its links lead.
"""

import hashlib
import os
import random
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from mrirecon.errors import OutputError
from mrirecon.sensitivity.cache_folder import ENDING, MARK, MARKED, CacheFolder

KEYS = [hashlib.sha256(bytes([n])).hexdigest()[:32] for n in range(6)]


def litter(folder, outside, rng):
    """Put something of a user's into a folder; names may be those of entries, contents are not."""
    key, name = rng.choice(KEYS), None
    way = rng.choice(["file", "file", "hidden", "link", "hard link", "folder", "mark", "dangling"])
    entry = f"{key}{ENDING}"
    if way == "file":
        name = rng.choice(["scan.npz", f"{key}.npz", "scan.h5", f"{key}.h5", f"x{entry}", "maps"])
    elif way == "hidden":
        name = rng.choice([".hidden.npz", f".{key}.npz", f".{MARK}"])
    elif way == "mark":
        name = MARK
    path = folder / (name or rng.choice([entry, entry, "scan.npz"]))
    if os.path.lexists(path):
        return None
    target = outside / f"{rng.randrange(10**9)}.npz"
    if way == "folder":
        path.mkdir()
        (path / "scan.npz").write_bytes(rng.randbytes(50))
    elif way in ("link", "dangling", "hard link"):
        target.write_bytes(rng.randbytes(50))
        path.hardlink_to(target) if way == "hard link" else path.symlink_to(target)
        if way == "dangling":
            target.unlink()
    elif way == "mark":
        text = rng.choice([b"", MARKED[:43].encode() + b"# another program", MARKED.encode()[:-1]])
        if rng.random() < 0.3:
            target.write_text(MARKED)
            path.symlink_to(target)
        else:
            path.write_bytes(text)
    else:
        path.write_bytes(rng.randbytes(50))
    old = rng.choice([1.0, 1.7e9])
    with suppress(FileNotFoundError):
        os.utime(path, (old, old))
    return path


def state(*folders):
    """What is in folders: kind, content, target and time of each file."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            kind = path.lstat()
            what = str(path.readlink()) if path.is_symlink() else ""
            content = path.read_bytes() if path.is_file() and not what else b""
            time = 0 if path.is_dir() and not what else kind.st_mtime_ns
            found[path] = (kind.st_mode, what, content, time)
    return found


def run(place: Path, cases: int, seed: int = 0) -> Counter:
    """Use caches in ``cases`` folders; returns how often they were used, refused and cleaned."""
    tally: Counter = Counter()
    for number in range(cases):
        rng = random.Random(f"{seed} {number}")
        folder, outside = place / f"{number}/cache", place / f"{number}/outside"
        for path in (folder, outside):
            path.mkdir(parents=True)
        cache = CacheFolder(folder, gigabytes=rng.choice([1e-9, 150e-9, 1]))
        marked = rng.random() < 0.6
        if marked:
            with cache.write(KEYS[0]) as file:
                file.write(rng.randbytes(100))
        count = rng.choice([0, 1, 3, 8])
        theirs = [p for _ in range(count) if (p := litter(folder, outside, rng)) is not None]
        before = state(folder, outside)
        own = {path for path in before if path.name in (MARK, KEYS[0] + ENDING) and marked}
        for _ in range(6):
            use(cache, rng, tally, refused=bool(theirs) and not marked)
        after = state(folder, outside)
        for path, what in before.items():
            assert path in own or after.get(path) == what, f"case {number}: {path} was changed"
        new = set(after) - set(before)
        assert all(path.suffix == ENDING or path.name == MARK for path in new), new
        tally["theirs, kept"] += len(theirs)
    return tally


def use(cache, rng, tally, refused):
    """Write, read or clean; refused or not."""
    way = rng.choice(["write", "write", "read", "clean"])
    key = rng.choice(KEYS)
    try:
        if way == "write":
            with cache.write(key) as file:
                file.write(rng.randbytes(100))
        elif way == "read":
            file = cache.read(key)
            if file is not None:
                file.close()
        else:
            count = len(list(cache.path.glob("*")))
            cache.clean()
            tally["removed"] += count - len(list(cache.path.glob("*")))
    except OutputError as error:
        assert refused or "is no entry of the cache" in str(error)
        tally[way, "refused"] += 1
        return
    assert not refused, "a folder with other files was used"
    tally[way, "done"] += 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for what, count in sorted(run(Path(scratch), int(sys.argv[1])).items(), key=str):
            print(what, count)
