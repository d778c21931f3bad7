"""The scores of several files in one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrirecon.errors import ConfigError
from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.stored.mismatches import mismatches, refuse
from mrirecon.evaluation.stored.scored import Scored
from mrirecon.evaluation.tables.standings import Standing, equal_methods, standings
from mrirecon.evaluation.tables.summaries import Summary, summarize
from mrirecon.files import REPORT, real_path
from mrirecon.metrics import MetricInfo


@dataclass(frozen=True)
class Pooled:
    """Scores of methods on the same volumes, from several files.

    Attributes:
        files: Files by the name that they are called by.
        infos: How the values of the metrics that all files have are written and read.
        scores: Scores of the volumes and regions that all files have, by unique names of methods.
        patients: Group of each volume; volumes of one group are those of one patient.
        summaries: Summary of each method, and of each region of it.
        standings: Orders of the methods by each metric, in each region.
        warnings: What does not mislead enough to be refused, or was allowed.
    """

    files: dict[str, Scored]
    infos: dict[str, MetricInfo]
    scores: tuple[Score, ...]
    patients: dict[str, str]
    summaries: tuple[Summary, ...]
    standings: tuple[Standing, ...]
    warnings: tuple[str, ...]


def pooled(scored: Sequence[Scored], allowed: Sequence[str] = ()) -> Pooled:
    """Put scores into one table.

    Args:
        scored: Contents of the files.
        allowed: Fields in which they may differ.

    Raises:
        ConfigError: When there is nothing to compare, or the table would mislead.
    """
    files = _labelled(scored)
    names = _method_names(files)
    if len(names) < 2:
        (only,) = names.values()
        raise ConfigError(f"there is one method only, {only}; name another file of scores")
    infos = _common_infos(files)
    volumes = set.intersection(*(file.volumes for file in files.values()))
    if not volumes:
        raise ConfigError(
            f"{' and '.join(files)} have no volume in common; nothing can be compared"
        )
    origins = {
        names[label, method]: {v: one for v, one in own.items() if v in volumes}
        for label, file in files.items()
        for method, own in file.origins.items()
    }
    warnings = refuse(mismatches(files, origins), allowed)
    scores = _common_scores(files, names, infos, volumes)
    patients, told = _patients(files, sorted(volumes))
    for label, file in files.items():
        warnings += [f"{label}: {caution}" for caution in file.cautions]
    warnings += [*told, *_left_out(files, infos), *equal_methods(scores)]
    return Pooled(
        files, infos, scores, patients, tuple(summarize(scores, patients)),
        tuple(standings(scores, patients, infos)), tuple(warnings),
    )  # fmt: skip


def _labelled(scored: Sequence[Scored]) -> dict[str, Scored]:
    """Name files by as much of the end of their paths as tells them apart.

    Raises:
        ConfigError: When two files hold the same.
    """
    seen: dict[str, Path] = {}
    for file in scored:
        if file.sha256 in seen:
            raise ConfigError(f"{seen[file.sha256]} and {file.path} are the same scores; name one")
        seen[file.sha256] = file.path
    paths = [real_path(file.path) for file in scored]
    parts = [(path.parent if path.name == REPORT else path.with_suffix("")).parts for path in paths]
    length = 1
    while len({own[-length:] for own in parts}) < len(parts) and length < max(map(len, parts)):
        length += 1
    labels = ["/".join(own[-length:]) for own in parts]
    if len(set(labels)) < len(labels):  # a folder, and a file beside it of the same name
        labels = [str(file.path) for file in scored]
    return dict(zip(labels, scored, strict=True))


def _method_names(files: Mapping[str, Scored]) -> dict[tuple[str, str], str]:
    """Name methods; those of the same name in several files get that of the file, too."""
    methods = [(label, method) for label, file in files.items() for method in file.methods]
    plain = [method for _, method in methods]
    return {
        (label, method): method if plain.count(method) == 1 else f"{method} ({label})"
        for label, method in methods
    }


def _common_infos(files: Mapping[str, Scored]) -> dict[str, MetricInfo]:
    first, *others = files.values()
    infos = {n: i for n, i in first.infos.items() if all(n in other.infos for other in others)}
    if not infos:
        each = "; ".join(f"{label} {', '.join(file.infos)}" for label, file in files.items())
        raise ConfigError(
            f"the files have no metric in common: {each}; evaluate with the same ones"
        )
    return infos


def _common_scores(
    files: Mapping[str, Scored],
    names: Mapping[tuple[str, str], str],
    infos: Mapping[str, MetricInfo],
    volumes: set[str],
) -> tuple[Score, ...]:
    """Return the scores of what every method of every file has."""
    places = [
        {(s.volume, s.region) for s in file.scores if s.method == method}
        for file in files.values()
        for method in file.methods
    ]
    common = set.intersection(*places)
    return tuple(
        replace(s, method=names[label, s.method], values={name: s.values[name] for name in infos})
        for label, file in files.items()
        for s in file.scores
        if s.volume in volumes and (s.volume, s.region) in common
    )


def _patients(
    files: Mapping[str, Scored], volumes: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Return a group for each volume, and a warning where files tell other groups.

    Pseudonyms of one patient may differ between files, groups do not. What any file counts as one
    patient's is one patient's.
    """
    group = {volume: volume for volume in volumes}
    numbers = {}
    for label, file in files.items():
        first: dict[str, str] = {}
        for volume in volumes:
            owner = file.patients.get(volume) or volume
            kept, given = group[first.setdefault(owner, volume)], group[volume]
            if kept != given:
                group = {one: kept if own == given else own for one, own in group.items()}
        if file.patients:
            numbers[label] = len(first)
    several = len(set(group.values()))
    if all(number == several for number in numbers.values()):
        return group, []
    each = "; ".join(f"{label} {number}" for label, number in numbers.items())
    return group, [
        f"patients differ: {each} for the same {len(volumes)} volumes; volumes that any file "
        f"counts as those of one patient are, which leaves {several}"
    ]


def _left_out(files: Mapping[str, Scored], infos: Mapping[str, MetricInfo]) -> list[str]:
    """Tell which metrics and regions only some of the files have."""
    regions = [{score.region for score in file.scores} for file in files.values()]
    some = sorted(set[str]().union(*regions) - set[str].intersection(*regions))
    metrics = [
        n for n in dict.fromkeys(n for f in files.values() for n in f.infos) if n not in infos
    ]
    told = {"metrics": metrics, "regions": some}
    return [
        f"{what} that only some of the files have were left out: {', '.join(names)}"
        for what, names in told.items()
        if names
    ]
