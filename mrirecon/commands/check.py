"""Check folders of raw files: what is there, what is damaged, patients per split.

    mrirecon check /data/fastMRI/multicoil
    mrirecon check /data/fastMRI --deep        (reads every slice)
    mrirecon check /data/scans --pattern "*.dat"
    mrirecon check splits --pattern "*/P*/cine_lax.mat"

A split is a folder of files. With a slash in the pattern, which is then relative to the folder, it
is what lies in or below one of the folders in there.
Exits with 1 when a file is damaged or two splits share a patient.
"""

import sys
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import h5py
from tqdm import tqdm

from mrirecon.commands.plain import plain_parser
from mrirecon.data.raw_files import raw_files
from mrirecon.errors import MriReconError, RawDataError
from mrirecon.evaluation.scores.volumes import read_volume
from mrirecon.pseudonyms import patients
from mrirecon.readers import open_scan
from mrirecon.readers.hdf5.opening import hdf5_holds
from mrirecon.scan import ScanHeader
from mrirecon.terminal import draws_bars

Patients = dict[Path, dict[str, str]]
"""What files call the patients of each split, by pseudonym."""


def main() -> None:
    """Walk the folder, print the report."""
    parser = plain_parser("check", __doc__)
    parser.add_argument("folder", type=Path, help="folder that holds the splits, at any depth")
    parser.add_argument("--pattern", default="*.h5", help="which files, any readable format")
    parser.add_argument("--deep", action="store_true", help="read every slice, not only headers")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"mrirecon check: {arguments.folder} is not a folder; expected one of raw files")
    below = "/" in arguments.pattern
    try:
        files = raw_files(
            arguments.folder, arguments.pattern if below else f"**/{arguments.pattern}"
        )
    except RawDataError as error:
        sys.exit(f"mrirecon check: {error}; --pattern chooses")
    splits = {f: _split(f, arguments.folder) if below else f.parent for f in files}
    headers, damaged = _read(splits, deep=arguments.deep)
    images = [file for file in damaged if _is_image(file)]
    for file in images:
        del damaged[file]
    found = _report(headers, splits)
    for file, reason in damaged.items():
        print(f"DAMAGED {reason if str(file) in reason else f'{file}: {reason}'}")
    leaks = _leaks(found)
    for leak in leaks:
        print(f"LEAK {leak}")
    left_out = f", {len(images)} without k-space that hold images" if images else ""
    print(f"\n{len(headers)} readable files, {len(damaged)} damaged, {len(leaks)} leaks{left_out}")
    if not below and (others := _others(arguments.folder, files)):
        print(f'not looked at, of other names: {others}; --pattern "*" looks at all files')
    sys.exit(1 if damaged or leaks else 0)


def _others(folder: Path, files: list[Path]) -> str:
    """Return how many files of each suffix a folder holds beside those that were looked at."""
    rest = set(raw_files(folder, "**/*")) - set(files)
    suffixes = Counter(file.suffix or "without a suffix" for file in rest)
    return ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())


def _split(file: Path, folder: Path) -> Path:
    """Return the folder in ``folder`` that a file lies in or below, else ``folder``."""
    first, *others = file.relative_to(folder).parts
    return folder / first if others else folder


def _is_image(file: Path) -> bool:
    """Tell whether a file that is no raw file is a reference or a reconstruction.

    A damaged raw file is not, though it may hold its reference.
    """
    try:
        read_volume(file)
        return not hdf5_holds(file, _holds_raw_data)
    except (RawDataError, OSError):
        return False


def _holds_raw_data(content: h5py.File) -> bool:
    return any("kspace" in name or name in ("kus", "dataset") for name in content)


def _read(
    splits: dict[Path, Path], *, deep: bool
) -> tuple[dict[Path, ScanHeader], dict[Path, str]]:
    headers: dict[Path, ScanHeader] = {}
    damaged: dict[Path, str] = {}
    for file, split in tqdm(splits.items(), unit="file", leave=False, disable=not draws_bars()):
        try:
            scan = open_scan(file, folder=split)
            if deep:
                scan.verify()
            scan[0], scan[len(scan) - 1]
            headers[file] = scan.header
        except (MriReconError, OSError) as error:
            damaged[file] = str(error)
        except Exception as error:  # noqa: BLE001 - the others are looked at all the same
            damaged[file] = f"{type(error).__name__}: {error}"
    return headers, damaged


def _report(
    headers: dict[Path, ScanHeader], splits: dict[Path, Path]
) -> dict[Path, dict[str, str]]:
    """Print a line per split; return the patients of each."""
    contents: dict[Path, list[ScanHeader]] = defaultdict(list)
    for file, header in headers.items():
        contents[splits[file]].append(header)
    found = {}
    for split, members in sorted(contents.items()):
        found[split] = patients(h.subject for h in members)
        contrasts = Counter(h.acquisition or "unknown" for h in members)
        coils = sorted({h.coils for h in members})
        grids = Counter(h.grid for h in members).most_common(3)
        print(f"{split}: {len(members)} volumes, {sum(h.slices for h in members)} slices, "
              f"{len(found[split])} patients")  # fmt: skip
        print(f"  contrasts: {', '.join(f'{name} {n}' for name, n in contrasts.most_common())}")
        print(f"  coils: {coils[0]} to {coils[-1]}; most frequent k-space: "
              f"{', '.join(f'{h} x {w} ({n})' for (h, w), n in grids)}")  # fmt: skip
        without = sum(not h.subject for h in members)
        if without:
            print(f"  {without} volumes have no patient_id")
    return found


def _leaks(found: Patients) -> list[str]:
    """Compare the splits of one collection; single- and multicoil data show the same people."""
    return [
        f"{a} and {b} share {len(shared)} patients, for instance {min(shared)}"
        for a, b in combinations(sorted(found), 2)
        if (a.parent, _collection(a)) == (b.parent, _collection(b))
        and (shared := [name for key, name in found[a].items() if key in found[b]])
    ]


def _collection(split: Path) -> str:
    """``multicoil`` of ``multicoil_train``."""
    return split.name.rpartition("_")[0]
