"""Peak memory of transforms and CG-SENSE along trajectories.

``python benchmarks/noncartesian_memory.py [case]``

Whoever is timed by ``noncartesian.py`` runs once in a process of its own, on one thread; counted is
the largest resident memory beyond that of the process with the data, with all that has to be set up
for a new trajectory. CG-SENSE takes ``STEPS`` steps. BART's program holds its data itself and is
left out; bartorch is the same code.
"""

import subprocess
import sys

import torch
from memory import measured
from noncartesian import made, solvers, transforms
from table import MemoryRow, publish

STEPS, WEIGHT = 10, 1e-2
WHAT = ("forward", "adjoint", "cg_sense")
PEERS = ("torchkbnufft", "sigpy", "bartorch")


def peak(case: str, what: str, who: str) -> float | None:
    """Return the peak in MB; None where a peer is not installed or has no such function."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        problem = made(case)
        if what == "cg_sense":
            solve = solvers(problem, 1).get(who)
            return solve and measured(lambda: solve(WEIGHT, STEPS))
        both = transforms(problem, 1).get(who)
        return both and measured(both[WHAT.index(what)])


def apart(case: str, what: str, who: str) -> float | None:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "peak", case, what, who]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    last = told.split()[-1]
    return None if last == "None" else float(last)


def main() -> None:
    if sys.argv[1:2] == ["peak"]:
        print(peak(*sys.argv[2:]))
        return
    rows = []
    for kind in ("spokes", "arms"):
        case = f"{sys.argv[1] if len(sys.argv) > 1 else 'b16'} {kind}"
        for what in WHAT:
            ours = apart(case, what, "ours")
            assert ours is not None
            for peer in PEERS:
                if (theirs := apart(case, what, peer)) is not None:
                    name = f"{case} {what} memory"
                    rows.append(MemoryRow(name, ours, peer, theirs, theirs / ours))
    publish("noncartesian", rows)


if __name__ == "__main__":
    main()
