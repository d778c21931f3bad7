"""Starts `mrirecon serve` with the options of the YAML beside it.

    python start.py [KEY=VALUE ...]    further words of `mrirecon serve`, which come last
    python start.py --words            only tells the words
    python start.py --probe            asks whether the server answers; the health check

The probe needs none of the packages that compute, so that it costs next to nothing.
"""

import os
import shlex
import socket
import struct
import sys

from options import read_options

CONFIG_FILE, CLOSE = 1, 4
SECONDS = 10
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "GOMP_SPINCOUNT": "0"}
"""Threads that have nothing to do must not keep the scanner's processor busy."""


def main() -> None:
    """Start the server, or probe one."""
    options, given = read_options(), sys.argv[1:]
    words = [*options.words, *given]
    if given == ["--probe"]:
        probe(int(options.settings["port"]))
    elif given == ["--words"]:
        sys.stdout.write(shlex.join(options.words) + "\n")
    else:
        for name, value in {"OMP_NUM_THREADS": str(options.needs.cores), **PASSIVE}.items():
            os.environ.setdefault(name, value)
        os.execv(sys.executable, [sys.executable, "-m", "mrirecon.cli", "serve", *words])


def probe(port: int) -> None:
    """Send what a scanner sends to see whether somebody is there; end in failure if nobody is."""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            connection.sendall(struct.pack("<H1024sH", CONFIG_FILE, b"default", CLOSE))
            answer = connection.recv(2, socket.MSG_WAITALL)
    except OSError as error:
        sys.exit(f"port {port}: {error}")
    if answer != struct.pack("<H", CLOSE):
        sys.exit(f"port {port}: expected a CLOSE message, got {answer!r}")


if __name__ == "__main__":
    main()
