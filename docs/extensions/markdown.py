"""Pieces of Markdown pages."""

import re
from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """Return a text as it stands in one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Return a text as code in a cell of a table; nothing for an empty one."""
    return f"`{cell(text)}`" if str(text) else ""


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; cells are Markdown already."""
    lines = [titles, ["---"] * len(titles), *([cell(one) for one in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def of_docstring(text: str) -> str:
    """Return the text of a docstring, whose formulas and references are written in another way."""
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)


def contents(names: Iterable[str]) -> str:
    """Return the hidden table of contents of a folder."""
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```", ""])
