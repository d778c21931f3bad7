"""What files tell beside their images: who was scanned, and how the images were made."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

from mrirecon.evaluation.origin import (
    MUST_AGREE,
    SHOULD_AGREE,
    Origin,
    disagreements,
    read_origin,
)
from mrirecon.evaluation.scoring import Case


@dataclass(frozen=True)
class Makings:
    """How the volumes of all methods were made, and whose they are.

    Attributes:
        origins: Origin of every volume of every method, by method and volume.
        patients: Patient of each volume, where its reference or a reconstruction tells one.
    """

    origins: dict[str, dict[str, Origin]]
    patients: dict[str, str]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Makings":
        """Read what the files tell; images are not read.

        Raises:
            RawDataError: When a file cannot be read.
        """
        origins: dict[str, dict[str, Origin]] = {}
        patients = {}
        for case in cases:
            own = {method: read_origin(path) for method, path in case.images.items()}
            for method, origin in own.items():
                origins.setdefault(method, {})[case.name] = origin
            told = [read_origin(case.reference), *own.values()]
            if patient := next((one.patient for one in told if one.patient), ""):
                patients[case.name] = patient
        return cls(origins, patients)

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
        }


def common(origins: list[Origin]) -> dict[str, object]:
    """Return each fact: its value where all volumes agree, else the range or their number."""
    found: dict[str, object] = {}
    for field in fields(Origin):
        if field.name in ("patient", "fingerprint"):
            continue
        values = [getattr(one, field.name) for one in origins]
        if len(set(values)) == 1:
            found[field.name] = values[0]
        elif isinstance(values[0], float):
            found[field.name] = {"least": min(values), "largest": max(values)}
        else:
            found[field.name] = f"{len(set(values))} different ones"
    return found
