"""Pack a folder of raw files of any readable format for training that is not slowed by reading.

    mrirecon pack /data/knee/multicoil_train /fast/knee_train
    mrirecon pack RAW PACKED --crop-readout --maps espirit
    mrirecon pack RAW PACKED --pattern "P*/cine_lax.mat"

Train with ``data.train.scans.path=/fast/knee_train``, or with ``data=folder_on_device`` when there
is a GPU. Slices come out exactly as from the source unless ``--crop-readout`` or ``--half`` is
given, under the same names, so that masks stay the same too. ``--half`` stores k-space and maps in
half precision: half the size, each sample off by 5e-4 of its magnitude at most, and sent to the GPU
like that by ``data=folder_on_device``. Scans from folders below come into equal folders; train with
``data.train.scans.pattern="**/*.h5"``, too. Files appear complete or not at all; with ``--existing
skip`` an interrupted conversion goes on. ``mrirecon check PACKED --deep`` compares checksums.
"""

import shutil
from pathlib import Path

from omegaconf import OmegaConf
from tqdm import tqdm

from mrirecon.commands.plain import plain_parser, told
from mrirecon.config import build
from mrirecon.data.folder import Folder
from mrirecon.data.index import IndexedScan
from mrirecon.data.packing import Packing, pack, packed_bytes, packed_name
from mrirecon.data.raw_files import files_of_scan
from mrirecon.errors import ConfigError, OutputError
from mrirecon.files import Kind, Untouchable, conf_folder, output_folder, refuse_existing
from mrirecon.readers.naming import scan_name
from mrirecon.scan import Scan
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.terminal import draws_bars


def main() -> None:
    """Check everything first, then pack scan after scan."""
    parser = plain_parser("pack", __doc__)
    parser.add_argument("source", type=Path, help="a folder of raw files, or one")
    parser.add_argument("output", type=Path, help="the folder of packed files")
    parser.add_argument("--pattern", default="*", help="which files; '**/*.mat' looks below")
    parser.add_argument("--skip-unreadable", action="store_true")
    parser.add_argument("--crop-readout", action="store_true", help="remove readout oversampling")
    parser.add_argument("--half", action="store_true", help="store in half precision")
    parser.add_argument("--maps", help="store sensitivities: a name in conf/sensitivity")
    parser.add_argument("--existing", choices=("refuse", "skip", "replace"), default="refuse")
    arguments = parser.parse_args()
    with told("pack"):
        scans = Folder(arguments.source, arguments.pattern, arguments.skip_unreadable)
        packing = Packing(arguments.crop_readout, _estimator(arguments.maps), arguments.half)
        folder = output_folder(arguments.output)
        todo = _todo(list(scans), folder, arguments.existing)
        _check_space(list(todo), packing, folder)
        for scan, path in tqdm(todo.items(), unit="scan", leave=False, disable=not draws_bars()):
            pack(scan, path, packing, overwrite=arguments.existing == "replace")
    there = len(scans) - len(todo)
    print(f"{folder}: {len(todo)} scans packed, {sum(map(len, todo))} slices"
          f"{f'; {there} were there' if there else ''}")  # fmt: skip


def _estimator(name: str | None) -> SensitivityEstimator | None:
    if name is None:
        return None
    path = conf_folder() / "sensitivity" / f"{name}.yaml"
    known = sorted(file.stem for file in path.parent.glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"--maps: there is no {name}; choose one of {', '.join(known)}")
    estimator = build(OmegaConf.load(path), SensitivityEstimator, f"--maps {name}")
    if any(True for _ in estimator.parameters()):
        raise ConfigError(f"--maps: {name} is trained, so its maps cannot be stored beforehand")
    return estimator


def _todo(scans: list[IndexedScan], folder: Path, existing: str) -> dict[Scan, Path]:
    todo: dict[Scan, Path] = {}
    for scan in scans:
        path = folder / packed_name(scan_name(scan.path, scan.folder))
        if existing == "refuse" and path.exists():
            raise OutputError(
                f"{path} exists already; --existing skip keeps it, --existing replace packs it anew"
            )
        if existing == "replace":
            refuse_existing(path, overwrite=True, kind=Kind.PACKED)
        if existing != "skip" or not path.exists():
            todo[scan] = path
    Untouchable(part for scan in scans for part in files_of_scan(scan.path)).refuse(todo.values())
    if len(set(todo.values())) < len(todo):
        raise ConfigError("two files would be packed under one name; pack them one by one")
    return todo


def _check_space(scans: list[Scan], packing: Packing, folder: Path) -> None:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    needed = sum(packed_bytes(scan, packing) for scan in scans)
    if needed > (free := shutil.disk_usage(there).free):
        raise ConfigError(
            f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; choose "
            "another disk, --crop-readout or --half"
        )
