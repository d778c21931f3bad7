"""What a report tells of the kit that it is about."""

from collections.abc import Mapping
from typing import Any

from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.task import Task
from mrirecon.kits.anchors import beside
from mrirecon.kits.kit import Kit, NamedKit
from mrirecon.kits.patterns import NAME

TARGETS = {
    "file": "the reconstruction that the raw file brings",
    "fully_sampled": "root-sum-of-squares of all samples of the scan, noise included",
    "noise_free": "simulated: root-sum-of-squares of what a scanner without noise would have seen",
}


def task(named: NamedKit, evaluated: Evaluated) -> Task:
    """Return the task of an evaluation, with its standing beside published scores."""
    kit, scored = named.kit, len(evaluated.volumes)
    whole = scored == kit.cases
    found = beside(evaluated, kit.anchors if whole else ())
    return Task(
        named.name, kit.version, named.checksum, scored, kit.cases, tuple(rows(named)),
        found.table, remarks(kit, scored), found.warnings,
    )  # fmt: skip


def remarks(kit: Kit, scored: int) -> tuple[str, ...]:
    """Tell whether published scores can be compared with."""
    if scored < kit.cases:
        return (
            f"Published scores do not apply: these are the first {scored} of {kit.cases} cases.",
        )
    if not kit.anchors:
        return ("No published scores are known for exactly these cases.",)
    return ()


def rows(named: NamedKit) -> list[tuple[str, str]]:
    """Return the facts of a kit: what and value."""
    kit = named.kit
    found = [
        ("kit", f"{named.name}, version {kit.version}, checksum {named.checksum}"),
        ("about", named.about),
    ]
    if kit.files:
        found += [
            ("data", kit.files.title),
            ("from", kit.files.source),
            ("split", kit.files.split),
            ("patients", kit.files.patients),
        ]
    found += [("cases", ", ".join(_cases(kit))), ("target", TARGETS[kit.target])]
    found += [("samples", text) for text in samples(kit)]
    data = "data=FOLDER " if kit.files else ""
    command = f"mrirecon benchmark kit={named.name} {data}model=[NAME,NAME] output=FOLDER"
    found += [("protocol", kit.protocol), ("command", command)]
    return found + [("note", note) for note in kit.notes]


def samples(kit: Kit) -> list[str]:
    """Tell which samples are kept, a line for each kind."""
    if kit.sampling is not None:
        return [f"{_pattern(kit.sampling)}; one mask for each scan, seeded by its name"]
    return [
        f"people {one.first} to {one.first + one.count - 1}: {'/'.join(one.contrasts)}, "
        f"{one.matrix[0]} x {one.matrix[1]}, {one.slices} slices, {one.coils} coils, SNR "
        f"{one.snr:g}; {_pattern(one.sampling)}, seeded by name"
        for one in kit.simulated
    ]


def _cases(kit: Kit) -> list[str]:
    people = [f"{kit.cases} simulated people, one scan each"]
    return [f"{kit.cases} scans"] if kit.files else people


def _pattern(told: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in told.items() if key != NAME)
    return f"{told[NAME]}({settings})"
