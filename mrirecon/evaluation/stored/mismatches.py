"""What files of scores differ in, beside their methods: such a table would mislead."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrirecon.errors import ConfigError
from mrirecon.evaluation.origins.origin import (
    MUST_AGREE,
    SHOULD_AGREE,
    Origin,
    differing_facts,
    known,
    shown_apart,
)
from mrirecon.evaluation.scores.observed import Signature
from mrirecon.evaluation.stored.scored import SETTINGS, Scored

SAME_REFERENCE = 1e-5
"""Relative difference of references that rounding may cause."""
FIELDS = (
    *SETTINGS,
    "metrics",
    "task",
    "target",
    "references",
    "matrices",
    "volumes",
    "regions",
    *MUST_AGREE,
)
"""Fields in which files must agree, and the first word of those of metrics."""
RECONSTRUCT = {
    "fingerprint": "reconstruct the same raw files with each method",
    "mask": "reconstruct with the same sampling= everywhere",
    "acceleration": "reconstruct with the same sampling= everywhere",
    "acs": "reconstruct with the same sampling.acs= everywhere",
}


@dataclass(frozen=True)
class Mismatch:
    """A field that differs.

    Attributes:
        field: Name of the field.
        sentence: Sentence with the field and what each file tells.
        remedy: Words about what to do.
        grave: Whether the scores of the files must not stand in one table.
    """

    field: str
    sentence: str
    remedy: str = ""
    grave: bool = True


def mismatches(
    files: Mapping[str, Scored], origins: Mapping[str, Mapping[str, Origin]]
) -> list[Mismatch]:
    """Tell what files differ in, the fields that mislead first.

    Args:
        files: Files by the name that they are called by.
        origins: Origin of every volume of every method of all files, by method and volume.
    """
    found = _of_settings(files)
    found += _of_words(
        "task",
        {name: file.task for name, file in files.items()},
        "run all of them with the same kit= and without subset=",
    )
    found += _of_words(
        "target",
        {name: file.target for name, file in files.items()},
        "score all of them against the same references (reference_dataset= chooses among those "
        "of a file)",
    )
    found += _of_references(files)
    found += _of_words(
        "matrices",
        {name: ", ".join(file.matrices) for name, file in files.items()},
        "score all of them against references of the same size",
    )
    found += _of_volumes(files)
    found += _of_regions(files)
    tasks = differing_facts(origins, MUST_AGREE)
    found += [Mismatch(fact, told, RECONSTRUCT[fact]) for fact, told in tasks.items()]
    others = differing_facts(origins, (*SHOULD_AGREE, "versions"))
    found += [Mismatch(fact, told, grave=False) for fact, told in others.items()]
    scored = {name: file.versions for name, file in files.items()}
    found += _of_words("versions of what scored", scored, "", grave=False)
    found += _of_words("protocol", {name: f.protocol for name, f in files.items()}, "", grave=False)
    return found + _unchecked(files, origins)


def refuse(found: Sequence[Mismatch], allowed: Sequence[str]) -> list[str]:
    """Refuse scores that would mislead in one table; returns what is to be warned of.

    Args:
        found: What files differ in.
        allowed: Fields that may differ; the name of a metric, as in ``metrics.ssim``, and
            ``metrics`` stand for all of their settings.

    Raises:
        ConfigError: When there is no such field, or others differ.
    """
    fields = dict.fromkeys([*FIELDS, *(one.field for one in found if one.grave)])
    for name in allowed:
        if name not in fields and name.split(".")[0] != "metrics":
            raise ConfigError(f"--allow: there is no field {name}; there are {', '.join(fields)}")
    grave = [one for one in found if one.grave and not _allowed(one.field, allowed)]
    if grave:
        lines = [
            f"  {one.sentence}; {one.remedy}, or --allow {one.field} to compare nevertheless"
            for one in grave
        ]
        raise ConfigError("\n".join(["scores that would mislead in one table:", *lines]))
    return [one.sentence + (" (allowed)" if one.grave else "") for one in found]


def _allowed(field: str, allowed: Sequence[str]) -> bool:
    return any(field == name or field.startswith(f"{name}.") for name in allowed)


def _of_settings(files: Mapping[str, Scored]) -> list[Mismatch]:
    """Compare the settings of the protocol, and of the metrics that all files have."""
    common = set.intersection(*(set(file.infos) for file in files.values()))
    names = dict.fromkeys(name for file in files.values() for name in file.settings)
    found = []
    for name in names:
        if name.startswith("metrics.") and name.split(".")[1] not in common:
            continue
        told = {label: file.settings.get(name, "") for label, file in files.items()}
        found += _of_words(name, told, "evaluate all of them with the same protocol= and metrics=")
    return found


def _of_words(
    field: str, told: Mapping[str, str], remedy: str, grave: bool = True
) -> list[Mismatch]:
    """Compare what files tell of a field; nothing told differs from nothing."""
    values = {label: value for label, value in told.items() if value}
    if len(set(values.values())) < 2:
        return []
    shown = zip(values, shown_apart(list(values.values())), strict=True)
    each = "; ".join(f"{label}: {value}" for label, value in shown)
    return [Mismatch(field, f"{field} differs: {each}", remedy, grave)]


def _of_references(files: Mapping[str, Scored]) -> list[Mismatch]:
    told = {label: file.references for label, file in files.items() if file.references}
    if len(told) < 2:
        return []
    common = sorted(set.intersection(*map(set, told.values())))
    (first, own), *others = told.items()
    for label, theirs in others:
        differing = [name for name in common if not _same(own[name], theirs[name])]
        if differing:
            name = differing[0]
            return [Mismatch(
                "references",
                f"references differs: {len(differing)} of {len(common)} volumes have other "
                f"reference images, as {name}: norm and centre {first} {_shown(own[name])}; "
                f"{label} {_shown(theirs[name])}",
                "score all of them against the same references",
            )]  # fmt: skip
    return []


def _same(one: Signature, other: Signature) -> bool:
    near = all(
        math.isclose(a, b, abs_tol=SAME_REFERENCE) for a, b in zip(one[1:], other[1:], strict=True)
    )
    return near and math.isclose(one[0], other[0], rel_tol=SAME_REFERENCE)


def _shown(told: Signature) -> str:
    return f"{told[0]:.6g} at ({', '.join(f'{place:.5f}' for place in told[1:])})"


def _of_volumes(files: Mapping[str, Scored]) -> list[Mismatch]:
    """Compare which volumes were scored."""
    common = set.intersection(*(file.volumes for file in files.values()))
    more = {label: sorted(file.volumes - common) for label, file in files.items()}
    if not any(more.values()):
        return []
    each = "; ".join(
        f"{label} {len(names)} others" + (f", as {names[0]}" if names else "")
        for label, names in more.items()
    )
    return [Mismatch(
        "volumes", f"volumes differs: {len(common)} are in all files; {each}",
        "evaluate all of them on the same volumes",
    )]  # fmt: skip


def _of_regions(files: Mapping[str, Scored]) -> list[Mismatch]:
    """Compare the voxels of the regions that have the same label in all files."""
    labels = set.intersection(*({s.region for s in file.scores} for file in files.values())) - {""}
    volumes = set.intersection(*(file.volumes for file in files.values()))
    places = sorted({
        (s.volume, s.region) for file in files.values() for s in file.scores
        if s.region in labels and s.volume in volumes
    })  # fmt: skip
    scored = {label: {(s.volume, s.region) for s in file.scores} for label, file in files.items()}
    for place in places:
        told = {
            label: str(file.regions.get(place, "some")) if place in scored[label] else "no"
            for label, file in files.items()
        }
        if len(set(told.values()) - {"some"}) > 1 or ("no" in told.values()):
            each = "; ".join(f"{label} {voxels} voxels" for label, voxels in told.items())
            return [Mismatch(
                "regions", f"regions differs: {place[1]} of {place[0]} has other voxels: {each}",
                "evaluate all of them with the same regions=",
            )]  # fmt: skip
    return []


def _unchecked(
    files: Mapping[str, Scored], origins: Mapping[str, Mapping[str, Origin]]
) -> list[Mismatch]:
    """Tell what could not be compared."""
    found = [
        Mismatch(
            "untold",
            f"{label} does not tell {', '.join(file.untold)}, as older files do not: this was not "
            "compared; evaluate again to be sure",
            grave=False,
        )
        for label, file in files.items()
        if file.untold
    ]
    silent = [
        method
        for method, own in origins.items()
        if not any(known(one.acceleration) for one in own.values())
    ]
    if silent:
        found.append(Mismatch(
            "untold",
            f"the volumes of {', '.join(silent)} do not tell how they were made, so that sampling "
            "and raw data could not be compared",
            grave=False,
        ))  # fmt: skip
    return found
