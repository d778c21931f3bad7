"""Cells of notebooks draw no progress bars, of which a page would show every step.

Programs draw none on a dumb terminal, but ipykernel claims another one. So cells begin with a
profile of IPython that says so once more; that of whoever builds the site is not read.
"""

import os
import tempfile
from pathlib import Path

from sphinx.application import Sphinx

_folder = tempfile.TemporaryDirectory(prefix="ipython")  # removed at exit


def profile() -> str:
    """Return the folder of a profile whose cells see a dumb terminal."""
    startup = Path(_folder.name) / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "dumb.py").write_text('__import__("os").environ["TERM"] = "dumb"\n')
    return _folder.name


def setup(_: Sphinx) -> dict[str, bool]:
    """Let the kernels of this build use the profile."""
    os.environ["IPYTHONDIR"] = profile()
    return {"parallel_read_safe": True, "parallel_write_safe": True}
