"""Commands of notebook cells begin with their imports done, which take longer than most of them.

A command ``mrirecon`` that comes first on ``PATH`` hands its words, folder, environment and
standard streams to :mod:`command_server`, of which it becomes a fork.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
_folder = tempfile.TemporaryDirectory(prefix="commands")  # removed at exit


def start() -> subprocess.Popen[bytes]:
    """Put the command on the path and start the server, which ends when its input does."""
    folder = Path(_folder.name)
    command, address = folder / "mrirecon", folder / "socket"
    client = HERE / "command_client.py"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{client}" "{address}" "$@"\n')
    command.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, str(HERE / "command_server.py"), str(address)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()  # it listens
    return process


def _start(app: Sphinx) -> None:
    if app.config.nb_execution_mode != "off":
        server = start()
        app.connect("build-finished", lambda *_: server.communicate())


def setup(app: Sphinx) -> dict[str, bool]:
    """Start the server before pages are read."""
    app.connect("builder-inited", _start)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
