"""Pseudonyms of patients: the same wherever a patient is met, and nothing but that."""

import hashlib
import re
from collections.abc import Iterable

_PATIENT = re.compile(r"patient-[0-9a-f]{16}")


def pseudonym(fingerprint: str) -> str:
    """Return a name that tells one scan's patient from another's, and nothing else."""
    return f"anonymous-{fingerprint[:12] or 'unknown'}"


def patient_pseudonym(subject: str) -> str:
    """Return a pseudonym of a patient that is the same in every file, for files to be kept.

    A pseudonym stays what it is, so that packed and unpacked scans of one patient are known to be.
    It is a digest of the id: who has a list of ids can find the one it was made of.
    """
    if _PATIENT.fullmatch(subject):
        return subject
    digest = hashlib.sha256(subject.encode("utf-8", "surrogateescape"))
    return f"patient-{digest.hexdigest()[:16]}"


def patients(subjects: Iterable[str | None]) -> dict[str, str]:
    """Return what files call their patients, by pseudonym; an id rather than a pseudonym."""
    told = sorted({one for one in subjects if one}, key=lambda one: not _PATIENT.fullmatch(one))
    return {patient_pseudonym(subject): subject for subject in told}
