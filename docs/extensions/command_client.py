"""Asks :mod:`command_server` for a command and ends as it does; it imports nothing that is slow."""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Return the exit status of the command that ran with the streams of this process."""
    path, *words = sys.argv[1:]
    request = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as server, server.makefile() as answers:
        server.connect(path)
        socket.send_fds(server, [b"0"], [0, 1, 2])
        server.sendall(json.dumps(request).encode())
        server.shutdown(socket.SHUT_WR)
        process = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(process, number))
        return int(answers.readline())


if __name__ == "__main__":
    sys.exit(main())
