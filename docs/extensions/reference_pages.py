"""Writes the pages of the reference below ``docs/reference/`` before Sphinx reads them.

They are made of signatures, docstrings, YAML files and results, so that they cannot tell anything
else than the program does. A page is written only when its text has changed.
"""

from collections.abc import Iterator
from pathlib import Path

import command_pages
import configuration_pages
import model_pages
import python_pages
import result_pages
from places import ROOT
from sphinx.application import Sphinx
from sphinx.config import Config

REFERENCE = ROOT / "docs" / "reference"
SOURCES = (command_pages, configuration_pages, python_pages, result_pages, model_pages)


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the path below ``docs/reference/`` and the text of every page."""
    for source in SOURCES:
        yield from source.pages()


def write(_app: Sphinx, _config: Config) -> None:
    """Write the pages that have changed, and remove those that are made no more."""
    made = {REFERENCE / path: text for path, text in pages()}
    folders = {path.parent for path in made}
    for page in (page for folder in folders for page in folder.glob("*.md")):
        if page not in made:
            page.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before Sphinx looks for pages."""
    app.connect("config-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
