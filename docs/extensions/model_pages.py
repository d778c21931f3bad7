"""The list of learned weights that are known by name, and the cards of those in the package."""

from collections.abc import Iterator
from pathlib import Path

from markdown import code, table
from places import ROOT

from mrirecon.weights.registry import entries

FOLDER = Path("models")


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the list and the cards."""
    cards = sorted((ROOT / "mrirecon" / "weights").glob("*.md"))
    rows = [
        (code(one.name), one.about, code(f"model={one.method}"), one.licence, one.data)
        for one in entries().values()
    ]
    listed = table(("name", "", "method", "licence", "learned from"), rows)
    links = ", ".join(f"[{card.stem}]({card.stem}.md)" for card in cards)
    text = (
        "# Models\n\nLearned weights that are known by name: `mrirecon models NAME` tells all about"
        " one, `mrirecon models fetch NAME` fetches it, `checkpoint=zoo:NAME` uses it. Cards of"
        f" those that come with the package: {links}."
    )
    tree = "\n".join(["```{toctree}", ":hidden:", "", *(card.stem for card in cards), "```"])
    yield FOLDER / "index.md", f"{text}\n\n{listed}\n{tree}\n"
    for card in cards:
        yield FOLDER / card.name, card.read_text(encoding="utf-8")
