"""Commands in processes of their own, forked from one that has imported the program already.

Importing takes longer than most commands do. What concerns starting, signals and streams is tested
with processes that begin from nothing.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRELOADED = [
    "mrirecon.cli", "mrirecon.api", "matplotlib.backends.backend_agg",
    *(f"mrirecon.{room}.{file.stem}" for room in ("commands", "writers")
      for file in ROOT.glob(f"mrirecon/{room}/[a-z]*.py")),
]  # fmt: skip
PROGRAM = "mrirecon"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    output: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.output.decode()


@contextlib.contextmanager
def started(*words, folder, given=b""):
    """Start ``mrirecon`` with these words, a script if the first is its path, or ``-m`` a module.

    Yields the process, and what waits for its end. What is ``given`` comes through a pipe.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as streams:
        paths = [str(Path(streams) / name) for name in ("in", "out", "err")]
        os.mkfifo(paths[0])
        arguments = ([str(word) for word in words], str(folder), paths, dict(os.environ))
        process = context.Process(target=_command, args=arguments)

        def done() -> Done:
            process.join()
            output, told = (Path(path).read_bytes() for path in paths[1:])
            return Done(process.exitcode, output, told.decode())

        process.start()
        Path(paths[0]).write_bytes(given)
        try:
            yield process, done
        finally:
            process.kill()  # if the test did not wait for it
            process.join()


def run(*words, folder, given=b"") -> Done:
    """Run what :func:`started` starts to its end."""
    with started(*words, folder=folder, given=given) as (_, done):
        return done()


def mrirecon(*arguments, folder, fails=False) -> str:
    """Run a command; returns what it prints, or what it says when it ``fails`` as it should."""
    done = run(*arguments, folder=folder)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr if fails else done.stdout


def _command(words, folder, paths, environment):
    """Run in the new process: what a shell would have prepared, then the command."""
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    for number, path in enumerate(paths):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, "w" if number else "r", encoding="utf-8") for number in range(3)
    )
    os.chdir(folder)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0].endswith(".py"):
        sys.argv, sys.orig_argv = words, [sys.executable, *words]
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.argv = [PROGRAM, *words]
        sys.orig_argv = [sys.executable, "-m", "mrirecon.cli", *words]
        from mrirecon import cli

        cli.main()
