"""Forks into a command of mrirecon for each client, with its imports done.

Each fork is a process of its own, and goes on and ends as the program does. The server ends when
its standard input does, which is a pipe from the build of the site.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import socket
import sys
from pathlib import Path

from mrirecon import cli

IMPORTS = ("pytorch_lightning", "matplotlib.backends.backend_agg", "nibabel", "pydicom", "sigpy")


def main(path: str) -> None:
    """Serve; in a fork, run the command of a client."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("listening", flush=True)  # noqa: T201
        for name in (*(f"mrirecon.commands.{command}" for command in cli.COMMANDS), *IMPORTS):
            importlib.import_module(name)
        gc.freeze()  # what is loaded stays, so forks need not look through it when they end
        client = _accepted(listening)
    if client:
        _become(client)
        cli.main()


def _accepted(listening: socket.socket) -> socket.socket | None:
    """Return a client, in a fork that is for it alone; None when there will be no more."""
    while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [], 1)[0]):
        with contextlib.suppress(ChildProcessError):  # there may be none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if ready:
            client, _ = listening.accept()
            if os.fork() == 0:
                return client
            client.close()
    return None


def _become(client: socket.socket) -> None:
    """Return as the command, in a fork of this process, which tells the client how it has ended."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client, client.makefile() as asked:
        request = json.load(asked)
        process = os.fork()
        if process:
            for stream in streams:
                os.close(stream)
            client.sendall(f"{process}\n".encode())
            _, status = os.waitpid(process, 0)
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # as Python itself does when it starts
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["mrirecon", *request["words"]]


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    main(sys.argv[1])
