"""Self-contained HTML pages: no scripts, no links, pictures inside; everything is escaped."""

from mrirecon.pages.page import (
    Pairs,
    Text,
    columns,
    document,
    grid,
    html,
    picture,
    section,
    table,
    wide,
    written,
)

__all__ = [
    "Pairs",
    "Text",
    "columns",
    "document",
    "grid",
    "html",
    "picture",
    "section",
    "table",
    "wide",
    "written",
]
