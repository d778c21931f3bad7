"""Pages that run as they stand: for Python, and for those who come from other programs."""

import re
import shlex
from pathlib import Path

import pytest

from tests.commands import mrirecon

PAGES = Path(__file__).parents[1] / "docs/how-to"
BLOCK = re.compile(r"```(bash|python)\n(.*?)```", re.DOTALL)
"""What is ours; lines of other programs stand in blocks of another kind."""


@pytest.mark.parametrize(
    "page", ["from-fastmri", "from-direct", "from-bart", "from-sigpy", "use-from-python"]
)
def test_lines_of_the_page_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((PAGES / f"{page}.md").read_text(encoding="utf-8"))
    assert {kind for kind, _ in blocks} == {"bash", "python"}
    names = {}
    for kind, text in blocks:
        if kind == "python":
            exec(text, names)
            continue
        for line in text.replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line, comments=True)
            assert program == "mrirecon", line
            mrirecon(*words, folder=tmp_path)
