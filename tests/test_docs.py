"""Docstrings: every argument and attribute is told in a phrase that stands on its own."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "mrirecon"
SECTIONS = ("Args:", "Attributes:", "Returns:")
WORDS = (
    "about above across after along also among as at because before below beside between but by "
    "for from here if in into its like likewise nor not of on one's only onto or over per since "
    "so than that their then there these they this those through to under unless until when "
    "where which while who whose with within without he it she"
)
FRAGMENTS = frozenset(WORDS.split())
"""First words of a text that goes on with a noun that is not there: "seed: Of the run."."""
FEWEST = 3
"""Words that a text has at the least: "echo_time: ms." does not say what it is."""
NAME = re.compile(r"(\*{0,2}\w[\w, *]*?)(?: \([^)]*\))?:(?:\s+(.*)|$)")


@dataclass
class Entry:
    """One argument, attribute or result of a docstring, with the first line of its text."""

    line: int
    name: str
    text: str

    @property
    def fault(self) -> str:
        """What is wrong with the text; empty when nothing is."""
        word = re.match(r"\W*([\w']*)", self.text)
        if word and word[1].lower() in FRAGMENTS:
            return f"begins with '{word[1]}'"
        if self.text.startswith(":math:"):
            return "begins with a formula"
        return "has less than three words" if len(self.text.split()) < FEWEST else ""


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of a module and the lines where they begin."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                text = first.value.value
                if isinstance(text, str):
                    yield first.lineno, text


def entries(source: str) -> Iterator[Entry]:
    """Yield what the sections of all docstrings list."""
    for start, text in docstrings(source):
        section, outer, inner = "", 0, 0
        entry: Entry | None = None
        for number, line in enumerate(text.split("\n"), start=start):
            indent, line = len(line) - len(line.lstrip()), line.strip()
            if line in SECTIONS:
                section, outer, inner = line, indent, 0
            elif line and section and indent <= outer:
                section = ""
            elif line and section:
                begins = not inner or (section != "Returns:" and indent == inner)
                inner = inner or indent
                if not begins and entry:
                    entry.text = f"{entry.text} {line}".strip()
                    continue
                if entry:
                    yield entry
                named = NAME.match(line) if section != "Returns:" else None
                entry = Entry(number, *(named.groups("") if named else ("returns", line)))
        if entry:
            yield entry


def faults(listed: Iterable[Entry]) -> list[tuple[int, str, str]]:
    """Return line, name and fault of the entries that have one."""
    return [(one.line, one.name, one.fault) for one in listed if one.fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Of the first byte.", "begins with 'Of'"),
        ("As for :class:`Mwcnn`.", "begins with 'As'"),
        ("That of the data set, in or below which the file lies.", "begins with 'That'"),
        ("Its standard deviation per real component.", "begins with 'Its'"),
        ("Where k-space begins.", "begins with 'Where'"),
        ("ms.", "has less than three words"),
        (r":math:`\lambda`, as in CG-SENSE.", "begins with a formula"),
        (r"Weight :math:`\lambda` of the penalty.", ""),
        ("Place of the\n            first byte.", ""),
        ("Number of coils.", ""),
    ],
)
@pytest.mark.parametrize("section", ["Args", "Attributes"])
def test_a_fragment_is_found(section: str, text: str, fault: str) -> None:
    lines = ["def f(a, b):", '    r"""Do something.', "", f"    {section}:",
             f"        a: {text}", "        b (int): Number of slices.", "",
             "    Raises:", "        ValueError: When the slices are none.", '    """']  # fmt: skip
    found = list(entries("\n".join(lines)))
    assert faults(found) == ([(5, "a", fault)] if fault else [])
    assert [one.name for one in found] == ["a", "b"]


def test_a_fragment_of_a_result_is_found() -> None:
    text = 'def f():\n    """Return it.\n\n    Returns:\n        {}\n        more: of it.\n    """'
    assert faults(entries(text.format("From elsewhere."))) == [(5, "returns", "begins with 'From'")]
    assert faults(entries(text.format("The path."))) == []


def test_entries_of_docstrings_stand_on_their_own() -> None:
    """An entry says what the argument is: "Seed of the run.", not "Of the run."."""
    found, count = [], 0
    for path in sorted(ROOT.rglob("*.py")):
        listed = list(entries(path.read_text(encoding="utf-8")))
        count += len(listed)
        place = f"mrirecon/{path.relative_to(ROOT)}"
        found += [f"{place}:{line}: {name} {fault}" for line, name, fault in faults(listed)]
    assert count > 1000, "the sections of docstrings are not found any more"
    assert not found, (
        "\n" + "\n".join(found) + "\nBegin with a noun: what the argument is, its shape or unit, "
        "and what its default means."
    )
