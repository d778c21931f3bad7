"""Patients that several folders share, by what the headers say."""

from collections.abc import Iterator, Mapping, Sequence

from mrirecon.audit.finding import Finding, Kind, Level
from mrirecon.pseudonyms import patient_pseudonym, patients
from mrirecon.scan import ScanHeader

SHARED = Kind(
    "shared patient",
    "Folders that are splits share a patient, so that a method is tested on a person that it was "
    "trained on, and scores better than on others.",
    "Split anew by patient: mrirecon split.",
)
UNKNOWN = Kind(
    "unknown patients",
    "Files tell no patient, so that headers cannot show whether splits share people.",
    "Compare the list of patients that came with the data; images were compared here.",
)


def find(folders: Mapping[str, Sequence[tuple[str, ScanHeader]]]) -> Iterator[Finding]:
    """Compare the patients of all folders.

    Args:
        folders: Names and headers of the files of each folder.
    """
    seen: dict[str, dict[str, str]] = {}
    named = {
        folder: patients(header.subject for _, header in files) for folder, files in folders.items()
    }
    for folder, files in folders.items():
        for name, header in files:
            if header.subject:
                seen.setdefault(patient_pseudonym(header.subject), {}).setdefault(folder, name)
    for patient, where in seen.items():
        if len(where) > 1:
            yield Finding(
                SHARED,
                Level.PROBLEM,
                tuple(where.values()),
                (),
                f"{patient} is in {' and in '.join(where)}.",
            )
    for folder, files in folders.items():
        without = [name for name, header in files if not header.subject]
        if without and len(named) > 1:
            yield Finding(
                UNKNOWN, Level.NOTE, (without[0],), (),
                f"{len(without)} of {len(files)} files in {folder} tell no patient.",
            )  # fmt: skip
