"""Results of evaluations as tables: what ``mrirecon evaluate`` and benchmarks have written.

Numbers are read, compared and written down here, so that no hand has to copy any.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.evaluation.intervals import bootstrap_interval
from mrirecon.files import Kind, found_kind
from mrirecon.metrics import METRICS

MEASURES = ("combined", "RSS")
"""References of the measured benchmark that a table shows: coil-combined, root-sum-of-squares."""
DIGITS = {"nmse": 4, "psnr": 2, "ssim": 4}
WORST = 3
"""Cases that are named as the worst ones."""


@dataclass(frozen=True)
class Results:
    """What one file tells about a method.

    Attributes:
        title: What was evaluated, in words.
        source: Name of the file.
        sha256: Checksum of the file.
        head: Titles of the columns.
        rows: Cells of the table.
        remarks: Sentences below the table.
        worst: Sentences about where the method was worst.
    """

    title: str
    source: str
    sha256: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]
    worst: tuple[str, ...]


def read_results(path: Path, method: str) -> Results:
    """Read what an evaluation has written.

    Args:
        path: ``scores.json`` of ``mrirecon evaluate``, or ``table.json`` of
            ``benchmarks/measured.py``.
        method: Name that the method has in it.

    Raises:
        RawDataError: When the file is neither, was changed since, or does not know the method.
    """
    try:
        content = path.read_bytes()
        tree = json.loads(content)
    except (OSError, ValueError) as error:
        raise RawDataError(f"{path} holds no results: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    try:
        if isinstance(tree, dict) and "summary" in tree:
            return _evaluated(path, digest, tree, method)
        if isinstance(tree, list) and tree and "also" in tree[0]:
            return _measured(path, digest, tree, method)
    except (KeyError, TypeError, AttributeError) as error:
        raise RawDataError(
            f"{path} is not as an evaluation writes it: {type(error).__name__} {error}"
        ) from error
    raise RawDataError(
        f"{path} holds no results that are known; expected scores.json of `mrirecon evaluate`, or "
        "table.json of benchmarks/measured.py"
    )


def _evaluated(path: Path, digest: str, tree: dict[str, Any], method: str) -> Results:
    if found_kind(path) is not Kind.SCORES:
        raise RawDataError(
            f"{path} was changed since mrirecon evaluate wrote it; evaluate again, numbers of a "
            "model card are not edited"
        )
    names = [one["method"] for one in tree["summary"]]
    _refuse_unknown(path, method, names)
    values = {
        name: {
            metric: {one["volume"]: one[metric] for one in tree["scores"] if one["method"] == name}
            for metric in METRICS
        }
        for name in names
    }
    rows = tuple(
        (f"**{name}**" if name == method else name, str(len(values[name]["ssim"])),
         *(_mean(list(values[name][m].values()), DIGITS[m]) for m in METRICS))
        for name in names
    )  # fmt: skip
    others = [name for name in names if name != method]
    protocol = tree.get("protocol", {})
    told = ", ".join(f"{k} {protocol[k]}" for k in ("region", "scale") if k in protocol)
    remarks = [
        f"Mean over volumes [95 % interval, bootstrap over volumes]; {told or 'as written'}.",
        *(_difference(values, method, other) for other in others),
    ]
    ssim = sorted(values[method]["ssim"].items(), key=lambda pair: pair[1])
    worst = [f"SSIM {value:.4f} for {volume}" for volume, value in ssim[:WORST]]
    return Results(
        f"{len(values[method]['ssim'])} volumes, `mrirecon evaluate`", path.name, digest,
        ("method", "volumes", *(m.upper() + (" / dB" * (m == "psnr")) for m in METRICS)), rows,
        tuple(remarks), tuple(worst),
    )  # fmt: skip


def _difference(values: dict[str, dict[str, dict[str, float]]], one: str, other: str) -> str:
    """Tell by how much a method is ahead of another on the same volumes."""
    parts = []
    for metric in ("psnr", "ssim"):
        ours, theirs = values[one][metric], values[other][metric]
        common = [name for name in ours if None not in (ours[name], theirs.get(name))]
        ahead = [ours[name] - theirs[name] for name in common]
        unit = " dB" * (metric == "psnr")
        parts.append(f"{metric.upper()} {_mean(ahead, DIGITS[metric], sign=True)}{unit}")
    return f"{one} minus {other}, volume by volume: {', '.join(parts)}."


def _measured(path: Path, digest: str, rows: list[dict[str, Any]], method: str) -> Results:
    known = list(dict.fromkeys(name for row in rows for name in row["also"]))
    _refuse_unknown(path, method, known)
    cases = [row for row in rows if method in row["also"]]
    cells, remarks, worst = [], [], []
    for measure in MEASURES:
        ahead = []
        for row in cases:
            top, own = row["best"][measure], row["also"][method]
            best, ours = top["scores"][measure], own["scores"][measure]
            ahead.append(ours["psnr"] - best["psnr"])
            which = " ".join(str(top[key]) for key in ("program", "kind"))
            cells.append((
                row["case"], f"{row['acceleration']:.2f}", measure, which, _both(best),
                _both(ours), f"{ahead[-1]:+.2f}",
            ))  # fmt: skip
            if ahead[-1] < 0:
                worst.append((ahead[-1], f"{-ahead[-1]:.2f} dB below {which} ({measure}) for "
                                         f"{row['case']}"))  # fmt: skip
        remarks.append(
            f"{measure}: {_mean(ahead, 2, sign=True)} dB against the best classical result of "
            f"each case, least {min(ahead):+.2f}, {sum(a >= 0 for a in ahead)} of {len(ahead)} "
            "ahead."
        )
    remarks.append(
        "Means over cases [95 % interval, bootstrap over cases]; cases of one scan are not "
        "independent of one another. The classical result is the best of CG-SENSE, L1-wavelet and "
        "TV of several programs, each with the weight that is best for this very image."
    )
    return Results(
        f"{len(cases)} measured cases, `benchmarks/measured.py`", path.name, digest,
        ("case", "R", "reference", "best classical", "PSNR / SSIM", f"{method}", "difference / dB"),
        tuple(cells), tuple(remarks), tuple(text for _, text in sorted(worst)),
    )  # fmt: skip


def _refuse_unknown(path: Path, method: str, names: Sequence[str]) -> None:
    if method not in names:
        known = ", ".join(names) or "nothing"
        raise RawDataError(f"{path} has no method {method!r}; it knows {known}")


def _both(scores: dict[str, float]) -> str:
    return f"{scores['psnr']:.2f} / {scores['ssim']:.4f}"


def _mean(values: Sequence[float | None], digits: int, sign: bool = False) -> str:
    """Write a mean with its interval; a PSNR without error is stored as null."""
    plus = "+" if sign else ""
    known = [value for value in values if value is not None]
    if not known:
        return "infinite"
    text = f"{np.mean(known):{plus}.{digits}f}"
    if (interval := bootstrap_interval(known)) is not None:
        low, high = interval
        text += f" [{low:{plus}.{digits}f}, {high:{plus}.{digits}f}]"
    left = len(values) - len(known)
    return text + (f" (and {left} infinite)" if left else "")
