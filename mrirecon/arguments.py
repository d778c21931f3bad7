"""Checks of the numbers that constructors are given."""

from collections.abc import Sequence


def check_at_least(least: float, **values: float | Sequence[float]) -> None:
    """Raise ValueError, with its name, if a value or one of several is smaller, or not a number."""
    for name, value in values.items():
        for number in value if isinstance(value, Sequence) else [value]:
            if not number >= least:
                raise ValueError(f"{name} must be at least {least:g}, got {value}")


def check_at_most(most: float, **values: float) -> None:
    """Raise ValueError, with its name, if a value is larger, or not a number."""
    for name, value in values.items():
        if not value <= most:
            raise ValueError(f"{name} must be at most {most:g}, got {value}")


def check_not_negative(**values: float) -> None:
    """Raise ValueError, with its name, if a value is negative, or not a number."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")
