"""Numbers of things in words."""


def counted(count: int, what: str) -> str:
    """Return a number of things in words: "1 slice", "2 slices"."""
    return f"{count} {what}{'s' * (count != 1)}"
