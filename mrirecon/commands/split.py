"""Split a folder of raw files by patient into folders of links: train, val and test.

    mrirecon split /data/scans splits
    mrirecon split /data/scans splits --fractions 0.7 0.15 0.15 --seed 1
    mrirecon split /data/FullSample splits --pattern "P*/cine_lax.mat"

All scans of a patient go to one split. A file that tells no patient counts as a patient of its own,
which is said; with a pattern that finds files in folders below, the first folder is the patient,
and folders are kept. The split depends on nothing but the patients' ids and the seed, so it is
the same on every machine. Train with
``data.train.scans.path=splits/train data.val.scans.path=splits/val``, and with such a pattern as
``data.train.scans.pattern`` and ``data.val.scans.pattern``.
"""

import argparse
import hashlib
import os
import sys
from collections import defaultdict
from pathlib import Path

from mrirecon.commands.plain import plain_parser, told
from mrirecon.data.folder import Folder
from mrirecon.data.index import IndexedScan
from mrirecon.data.raw_files import files_of_scan
from mrirecon.errors import OutputError
from mrirecon.files import atomic_folder, output_folder
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.readers.naming import scan_name

NAMES = ("train", "val", "test")


def main() -> None:
    """Read the headers, decide, make the links."""
    parser = plain_parser("split", __doc__)
    parser.add_argument("folder", type=Path, help="raw files of any readable format")
    parser.add_argument("output", type=Path, help="gets the folders train, val and test")
    parser.add_argument("--pattern", default="*", help="which files; '**/*.mat' looks below")
    parser.add_argument("--fractions", type=float, nargs=3, default=[0.8, 0.1, 0.1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-unreadable", action="store_true")
    arguments = parser.parse_args()
    if not (min(arguments.fractions) >= 0 and abs(sum(arguments.fractions) - 1) <= 1e-6):  # or NaN
        given = " ".join(map(str, arguments.fractions))
        sys.exit(f"mrirecon split: --fractions: expected three that sum to 1, got {given}")
    with told("split"):
        if os.path.lexists(arguments.output):
            raise OutputError(f"{arguments.output} exists already; choose another folder")
        output_folder(arguments.output)  # before headers are read
        scans = Folder(arguments.folder, arguments.pattern, arguments.skip_unreadable)
        with atomic_folder(arguments.output) as folder:
            _link(scans, folder, arguments)


def _link(scans: Folder, folder: Path, arguments: argparse.Namespace) -> None:
    """Make the folders of links, and say who went where."""
    patients: dict[str, list[IndexedScan]] = defaultdict(list)
    for scan in scans:
        subject = scan.header.subject
        name = patient_pseudonym(subject) if subject else f"file {scan.header.name}"
        patients[name].append(scan)
    unknown = sum(name.startswith("file ") for name in patients)
    if unknown:
        print(f"{unknown} files tell no patient: each counts as one of its own")
    for name, members in _split(list(patients), arguments.fractions, arguments.seed).items():
        target, shown = folder / name, arguments.output / name
        target.mkdir()
        chosen = [scan for patient in members for scan in patients[patient]]
        for scan in chosen:
            for file in files_of_scan(scan.path):
                link = target / scan_name(file, scan.folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())
        print(f"{shown}: {len(members)} patients, {len(chosen)} files")
        if not members and arguments.fractions[NAMES.index(name)] > 0:
            print(
                f"WARNING: {shown} is empty: {len(patients)} patients are too few for "
                f"--fractions {' '.join(map(str, arguments.fractions))}",
                file=sys.stderr,
            )


def _split(patients: list[str], fractions: list[float], seed: int) -> dict[str, list[str]]:
    """Order patients by a hash of their names and cut the order at the fractions."""
    order = sorted(patients, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    first = round(fractions[0] * len(order))
    second = round((fractions[0] + fractions[1]) * len(order))
    parts = (order[:first], order[first:second], order[second:])
    return dict(zip(NAMES, parts, strict=True))
