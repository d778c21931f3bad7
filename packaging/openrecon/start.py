"""Starts `mrirecon serve` with the options of the YAML beside it.

    python start.py [KEY=VALUE ...]    further words of `mrirecon serve`, which come last
    python start.py --words            only tells the words
    python start.py --probe            asks whether the server answers; the health check

The probe needs none of the packages that compute, so that it costs next to nothing.
"""

import os
import shlex
import sys

from options import read_options

from mrirecon.errors import MriReconError
from mrirecon.serving.probe import probe

SECONDS = 10.0


def main() -> None:
    """Start the server, or probe one."""
    options, given = read_options(), sys.argv[1:]
    words = [*options.words, *given]
    if given == ["--probe"]:
        try:
            probe("127.0.0.1", options.settings["port"], SECONDS)
        except MriReconError as error:
            sys.exit(str(error))
    elif given == ["--words"]:
        sys.stdout.write(shlex.join(options.words) + "\n")
    else:
        os.environ.setdefault("OMP_NUM_THREADS", str(options.needs.cores))
        os.execv(sys.executable, [sys.executable, "-m", "mrirecon.cli", "serve", *words])


if __name__ == "__main__":
    main()
