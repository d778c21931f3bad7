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
from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.stored.scored import refuse_changed, stored_infos
from mrirecon.evaluation.tables.leading import best_first, leading_metric
from mrirecon.metrics import KNOWN, MetricInfo

MEASURES = ("combined", "RSS")
"""References of the measured benchmark that a table shows: coil-combined, root-sum-of-squares."""
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
    except (OSError, ValueError, RecursionError) as error:
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
    refuse_changed(path)
    names = [one["method"] for one in tree["summary"] if not one.get("region")]
    _refuse_unknown(path, method, names)
    infos = stored_infos(tree)
    whole = [one for one in tree["scores"] if not one.get("region")]
    values = {
        name: {
            metric: {one["volume"]: one[metric] for one in whole if one["method"] == name}
            for metric in infos
        }
        for name in names
    }
    first = next(iter(infos))
    volumes = {name: str(len(values[name][first])) for name in names}
    rows = tuple(
        (f"**{name}**" if name == method else name, volumes[name],
         *(_mean(list(values[name][m].values()), info) for m, info in infos.items()))
        for name in names
    )  # fmt: skip
    others = [name for name in names if name != method]
    protocol = tree.get("protocol", {})
    told = ", ".join(f"{k} {protocol[k]}" for k in ("name", "region", "scale") if k in protocol)
    remarks = [
        "Mean over volumes [95 % interval of six and more, bootstrap over volumes]; "
        f"{told or 'as written'}.",
        *(_difference(values, infos, method, other) for other in others),
    ]
    return Results(
        f"{volumes[method]} volumes, `mrirecon evaluate`", path.name, digest,
        ("method", "volumes", *(info.heading for info in infos.values())), rows,
        tuple(remarks), _worst(values[method], infos),
    )  # fmt: skip


def _worst(
    values: dict[str, dict[str, float | None]], infos: dict[str, MetricInfo]
) -> tuple[str, ...]:
    """Name the volumes that are worst by SSIM, or by the first metric that has a direction."""
    name = leading_metric(infos)
    if name is None:
        return ()
    info = infos[name]
    known = {volume: value for volume, value in values[name].items() if value is not None}
    worst = best_first(known, info)[::-1][:WORST]
    return tuple(f"{info.title} {info.text(known[one])} for {one}" for one in worst)


def _difference(
    values: dict[str, dict[str, dict[str, float]]],
    infos: dict[str, MetricInfo],
    one: str,
    other: str,
) -> str:
    """Tell by how much a method is ahead of another on the same volumes."""
    parts = []
    for metric, info in infos.items():
        if info.name == "nmse" and len(infos) > 1:  # too skew for a mean of differences
            continue
        ours, theirs = values[one][metric], values[other][metric]
        common = [name for name in ours if None not in (ours[name], theirs.get(name))]
        ahead = [ours[name] - theirs[name] for name in common]
        unit = f" {info.unit}" if info.unit else ""
        parts.append(f"{info.title} {_mean(ahead, info, sign=True)}{unit}")
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
            f"{measure}: {_mean(ahead, KNOWN['psnr'].info, sign=True)} dB against the best "
            f"classical result of each case, least {min(ahead):+.2f}, "
            f"{sum(a >= 0 for a in ahead)} of {len(ahead)} ahead."
        )
    remarks.append(
        "Means over cases [95 % interval of six and more, bootstrap]; cases of one scan are not "
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


def _mean(values: Sequence[float | None], info: MetricInfo, sign: bool = False) -> str:
    """Write a mean with its interval; a PSNR without error is stored as null."""
    known = [value for value in values if value is not None]
    if not known:
        return "infinite"
    text = info.text(float(np.mean(known)), sign)
    if (interval := bootstrap_interval(known)) is not None:
        low, high = (info.text(end, sign) for end in interval)
        text += f" [{low}, {high}]"
    left = len(values) - len(known)
    return text + (f" (and {left} infinite)" if left else "")
