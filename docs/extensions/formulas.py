"""Formulas are MathML in the pages, which browsers show without a script and without a network."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

LOG = getLogger(__name__)
# what the converter leaves as it is, and a character that is in few fonts
SHOWN = {
    r"\arg": "arg", r"\|": "\N{DOUBLE VERTICAL LINE}", r"\{": "{", r"\}": "}",
    "&#x029F5;": "\N{SET MINUS}",
}  # fmt: skip


def mathml(formula: str, block: bool = False) -> str:
    r"""Return a formula of LaTeX as an element of MathML.

    Args:
        formula: Formula as in a docstring; in a block, ``\\`` begins a line and ``&`` aligns.
        block: Whether it stands on lines of its own.

    Raises:
        ValueError: A command of the formula is not known.
    """
    text = " ".join(formula.split())
    if block and r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{align*}}{text}\end{{align*}}"
    try:
        made = convert(text, display="block" if block else "inline")
    except Exception as error:
        raise ValueError(f"{formula!r}: {type(error).__name__} {error}") from error
    made = re.sub(r"(?<=>)[^<]+(?=<)", lambda found: SHOWN.get(found[0], found[0]), made)
    if unknown := re.findall(r"\\\w*", made):
        raise ValueError(f"{' '.join(unknown)}: no MathML for this in the formula {formula!r}")
    return made


def _convert(_: Sphinx, page: nodes.document, __: str) -> None:
    for node in page.findall(lambda node: isinstance(node, nodes.math | nodes.math_block)):
        try:
            node["mathml"] = mathml(node.astext(), isinstance(node, nodes.math_block))
        except ValueError as error:
            LOG.warning("%s", error, location=node)


def _write_inline(page: HTML5Translator, node: nodes.math) -> None:
    page.body.append(node["mathml"])
    raise nodes.SkipNode


def _write_block(page: HTML5Translator, node: nodes.math_block) -> None:
    page.body += [page.starttag(node, "div", CLASS="math"), node["mathml"], "</div>\n"]
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the way to write formulas, which comes before the script that Sphinx would load."""
    app.connect("doctree-resolved", _convert)
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
