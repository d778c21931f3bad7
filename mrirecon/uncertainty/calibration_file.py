"""Files of calibrations: JSON, beside the checkpoint that they were made for."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mrirecon.errors import ConfigError
from mrirecon.files import Kind, atomic, mark, stamped
from mrirecon.files.marks import not_ours
from mrirecon.records import record
from mrirecon.uncertainty.calibration import Calibration

ENDING = ".calibration.json"
FORMAT = 1
LARGEST = 2**28
"""Bytes of a file of some ten thousand patients."""


def calibration_beside(checkpoint: str | Path) -> Path:
    """Return where the calibration of a checkpoint lies."""
    path = Path(checkpoint)
    return path.with_name(path.stem + ENDING)


def write_calibration(path: Path, calibration: Calibration, *, overwrite: bool = False) -> None:
    """Write a calibration; what it promises is told, too, for people who open the file."""
    told = asdict(calibration)
    del told["path"]
    content = {
        "mrirecon": {"output": mark(Kind.CALIBRATION), "format": FORMAT},
        "promise": calibration.promise,
        "calibration": told,
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    with atomic(path, Kind.CALIBRATION, overwrite=overwrite) as temporary:
        temporary.write_bytes(stamped(f"{text}\n".encode(), Kind.CALIBRATION))


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration.

    Raises:
        ConfigError: When the file is missing, damaged, or no calibration.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConfigError(f"calibration: {path} is not a file (in {Path.cwd()})")
    if path.stat().st_size > LARGEST:
        raise ConfigError(f"calibration: {path} has more than {LARGEST} bytes, so it is none")
    try:
        tree = json.loads(path.read_bytes(), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"calibration: {path} cannot be read ({str(error)[:200]}); expected a file of "
            "`mrirecon calibrate`"
        ) from error
    return _calibration(tree, path)


def _calibration(tree: Any, path: Path) -> Calibration:
    """Return a calibration of which nobody has changed a number: what it promises rests on them."""
    head = tree.get("mrirecon") if isinstance(tree, dict) else None
    number = head.get("format") if isinstance(head, dict) else None
    if type(number) is not int or "calibration" not in tree:
        raise ConfigError(
            f"calibration: {path} is no calibration; expected a file of `mrirecon calibrate`"
        )
    if number > FORMAT:
        raise ConfigError(
            f"calibration: {path} has format {number}, this mrirecon reads formats up to {FORMAT}; "
            "update mrirecon"
        )
    try:
        found = record(Calibration, tree["calibration"], "the calibration")
        if reason := not_ours(path.resolve(), Kind.CALIBRATION):
            raise ValueError(reason)
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"calibration: {path} is damaged or was changed ({str(error)[:300]}); make it again "
            "with `mrirecon calibrate`"
        ) from error
    return replace(found, path=str(path))


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}")
