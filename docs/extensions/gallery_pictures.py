"""Directive ``gallery``: cards of notebook pages, each with the last picture that its cells made.

The pictures exist only after the pages were executed, so cards refer to files that are copied when
the site has been written; without execution the cards have a title and a text.
"""

import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PICTURE = re.compile(r'<img [^>]*src="\.\./(_images/[^"]+\.(?:png|jpg|svg))"')


class Gallery(SphinxDirective):
    """Cards of the pages that the content names, one a line, in the folder of this page."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a grid of cards and the hidden table of contents."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        names = [line.strip() for line in self.content if line.strip()]
        lines = ["::::{grid} 1 2 3 3", ":gutter: 2", ""]
        for name in names:
            title, text = _begins_with((folder / f"{name}.md").read_text(encoding="utf-8"))
            lines += [f":::{{grid-item-card}} {title}", f":link: {name}", ":link-type: doc", ""]
            if self.env.config.nb_execution_mode != "off":
                lines += [
                    "```{raw} html",
                    f'<div class="gallery-picture"><img src="../_images/card_{name}.png" alt=""'
                    ' loading="lazy"></div>',
                    "```",
                ]
            lines += [text, ":::", ""]
        lines += ["::::", "", "```{toctree}", ":hidden:", "", *names, "```"]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=False)


def _begins_with(page: str) -> tuple[str, str]:
    """Return the title of a page and the first sentence below it."""
    found = re.search(r"^# (.+)\n+([^\n]+)", page, re.MULTILINE)
    if not found:
        raise ValueError(
            "a page of the gallery begins with '# Title', an empty line and a sentence"
        )
    return found[1], re.split(r"(?<=[.:]) ", found[2])[0].rstrip(":") if found[2] else ""


def copy_pictures(app: Sphinx, exception: Exception | None) -> None:
    """Copy the last picture of each page of the gallery to the file that its card shows."""
    if exception or app.builder.format != "html" or app.config.nb_execution_mode == "off":
        return
    site = Path(app.outdir)
    for page in sorted((site / "gallery").glob("[0-9]*.html")):
        pictures = PICTURE.findall(page.read_text(encoding="utf-8"))
        if not pictures:
            raise ValueError(f"{page}: a page of the gallery ends with a picture; found none")
        shutil.copyfile(site / pictures[-1], site / "_images" / f"card_{page.stem}.png")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("gallery", Gallery)
    app.connect("build-finished", copy_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
