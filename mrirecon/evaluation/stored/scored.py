"""The scores that ``mrirecon evaluate`` has stored, and what they can be compared by."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrirecon.errors import RawDataError
from mrirecon.evaluation.origins.makings import stored_origins
from mrirecon.evaluation.origins.origin import Origin
from mrirecon.evaluation.scores.observed import REFERENCE, Signature, cautions
from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.tables.task import task_label
from mrirecon.files import REPORT, Kind, found_kind
from mrirecon.metrics import KNOWN, METRICS, MetricInfo

SETTINGS = ("region", "scale", "ends", "per", "normalize", "swapped", "foreground")
"""What of a protocol must be equal in scores that are compared, beside its metrics."""


@dataclass(frozen=True)
class Scored:
    """What one file of ``mrirecon evaluate`` tells.

    Attributes:
        path: Path of the file.
        sha256: Checksum of the file.
        protocol: Name of the protocol.
        definition: What was scored, in words; empty in older files.
        settings: Settings of the protocol and of its metrics, by their names; those of a metric
            begin with ``metrics.NAME.``.
        infos: How the values of each metric are written and read.
        scores: Scores of all volumes, methods and regions.
        target: What the references are: their data sets, and how they were made.
        matrices: Sizes of the references.
        references: Signature of the reference of each volume.
        regions: Number of voxels of each region of each volume, by both names.
        origins: Origin of every volume of every method, by method and volume.
        patients: Pseudonym of the patient of each volume, where a file tells one.
        cautions: Sentences about what makes scores look other than images do.
        versions: Versions of what scored.
        untold: What the file is too old to tell.
        task: Task of a benchmark in words, see :func:`~mrirecon.evaluation.tables.task.task_label`;
            empty when there was none.
    """

    path: Path
    sha256: str
    protocol: str
    definition: str
    settings: dict[str, str]
    infos: dict[str, MetricInfo]
    scores: tuple[Score, ...]
    target: str
    matrices: tuple[str, ...]
    references: dict[str, Signature]
    regions: dict[tuple[str, str], int]
    origins: dict[str, dict[str, Origin]]
    patients: dict[str, str]
    cautions: tuple[str, ...]
    versions: str
    untold: tuple[str, ...]
    task: str = ""

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order of the file."""
        return list(dict.fromkeys(score.method for score in self.scores))

    @property
    def volumes(self) -> set[str]:
        """Names of the volumes."""
        return {score.volume for score in self.scores}


def scores_file(path: Path) -> Path:
    """Return the file of scores that a path names: itself, or that in a folder.

    Raises:
        RawDataError: When there is none.
    """
    if not path.exists():
        raise RawDataError(f"{path}: no such file or folder (in {Path.cwd()})")
    if not path.is_dir():
        return path
    if (path / REPORT).is_file():
        return path / REPORT
    below = [str(file) for file in sorted(path.glob(f"*/{REPORT}"))[:3]]
    hint = f"; there are {', '.join(below)}: name these" if below else ""
    raise RawDataError(
        f"{path}: the folder holds no {REPORT}{hint or '; mrirecon evaluate output= writes one'}"
    )


def read_scores(path: Path) -> Scored:
    """Read the scores that an evaluation has stored.

    Args:
        path: ``scores.json`` of ``mrirecon evaluate``.

    Raises:
        RawDataError: When it is no such file, or was changed since.
    """
    try:
        content = path.read_bytes()
        tree = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise RawDataError(f"{path} holds no scores: {error}") from error
    if not isinstance(tree, dict) or not {"scores", "summary"} <= tree.keys():
        raise RawDataError(f"{path} holds no scores; expected {REPORT} of `mrirecon evaluate`")
    refuse_changed(path)
    try:
        return _scored(path, hashlib.sha256(content).hexdigest(), tree)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RawDataError(
            f"{path} is not as an evaluation writes it: {type(error).__name__} {error}"
        ) from error


def refuse_changed(path: Path) -> None:
    """Raise RawDataError when a file of scores is not as it was written."""
    if found_kind(path) is not Kind.SCORES:
        raise RawDataError(
            f"{path} was changed since mrirecon evaluate wrote it; evaluate again, scores are not "
            "edited"
        )


def stored_infos(tree: Mapping[str, Any]) -> dict[str, MetricInfo]:
    """Return how each metric is written; older files had those of fastMRI and did not say so."""
    told = tree.get("metrics")
    if told is None:
        return {name: KNOWN[name].info for name in METRICS}
    return {name: MetricInfo(**facts) for name, facts in told.items()}


def _scored(path: Path, sha256: str, tree: dict[str, Any]) -> Scored:
    infos = stored_infos(tree)
    protocol, made = tree.get("protocol", {}), tree.get("made", {})
    scores = tuple(_score(row, infos) for row in tree["scores"])
    if not scores:
        raise ValueError("no scores")
    if len({(one.method, one.volume, one.region) for one in scores}) < len(scores):
        raise ValueError("a volume has several scores")
    volumes = {one.method: [s.volume for s in scores if s.method == one.method and not s.region]
               for one in scores}  # fmt: skip
    datasets = " and ".join(protocol.get("datasets", {}).get(REFERENCE, ()))
    how = made.get("target", "")
    untold = {
        "the settings of its metrics": "metrics" in protocol,
        "its references": "references" in protocol,
        "how its volumes were made": "varying" in made,
        "whose they are": "patient_of" in made,
        **{name: name in protocol for name in SETTINGS},
    }
    return Scored(
        path,
        sha256,
        str(protocol.get("name", "")),
        str(protocol.get("definition", "")),
        _settings(protocol, infos),
        infos,
        scores,
        f"{datasets}, made by {how}" if datasets and how else datasets,
        tuple(sorted(f"{y} x {x}" for y, x in protocol.get("matrices", ()))),
        {name: _signature(told) for name, told in protocol.get("references", {}).items()},
        {(name, label): int(voxels) for name, own in protocol.get("regions", {}).items()
         for label, voxels in own.items()},
        stored_origins(made, volumes) if "methods" in made else {},
        dict(made.get("patient_of", {})),
        tuple(_cautions(protocol, volumes)),
        ", ".join(tree.get("versions", ())),
        tuple(name for name, told in untold.items() if not told),
        _task(tree.get("task")),
    )  # fmt: skip


def _task(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return ""
    numbers = (int(told[name]) for name in ("scored", "cases"))
    return task_label(str(told["kit"]), int(told["version"]), str(told["checksum"]), *numbers)


def _score(row: Mapping[str, Any], infos: Mapping[str, MetricInfo]) -> Score:
    """Return a row as a score; JSON knows no infinity, which is that of a perfect volume."""
    values = {name: math.inf if row[name] is None else float(row[name]) for name in infos}
    return Score(str(row["method"]), str(row["volume"]), values, str(row.get("region", "")))


def _signature(told: Any) -> Signature:
    total, slices, y, x = map(float, told)
    return total, slices, y, x


def _settings(protocol: Mapping[str, Any], infos: Mapping[str, MetricInfo]) -> dict[str, str]:
    """Return all that defines scores; what the file does not tell is left out."""
    found = {name: str(protocol[name]) for name in SETTINGS if name in protocol}
    for metric, settings in protocol.get("metrics", {}).items():
        found |= {f"metrics.{metric}.{name}": str(value) for name, value in settings.items()}
    for metric, info in infos.items():
        found[f"metrics.{metric}.unit"] = info.unit or "none"
        found[f"metrics.{metric}.higher_is_better"] = str(info.higher_is_better)
    return found


def _cautions(protocol: Mapping[str, Any], volumes: Mapping[str, list[str]]) -> list[str]:
    """Tell of what makes scores look other than images do, as when they were written."""
    found = []
    unscaled = protocol.get("scale", "none") == "none"
    for method, names in volumes.items():
        factor = protocol.get("intensity_factors", {}).get(method)
        background = protocol.get("error_in_background", {}).get(method)
        found += cautions(
            method,
            float(factor) if unscaled and factor is not None else 1.0,
            f"{len(names)} volumes",
            protocol.get("misplaced", {}).get(method, {}),
            0.0 if background is None else float(background),
            int(protocol.get("identical", {}).get(method, 0)),
        )
    return found
