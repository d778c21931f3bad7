"""Check folders of raw files: what is there, what is damaged, patients per split.

    python data_scripts/check_folder.py /data/fastMRI/multicoil
    python data_scripts/check_folder.py /data/fastMRI --deep        (reads every slice)
    python data_scripts/check_folder.py /data/scans --pattern "*.dat"

Exits with 1 when a file is damaged or two splits share a patient.
"""

import argparse
import sys
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

from tqdm import tqdm

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan
from mrirecon.scan import ScanHeader


def main() -> None:
    """Walk the folder, print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder that holds the splits, at any depth")
    parser.add_argument("--pattern", default="*.h5", help="which files, any readable format")
    parser.add_argument("--deep", action="store_true", help="read every slice, not only headers")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"{arguments.folder} is not a folder")
    files = sorted(f for f in arguments.folder.rglob(arguments.pattern) if f.is_file())
    if not files:
        sys.exit(f"{arguments.folder}: no file matches {arguments.pattern}; --pattern chooses")
    headers, damaged = _read(files, deep=arguments.deep)
    patients = _report(headers)
    for file, reason in damaged.items():
        print(f"DAMAGED {reason if str(file) in reason else f'{file}: {reason}'}")
    leaks = _leaks(patients)
    for leak in leaks:
        print(f"LEAK {leak}")
    print(f"\n{len(headers)} readable files, {len(damaged)} damaged, {len(leaks)} leaks")
    sys.exit(1 if damaged or leaks else 0)


def _read(files: list[Path], *, deep: bool) -> tuple[dict[Path, ScanHeader], dict[Path, str]]:
    headers: dict[Path, ScanHeader] = {}
    damaged: dict[Path, str] = {}
    for file in tqdm(files, unit="file", leave=False, disable=None):
        try:
            scan = open_scan(file)
            if deep:
                scan.verify()
            scan[0], scan[len(scan) - 1]
            headers[file] = scan.header
        except (RawDataError, OSError) as error:
            damaged[file] = str(error)
    return headers, damaged


def _report(headers: dict[Path, ScanHeader]) -> dict[Path, set[str]]:
    """Print a line per split, which is a folder of files; return the patients of each."""
    splits: dict[Path, list[ScanHeader]] = defaultdict(list)
    for file, header in headers.items():
        splits[file.parent].append(header)
    patients = {}
    for split, members in sorted(splits.items()):
        patients[split] = {h.subject for h in members if h.subject}
        contrasts = Counter(h.acquisition or "unknown" for h in members)
        coils = sorted({h.coils for h in members})
        grids = Counter(h.grid for h in members).most_common(3)
        print(f"{split}: {len(members)} volumes, {sum(h.slices for h in members)} slices, "
              f"{len(patients[split])} patients")  # fmt: skip
        print(f"  contrasts: {', '.join(f'{name} {n}' for name, n in contrasts.most_common())}")
        print(f"  coils: {coils[0]} to {coils[-1]}; most frequent k-space: "
              f"{', '.join(f'{h} x {w} ({n})' for (h, w), n in grids)}")  # fmt: skip
        without = sum(not h.subject for h in members)
        if without:
            print(f"  {without} volumes have no patient_id")
    return patients


def _leaks(patients: dict[Path, set[str]]) -> list[str]:
    """Compare the splits of one collection; single- and multicoil data show the same people."""
    return [
        f"{a} and {b} share {len(shared)} patients, for instance {min(shared)}"
        for a, b in combinations(sorted(patients), 2)
        if (a.parent, _collection(a)) == (b.parent, _collection(b))
        and (shared := patients[a] & patients[b])
    ]


def _collection(split: Path) -> str:
    """``multicoil`` of ``multicoil_train``."""
    return split.name.rpartition("_")[0]


if __name__ == "__main__":
    main()
