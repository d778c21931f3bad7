"""What docstrings and pages refer to exists."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.pages import PAGES

ROOT = Path(__file__).resolve().parents[1]
ROLE = re.compile(r":(?:mod|func|class|meth|attr|data|exc|obj):`~?([\w.]+)`")
DOTTED = re.compile(r"(?<!:)`(mrirecon(?:\.\w+)+)`")
FILE = re.compile(r"`(?:mrirecon/)?((?:\w+/)+(?:\w+\.(?:py|ipynb))?)`")
SOURCES = [
    path.relative_to(ROOT)
    for folder in ("mrirecon", "tests", "benchmarks", "data_scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "test_docs.py"  # holds docstrings of classes that do not exist
]
EXAMPLES = {"reconstructors/classical/landweber.py"}
"""Files of the README's guide, which the reader writes."""


def exists(path):
    """Whether a dotted path leads to a module or to something in one."""
    names = path.split(".")
    for count in range(len(names), 0, -1):
        try:
            found = importlib.import_module(".".join(names[:count]))
        except ImportError:
            continue
        for name in names[count:]:
            if not hasattr(found, name):  # a field without a default is told by its annotation
                of_classes = [vars(one) for one in getattr(found, "__mro__", ())]
                told = [members.get("__annotations__", {}) for members in of_classes]
                return name == names[-1] and any(name in fields for fields in told)
            found = getattr(found, name)
        return True
    return False


def defined(tree):
    """Every name that a file defines or imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def dangling(file, text):
    """References of a source file that lead nowhere, each with its line."""
    found = [*ROLE.finditer(text), *DOTTED.finditer(text)]
    here = set(defined(ast.parse(text))) if found else set()
    module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    for one in found:
        names = one[1].split(".")
        path = f"{module}.{one[1]}" if names[0] in here else one[1]
        if not (here.issuperset(names) or (len(names) > 1 and exists(path))):
            yield f"{file}:{text.count(chr(10), 0, one.start()) + 1}: {one[1]}"


def test_references_in_docstrings_lead_somewhere():
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in SOURCES}
    assert sum(len(ROLE.findall(text)) for text in texts.values()) > 150
    assert [one for file, text in texts.items() for one in dangling(file, text)] == []


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("mrirecon.scan.ScanHeader", True),
        ("mrirecon.scan.ScanHeader.affine", True),
        ("mrirecon.scan.ScanHeader.matrix", True),  # a field without a default
        ("mrirecon.scan.ScanHeader.matrix.rows", False),
        ("mrirecon.scan.ScanHeaders", False),
        ("mrirecon.reading.Reading", False),
        ("sample", True),
        ("Sample", False),
    ],
)
def test_a_reference_is_followed_to_its_end(target, found):
    lines = ['"""See', f":obj:`{target}`", '"""', "def sample(): ..."]
    expected = [] if found else [f"mrirecon/new.py:2: {target}"]
    assert list(dangling(Path("mrirecon/new.py"), "\n".join(lines))) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_what_is_there(page):
    text = page.read_text(encoding="utf-8")
    wrong = [name for name in DOTTED.findall(text) if not exists(name)]
    wrong += [
        name
        for name in set(FILE.findall(text)) - EXAMPLES
        if not any((place / name).exists() for place in (ROOT, ROOT / "mrirecon"))
    ]
    assert wrong == []
