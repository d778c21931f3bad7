"""What files tell beside their images: who was scanned, and how the images were made."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from mrirecon.evaluation.origins.origin import (
    MAY_VARY,
    MUST_AGREE,
    SHOULD_AGREE,
    Origin,
    disagreements,
    read_origin,
)
from mrirecon.evaluation.scores.scoring import Case
from mrirecon.leaks import refuse_seen
from mrirecon.pseudonyms import patient_pseudonym

SEVERAL = "different ones"
_SEVERAL = re.compile(rf"\d+ {SEVERAL}")


@dataclass(frozen=True)
class Makings:
    """How the volumes of all methods were made, and whose they are.

    Attributes:
        origins: Origin of every volume of every method, by method and volume.
        patients: Patient of each volume, where its reference or a reconstruction tells one.
        references: Origin of the reference of every volume.
    """

    origins: dict[str, dict[str, Origin]]
    patients: dict[str, str]
    references: dict[str, Origin] = field(default_factory=dict)

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Makings":
        """Read what the files tell; images are not read.

        Raises:
            RawDataError: When a file cannot be read.
        """
        origins: dict[str, dict[str, Origin]] = {}
        patients, references = {}, {}
        for case in cases:
            own = {method: read_origin(path) for method, path in case.images.items()}
            for method, origin in own.items():
                origins.setdefault(method, {})[case.name] = origin
            references[case.name] = read_origin(case.reference)
            told = [references[case.name], *own.values()]
            if patient := next((one.patient for one in told if one.patient), ""):
                patients[case.name] = patient
        return cls(origins, patients, references)

    def refuse_leaks(self) -> None:
        """Refuse scores of methods that have learned from the patients they are scored on.

        Raises:
            ConfigError: When a volume tells so.
        """
        for method, own in self.origins.items():
            seen = [volume for volume, origin in own.items() if origin.seen]
            refuse_seen(method, seen, "take other patients")

    def warnings(self) -> list[str]:
        """Tell where methods were given different tasks, or differ in more than the method."""
        tasks = disagreements(self.origins, MUST_AGREE)
        others = disagreements(self.origins, SHOULD_AGREE)
        return [
            *(
                f"{told}. The methods had different tasks, so scores tell more of these"
                for told in tasks
            ),
            *(f"{told}. Not the methods alone differ" for told in others),
        ]

    def facts(self) -> dict[str, object]:
        """Return what is known of the volumes and of each method, for a report."""
        names = sorted({volume for own in self.origins.values() for volume in own})
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        return {
            "volumes": len(names),
            "files": digest,
            "patients": len({self.patients.get(name, name) for name in names}),
            "methods": {method: common(list(own.values())) for method, own in self.origins.items()},
            "target": target(self.references.values()),
            "patient_of": {name: patient_pseudonym(p) for name, p in self.patients.items()},
            "varying": {method: _varying(own) for method, own in self.origins.items()},
        }


def common(origins: list[Origin]) -> dict[str, object]:
    """Return each fact: its value where all volumes agree, else the range or their number."""
    found: dict[str, object] = {}
    for fact in fields(Origin):
        if fact.name in ("patient", "fingerprint"):
            continue
        values = [getattr(one, fact.name) for one in origins]
        if len(set(values)) == 1:
            found[fact.name] = values[0]
        elif isinstance(values[0], float):
            found[fact.name] = {"least": min(values), "largest": max(values)}
        else:
            found[fact.name] = f"{len(set(values))} {SEVERAL}"
    return found


def _varying(own: Mapping[str, Origin]) -> dict[str, dict[str, object]]:
    """Return the facts that differ between volumes, or tell them apart, of every volume."""
    found = {}
    for name in MAY_VARY:
        values = {volume: getattr(origin, name) for volume, origin in own.items()}
        if len(set(values.values())) > 1 or name == "fingerprint":
            found[name] = values
    return found


def stored_origins(
    made: Mapping[str, Any], volumes: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Origin]]:
    """Return, as far as :meth:`Makings.facts` tells, how every volume was made.

    Args:
        made: What an evaluation has stored of them.
        volumes: Names of the volumes of each method.
    """
    found: dict[str, dict[str, Origin]] = {}
    for method, names in volumes.items():
        told, varying = made["methods"][method], made.get("varying", {}).get(method, {})
        same = {
            name: told[name]
            for name in MAY_VARY
            if name in told and name not in varying and not _summarised(told[name])
        }
        found[method] = {
            volume: _origin({**same, **{name: each[volume] for name, each in varying.items()}})
            for volume in names
        }
    return found


def _origin(told: Mapping[str, Any]) -> Origin:
    """Return the facts of a volume as they were before JSON."""
    facts: dict[str, Any] = {
        n: tuple(value) if isinstance(value, list) else value for n, value in told.items()
    }
    return Origin(**facts)


def _summarised(value: object) -> bool:
    """Tell whether a fact stands for several, of which an older file does not tell each."""
    several = isinstance(value, str) and _SEVERAL.fullmatch(value)
    return bool(several) or isinstance(value, dict)


def target(references: Iterable[Origin]) -> str:
    """Return how references were made, in words; empty where their files do not tell."""
    told = {
        one.method + (f" with combination {one.combination}" if one.combination else "")
        for one in references
        if one.method
    }
    return " and ".join(sorted(told))
