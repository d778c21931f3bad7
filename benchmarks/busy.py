"""A machine that others use: python benchmarks/busy.py [BUSY ...] (default 0 4 8 processes).

Processes of its own keep the processors busy. Beside them, a reconstruction (CG-SENSE, 2 slices of
8 coils, 256 x 256) and 3 steps of training (a U-Net at 128 x 128) run as in a command of mrirecon
(``ours``: threads wait briefly and give way), and with threads that spin as is the libraries'
default, in turns. What takes longer than a minute is given up.
``work as_set CPUS`` measures once with what the environment tells (``GOMP_SPINCOUNT``).
The fair share is the time beside nobody, times the threads and busy processes that there are for
each processor. ``8 threads, 1 CPU`` compares one thread with eight that are bound to one processor.
``quota of 1 CPU`` compares the threads that mrirecon chooses with eight, all of which may run on
every processor and together use the time of one, as in a container: it needs the right to make a
control group, and is left out without.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mrirecon.threads import THREADS, WAITING

RESULTS = Path(__file__).parent / "results" / "busy.json"
ROUNDS, REPEATS, CPUS = 3, 3, 2
SPIN, STOP = "while True: pass", 60.0
WARM = 1.5
"""Seconds until the threads have been adapted."""


@dataclass(frozen=True)
class Measured:
    """Medians in seconds; ``load`` is that of the machine before, all of it by others.

    ``spinning`` is None where it was given up.
    """

    case: str
    work: str
    busy: int
    ours: float
    spinning: float | None
    fair: float
    load: float


@contextmanager
def others(count: int) -> Iterator[None]:
    """Keep processors busy with so many processes."""
    running = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def quota(cpus: int) -> Iterator[Path | None]:
    """Make a control group that may use the time of so many processors; None where none can be."""
    tree = Path("/sys/fs/cgroup")
    old = tree / "cpu" / "cpu.cfs_quota_us"  # of version 1
    group = (old.parent if old.parent.is_dir() else tree) / f"busy-{os.getpid()}"
    try:
        group.mkdir()
        if old.parent.is_dir():
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text(str(100000 * cpus))
        else:
            (group / "cpu.max").write_text(f"{100000 * cpus} 100000")
    except OSError as error:
        print(f"no quota: {error}")
        if group.is_dir():
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()


def in_a_process(
    spinning: bool, threads: int | None, cpus: int, group: Path | None = None
) -> dict[str, float] | None:
    """Return the seconds of each work, measured in a process of its own; None if it took too long.

    Args:
        spinning: Whether threads wait as is the libraries' default.
        threads: Number of them; None takes what mrirecon chooses.
        cpus: Number of processors that they may run on.
        group: Control group of the process; None for that of this one.
    """
    kept = {name: value for name, value in os.environ.items() if name not in (*WAITING, THREADS)}
    environment = kept if threads is None else {**kept, THREADS: str(threads)}
    words = [sys.executable, __file__, "work", "spinning" if spinning else "ours", str(cpus)]
    if group:
        words = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), *words]
    try:
        done = subprocess.run(words, env=environment, capture_output=True, check=True, timeout=STOP)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout)


def work(spinning: bool, cpus: int) -> dict[str, float]:
    """Return the median seconds of each work."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    for name in WAITING:
        if spinning:  # importing this script has imported mrirecon, which had them set
            os.environ.pop(name, None)
    import torch
    from models import sample_of

    from mrirecon import sharing
    from mrirecon.networks import Unet
    from mrirecon.reconstructors.classical.cg_sense import CgSense
    from mrirecon.sensitivity import GivenMaps

    if not spinning:
        sharing.begin(lambda note: print(note, file=sys.stderr))
    torch.manual_seed(0)
    sample, method = sample_of(8, 256, 256, 0), CgSense(GivenMaps(), iterations=15)
    network, images = Unet(2, 2, channels=16, pools=3), torch.randn(1, 2, 128, 128)
    optimizer = torch.optim.Adam(network.parameters())

    def reconstruction() -> None:
        for _ in range(2):
            sharing.give_way("cpu")
            method(sample)

    def training() -> None:
        for _ in range(3):
            sharing.give_way("cpu")
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()

    found = {}
    for function in (reconstruction, training):
        started = time.perf_counter()
        while time.perf_counter() - started < WARM:
            function()
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
        found[function.__name__] = statistics.median(times)
    return found


def measured(
    case: str, busy: int, threads: tuple[int | None, int], cpus: int, group: Path | None = None
) -> list[Measured]:
    """Measure both ways to wait in turns.

    Args:
        case: Name of the case.
        busy: Number of busy processes beside.
        threads: Number of threads of mrirecon, and of what it is compared with.
        cpus: Number of processors that they may run on.
        group: Control group in which they run; None for none.
    """
    load = os.getloadavg()[0]
    ours: list[dict[str, float]] = []
    spinning: list[dict[str, float]] | None = []
    with others(busy):
        for _ in range(ROUNDS):
            found = in_a_process(False, threads[0], cpus, group)
            if found is None:
                sys.exit(f"{case}, {busy} busy: ours took longer than {STOP:.0f} s")
            ours.append(found)
            other = None if spinning is None else in_a_process(True, threads[1], cpus, group)
            spinning = None if spinning is None or other is None else [*spinning, other]

    def median(rounds: list[dict[str, float]], name: str) -> float:
        return statistics.median(one[name] for one in rounds)

    return [
        Measured(case, name, busy, median(ours, name),
                 None if spinning is None else median(spinning, name), fair=0.0, load=load)
        for name in ours[0]
    ]  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["work"]:
        print(json.dumps(work(sys.argv[2] == "spinning", int(sys.argv[3]))))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # busy processes end with this one
    rows: list[Measured] = []
    alone: dict[str, float] = {}
    print(f"{'case':<18}{'work':<16}{'busy':>5}{'ours':>10}{'spinning':>10}{'fair':>8}{'load':>6}")
    for busy in [int(word) for word in sys.argv[1:]] or [0, 4, 8]:
        for row in measured(f"{CPUS} threads", busy, (None, CPUS), CPUS):
            alone.setdefault(row.work, min(row.ours, row.spinning or row.ours))
            rows.append(told(row, alone[row.work] * (CPUS + busy) / CPUS))
    for row in measured("8 threads, 1 CPU", 0, (1, 8), 1):
        rows.append(told(row, CPUS * alone[row.work]))
    with quota(1) as group:
        for row in measured("quota of 1 CPU", 0, (None, 8), CPUS, group) if group else ():
            rows.append(told(row, CPUS * alone[row.work]))
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def told(row: Measured, fair: float) -> Measured:
    """Print a row with its fair share."""
    spinning = f"> {STOP:.0f}" if row.spinning is None else f"{row.spinning:.2f}"
    print(
        f"{row.case:<18}{row.work:<16}{row.busy:>5}{row.ours:>8.2f} s{spinning:>8} s"
        f"{fair:>6.2f} s{row.load:>6.1f}",
        flush=True,
    )
    return replace(row, fair=fair)


if __name__ == "__main__":
    main()
