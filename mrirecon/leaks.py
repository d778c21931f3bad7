"""Methods that have learned from the patients whose scans are to judge them."""

from collections.abc import Sequence

from mrirecon.errors import ConfigError

SHOWN = 5
"""Scans of which a message names so many."""


def refuse_seen(method: str, seen: Sequence[str], instead: str) -> None:
    """Refuse a method that has learned from somebody's scans.

    Args:
        method: Name of the method.
        seen: Names of the scans of patients that it has learned from; nothing is refused when
            there are none.
        instead: What to do about it, in words.

    Raises:
        ConfigError: When there are any.
    """
    if seen:
        more = f" and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
        raise ConfigError(
            f"{method} has learned from the patients of {', '.join(seen[:SHOWN])}{more}, so its "
            f"scores would be too good; {instead}, or add allow_leak=true"
        )
