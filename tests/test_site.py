"""The documentation site builds without a warning; only ``make docs`` executes its gallery."""

import re
import runpy

import pytest
import yaml

from mrirecon.cli import COMMANDS
from mrirecon.files import conf_folder
from tests.commands import run
from tests.pages import DOCS

GALLERY = sorted(DOCS.glob("gallery/[0-9]*.md"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What Sphinx says of the site; the builder resolves every reference and writes no HTML."""
    folder = tmp_path_factory.mktemp("site")
    options = [
        "-b",
        "dummy",
        "-q",
        "--fail-on-warning",
        "--keep-going",
        "-D",
        "nb_execution_mode=off",
    ]
    return run("-m", "sphinx", *options, DOCS, folder, folder=DOCS.parent)


def test_the_site_builds_without_a_warning(built):
    assert built.returncode == 0, built.stderr


@pytest.mark.usefixtures("built")
def test_reference_tells_every_command_and_choice():
    assert {page.stem for page in DOCS.glob("reference/commands/*.md")} == {*COMMANDS, "index"}
    for file in conf_folder().glob("*/*.yaml"):
        if file.parent.name != "hydra":
            page = DOCS / "reference" / "configuration" / f"{file.parent.name}.md"
            assert f"\n## {file.stem}\n" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("built")
def test_reference_tells_defaults_of_files_and_signatures():
    page = (DOCS / "reference" / "configuration" / "sampling.md").read_text(encoding="utf-8")
    table = page.partition("\n## equispaced\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S*) \|", table, re.MULTILINE))
    assert (rows["acceleration"], rows["acs"], rows["center_fraction"]) == (
        "`4`",
        "`null`",
        "`0.08`",
    )


def test_formulas_are_mathml_or_refused():
    mathml = runpy.run_path(str(DOCS / "extensions" / "formulas.py"))["mathml"]
    assert re.search(r"<mi>arg</mi>.*<msup>.*‖", mathml(r"\arg\min_x \Big\|Ax - y\Big\|^2"))
    assert mathml(r"a &= b \\ c &= d", block=True).count("<mtr>") == 2
    with pytest.raises(ValueError, match=r"\\nosuch: no MathML"):
        mathml(r"\nosuch x")


def test_every_page_of_the_gallery_has_a_card():
    listed = (DOCS / "gallery" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^\d\w+$", listed, re.MULTILINE) == [page.stem for page in GALLERY]


@pytest.mark.parametrize("page", GALLERY, ids=lambda page: page.stem)
def test_gallery_pages_say_in_a_sentence_what_they_show(page):
    _, front, text = page.read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["file_format"] == "mystnb"
    assert re.match(r"\n# [^\n]+\n\n[A-Z`*]", text)
    assert "```{code-cell}" in text
