"""Text as DICOM's value representations take it (PS3.5, 6.2)."""

import re

from mrirecon.privacy import clean


def long_string(text: str, limit: int = 64) -> str:
    """Return text for LO, SH, ST and LT: on one line, and without backslashes.

    A backslash separates values, so that a path or a name with one would become several.
    """
    return " ".join(clean(text).replace("\\", "/").split())[:limit].strip()


def person_name(text: str) -> str:
    """Return text as a name of one component: ``^`` and ``=`` separate its parts."""
    return long_string(re.sub(r"[\^=]", " ", text))


def code_string(text: str) -> str:
    """Return text for CS: up to 16 capitals, digits, blanks and underscores."""
    return re.sub(r"[^A-Z0-9 _]", "", text.upper())[:16].strip()
