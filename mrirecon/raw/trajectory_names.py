"""Trajectories that a file does not hold, by the name that a user gives them."""

import re

_TINY = re.compile(r"tiny_golden_([1-9]\d{0,3})")
NAMES = ("radial", "radial_360", "golden", "tiny_golden_N")
"""Diameters turned evenly over half a turn or a whole one, or by a (tiny) golden angle each."""
NAMED = "reading.trajectory=" + "|".join(NAMES)
ASK = f"say where its samples lie with reading.trajectory=FILE, or {NAMED}"
"""What helps with spokes whose places are not stored."""


def is_name(text: str) -> bool:
    """Tell whether a text names a trajectory, and not a file."""
    return text in NAMES[:-1] or _TINY.fullmatch(text) is not None


def tiny_number(name: str) -> int:
    """Return which tiny golden angle a name means; 1, the golden angle, for other names."""
    tiny = _TINY.fullmatch(name)
    return int(tiny[1]) if tiny else 1
