"""Random HDF5 links, storages and virtual datasets: python -m tests.readers.fuzz_links 2000.

What a reader gives is the data of the file itself, bit for bit, or of parts beside it that belong
to a virtual dataset; everything else is refused with the name of the file and of the dataset.
"""

import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import h5py
import torch

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan
from tests.readers.array_files import random as complex_numbers
from tests.readers.mrd_files import MrdFile

SHAPE = (3, 2, 8, 6)
ARRAY = complex_numbers(*SHAPE, seed=1)


class Case:
    """A file in the making beside another one; ``stays`` tells whether all data are its own.

    Attributes:
        names: The way of each link, for the tally.
    """

    def __init__(self, folder: Path, rng: random.Random):
        self.folder, self.rng, self.names, self.stays = folder, rng, [], True
        self.path, self.other = folder / "here" / "scan.h5", folder / "there" / "other.h5"
        for path in (self.path, self.other):
            path.parent.mkdir(parents=True)
        self.acquisitions = rng.random() < 0.4
        for path, seed in ((self.path, 0), (self.other, 7)):
            if self.acquisitions:
                shape = SHAPE if path == self.path or rng.random() < 0.5 else (3, 2, 16, 10)
                self._write_rows(path, MrdFile(shape=shape, seed=seed))
            else:
                with h5py.File(path, "w") as file:
                    values = ARRAY if path == self.path else complex_numbers(*SHAPE, seed=seed)
                    chunks = (1, *SHAPE[1:]) if rng.random() < 0.5 else None
                    file.create_dataset("kspace", data=values, chunks=chunks)

    @staticmethod
    def _write_rows(path, file):
        for slice_ in range(SHAPE[0]):
            file.lines(slice_=slice_)
        file.write(path)

    def build(self):
        """Put what the reader asks for behind random links."""
        self.expected = read(self.path)
        asked = self.rng.choice(["dataset", "dataset/xml", "dataset/data"])
        # the measurement itself is still there, by another name, and may be found
        self.found = self.acquisitions and asked == "dataset"
        name = asked if self.acquisitions else "kspace"
        with h5py.File(self.path, "r+") as file:
            file.move(name, "kept")
            self._target, depth = "/kept", self.rng.randrange(1, 5)
            for step in range(depth):
                link = name if step == depth - 1 else f"way{step}"
                ways = [self.soft, self.soft, self.through, self.external, self.circle]
                data = not self.acquisitions and self._target == "/kept"
                ways += [self.virtual, self.virtual, self.raw] if data else []
                way = self.rng.choice(ways)
                self.names.append(way.__name__)
                way(file, link)
                self._target = f"/{link}"
        return self

    def soft(self, file, link):
        file[link] = h5py.SoftLink(self._target)

    def through(self, file, link):
        """A soft link through a group that is here, or elsewhere."""
        group = f"group{len(self.names)}"
        if self.rng.random() < 0.6:
            file.create_group(group)["inner"] = h5py.SoftLink(self._target)
        else:
            self.stays = False
            file[group] = h5py.ExternalLink(self._name(), "/")
            self._elsewhere("inner")
        file[link] = h5py.SoftLink(f"{group}/inner" if "/" not in link else f"/{group}/inner")

    def external(self, file, link):
        self.stays = False
        place = self._elsewhere("shown")
        if self.rng.random() < 0.3:  # and back again
            with h5py.File(place, "r+") as other:
                if "back" in other:
                    del other["back"]
                other["back"] = h5py.ExternalLink(str(self.path), "/kept")
            file[link] = h5py.ExternalLink(str(place), "/back")
        elif self.rng.random() < 0.2:
            file[link] = h5py.ExternalLink("missing.h5", "/kspace")
        else:
            file[link] = h5py.ExternalLink(self._name(), "/shown")

    def circle(self, file, link):
        if self.rng.random() < 0.5:
            self.stays = False
            file[link] = h5py.SoftLink("/nowhere" if self.rng.random() < 0.5 else f"/{link}")
        else:
            file[link] = h5py.SoftLink(self._target)

    def raw(self, file, link):
        self.stays = False
        place = self.path.with_name("values.raw")
        place.write_bytes(complex_numbers(*SHAPE, seed=3).tobytes())
        file.create_dataset(link, SHAPE, "c8", external=[(str(place), 0, place.stat().st_size)])

    def virtual(self, file, link):
        parts, layout = self.rng.choice([1, 3]), h5py.VirtualLayout(SHAPE, "c8")
        for number in range(parts):
            values = ARRAY if parts == 1 else ARRAY[number : number + 1]
            where = self.rng.choice(
                ["self", "beside", "beside", "below", "elsewhere", "gone", "short"]
            )
            name, inside = f"part{len(self.names)}{number}.h5", "/part"
            if where == "self":
                name, inside = ".", f"/part{len(self.names)}{number}"
                file[inside] = values
            else:
                name = {"below": f"parts/{name}", "elsewhere": f"../there/{name}"}.get(where, name)
                place = self.path.parent / name
                place.parent.mkdir(exist_ok=True)
                if where != "gone":
                    with h5py.File(place, "w") as part:
                        part[inside] = values[..., :-1] if where == "short" else values
                self.stays &= where in ("beside", "below")
            source = h5py.VirtualSource(name, inside, values.shape)
            layout[number : number + len(values)] = source
        file.create_virtual_dataset(link, layout)

    def _name(self):
        return self.rng.choice([str(self.other), "../there/other.h5"])

    def _elsewhere(self, name):
        with h5py.File(self.other, "r+") as other:
            if name not in other:
                other[name] = other["dataset" if self.acquisitions else "kspace"]
        return self.other


def read(path):
    scan = open_scan(path)
    return torch.stack([sample.kspace for sample in scan])


def outcome(case):
    """Read the file; returns ``read`` or ``refused``."""
    try:
        found = read(case.path)
    except RawDataError as error:
        assert str(case.path) in str(error)
        assert not case.stays, f"refused though all is there: {error}"
        return "refused"
    assert case.stays or case.found, "what does not lie in the file was read"
    assert torch.equal(found, case.expected)
    return "read"


def run(folder: Path, cases: int, seed: int = 0) -> Counter:
    """Build and read ``cases`` files; returns how often each way had each outcome."""
    tally: Counter = Counter()
    for number in range(cases):
        place = folder / f"case{number}"
        case = Case(place, random.Random(f"{seed} {number}")).build()
        try:
            result = outcome(case)
        except BaseException:
            print(f"case {number} ({' '.join(case.names)}) failed", file=sys.stderr)
            raise
        tally.update((way, result) for way in case.names)
        tally["all", result] += 1
        shutil.rmtree(place)
    return tally


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        for (way, result), count in sorted(run(Path(place), int(sys.argv[1])).items()):
            print(f"{way:<16}{result:<10}{count}")
