"""Parts of an HTML page. Plain strings are escaped; what is HTML already is :class:`Text`."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from mrirecon.figures.drawing import png_of
from mrirecon.files import Kind, atomic, mark, stamped
from mrirecon.pages.style import STYLE

Pairs = Iterable[tuple[str, str]]
FINE, COARSE = 150, 100
"""Pixels per inch of pictures, and of the page: fine screens show more than one per pixel."""
NARROW = 220
"""Pixels across of the narrowest caption."""
FOOTER = "Research reconstruction, not for diagnostic use."


class Text(str):
    """HTML, to be put into a page as it is."""

    __slots__ = ()


def html(text: str) -> Text:
    """Return text as HTML: escaped unless it is :class:`Text`."""
    return text if isinstance(text, Text) else Text(escape(text))


def document(
    heading: str,
    subtitle: str,
    parts: Sequence[str],
    kind: Kind,
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
    footer: str = FOOTER,
) -> Text:
    """Return a page, with a mark to be stamped.

    Args:
        heading: Heading of the page.
        subtitle: Line below the heading.
        parts: Sections of the page; empty ones are left out.
        kind: Kind of output that the page is.
        title: Title of the window; the heading when empty.
        facts: Names and values for programs that read the page.
        footer: Line at the end of the page.
    """
    top = Text(f"<header><h1>{html(heading)}</h1><p>{html(subtitle)}</p></header>")
    body = "\n".join(html(part) for part in (top, *parts) if part)
    told = "".join(
        f'<meta name="{escape(name)}" content="{escape(value)}">'
        for name, value in (facts or {}).items()
    )
    return Text(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<meta name="generator" content="{mark(kind)}">'
        f'{told}<meta name="color-scheme" content="dark">'
        f"<title>{html(title or heading)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        f"{body}\n<footer>{html(footer)}</footer>\n</main></body></html>\n"
    )


def written(path: Path, page: Text, kind: Kind, *, overwrite: bool = False) -> None:
    """Write a page of :func:`document`.

    Raises:
        OutputError: When the file may not be replaced, or cannot be written.
    """
    with atomic(path, kind, overwrite=overwrite) as temporary:
        temporary.write_bytes(stamped(page.encode(), kind))


def section(title: str, content: str, style: str = "") -> Text:
    """Return a section; ``style`` is a class of :mod:`mrirecon.pages.style`."""
    named = f' class="{escape(style)}"' if style else ""
    return Text(f"<section{named}><h2>{html(title)}</h2>{html(content)}</section>")


def table(rows: Pairs) -> Text:
    """Return a table of what and value; rows without a value are left out."""
    cells = "".join(f"<tr><th>{html(a)}</th><td>{html(b)}</td></tr>" for a, b in rows if b)
    return Text(f"<table>{cells}</table>")


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Text:
    """Return a table with a head and as many columns as it has."""
    top = "".join(f"<th>{html(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{html(one)}</td>' for one in row)}</tr>" for row in rows)
    return Text(f'<table class="grid"><tr>{top}</tr>{body}</table>')


def wide(content: str, style: str = "") -> Text:
    """Return a table of many columns, which scrolls sideways where it is too wide for the window.

    Args:
        content: Table of :func:`grid`.
        style: Further class of :mod:`mrirecon.pages.style`.
    """
    return Text(f'<div class="{escape(f"wide {style}".rstrip())}">{html(content)}</div>')


def columns(*parts: str) -> Text:
    """Return parts side by side where there is room."""
    return Text(f'<div class="columns">{"".join(html(part) for part in parts)}</div>')


def picture(figure: Figure, caption: str) -> Text:
    """Return a figure as a picture inside the page, with its caption."""
    data = png_of(figure, FINE, margin=0.02)
    width = int.from_bytes(data[16:20], "big") * COARSE // FINE  # where PNG keeps it
    told, source = escape(caption.strip()), base64.b64encode(data).decode()
    return Text(
        f'<figure style="width: {max(width, NARROW)}px">'
        f'<img alt="{told}" style="width: {width}px" src="data:image/png;base64,{source}">'
        f"<figcaption>{told}</figcaption></figure>"
    )
