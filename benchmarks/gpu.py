"""Everything that is worth knowing about a GPU, in eight minutes: python benchmarks/gpu.py.

Five parts: whether every model and every estimator of coil sensitivities computes on the GPU what
it computes on the CPU, and how far bf16 and TF32 move it (``gpu_parity.py`` tells the tolerance);
training step, inference and memory of VarNet beside fastMRI's (``varnet.py``); slices per second of
ESPIRiT and CG-SENSE beside the CPU; slices per second of whole methods (``gpu_speed.py``); data and
steps of training, compiled, as a CUDA graph, with and without workers (``gpu_training.py``).

Each part has a time budget and runs in a process of its own, which is started anew when a model
brings it down, so that what fails is a row that says why, and all others are measured. Rows are
printed as they come and written to ``results/gpu_NAME.json``, NAME being that of the device. The
exit status is 1 when anything failed, differed or found no time.

``--device cpu --quick`` runs all of it at toy size, to see that it works. The comparison with
fastMRI needs it: pip install --no-deps fastmri==0.3.0 && pip install pandas requests; with
``--target peers`` they can be taken to a machine without network, with PYTHONPATH=peers.
Methods along spokes need cufinufft on a GPU: pip install cufinufft.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gpu_parity
import gpu_speed
import gpu_training
import torch
from models import processor
from table import RESULTS

from mrirecon.versions import versions

Rows = list[Any]
BUSY = 3  # how much longer toys may take, where other work may be going on
STICKY = "CUDA error"  # after which nothing can be computed in the same process


@dataclass(frozen=True)
class Section:
    """A part of the benchmark: items, and what measures one of them."""

    title: str
    budget_s: float
    head: str
    items: Callable[["Size"], list[str]]
    measure: Callable[[str, str, "Size"], Rows]


@dataclass(frozen=True)
class Size:
    """How large the problems are."""

    parity: tuple[int, int]
    steps: int
    varnet: tuple[str, ...]
    slices: tuple[str, ...]
    method: str
    repeats: int
    batch: int
    steady: int


FULL = Size((96, 80), 2, ("a8", "c15"), ("a8", "b16"), "a8", 5, 16, 20)
QUICK = Size((48, 40), 1, ("small",), ("small",), "small", 1, 2, 2)
SECTIONS = {
    "parity": Section(
        "the same as on the CPU, relative", 175, gpu_parity.HEAD,
        lambda _: gpu_parity.cases(),
        lambda item, device, size: gpu_parity.measured(item, device, size.parity, size.steps),
    ),
    "varnet": Section(
        "VarNet beside fastMRI's", 80, gpu_speed.BESIDE_HEAD,
        lambda size: gpu_speed.varnet_cases(size.varnet),
        lambda item, device, size: gpu_speed.varnet_rows(item, device, size.repeats),
    ),
    "classical": Section(
        "ESPIRiT and CG-SENSE with given maps, slices per second", 40, gpu_speed.HEAD,
        lambda size: [
            f"{what} {name}" for what in ("espirit", "cg_sense", "radial") for name in size.slices
        ],
        lambda item, device, size: gpu_speed.classical_rows(
            item, device, size.repeats, size.batch
        ),
    ),
    "methods": Section(
        "whole methods with their maps, slices per second", 60, gpu_speed.HEAD,
        lambda _: gpu_speed.methods(),
        lambda item, device, size: gpu_speed.method_rows(
            item, size.method, device, size.repeats, size.batch
        ),
    ),
    "training": Section(
        "training of VarNet, slices and steps per second", 115, gpu_training.HEAD,
        lambda _: list(gpu_training.ITEMS),
        lambda item, device, size: gpu_training.rows(item, device, size.method, size.steady),
    ),
}  # fmt: skip


@dataclass
class Outcome:
    """What a section found; ``failures`` say of an item why it has no row, or a wrong one."""

    section: str
    budget_s: float
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Checks and times everything on a GPU.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--items", nargs="+", help="only these of the sections' items")
    parser.add_argument("--budget", type=float, help="seconds for each section")
    parser.add_argument("--output", type=Path, help="JSON; results/gpu_NAME.json without")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(name: str, items: list[str], options: argparse.Namespace) -> Outcome:
    """Run a section, in as many processes as it takes."""
    section = SECTIONS[name]
    usual = section.budget_s * (BUSY if options.quick else 1)
    budget = usual if options.budget is None else options.budget
    outcome, started, left = Outcome(name, budget), time.monotonic(), list(items)
    print(f"\n{section.title} (at most {budget:.0f} s)\n{section.head}", flush=True)
    while left:
        remaining = budget - (time.monotonic() - started)
        if remaining <= 0:
            note(outcome, dict.fromkeys(left, "not run: the time of the section was over"))
            break
        for found in child(name, left, options, remaining):
            left.remove(found["item"])
            outcome.rows += found["rows"]
            print(*found["lines"], sep="\n", end="\n" * bool(found["lines"]), flush=True)
            note(outcome, {found["item"]: found["failure"]} if found["failure"] else {})
    outcome.seconds = time.monotonic() - started
    return outcome


def note(outcome: Outcome, failures: dict[str, str]) -> None:
    outcome.failures |= failures
    for item, why in failures.items():
        print(f"{item:<28}FAILED: {why}", flush=True)


def child(
    name: str, items: list[str], options: argparse.Namespace, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield what a process finds of these items, until the first that it does not survive."""
    command = [sys.executable, __file__, "--child", "--device", options.device]
    command += ["--sections", name, "--items", *items] + ["--quick"] * options.quick
    with tempfile.TemporaryFile("w+") as said:
        late, reported = threading.Event(), []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process:
            timer = threading.Timer(seconds, lambda: (late.set(), process.kill()))
            timer.start()
            assert process.stdout is not None
            for line in process.stdout:
                found = json.loads(line)
                reported.append(found["item"])
                yield found
        timer.cancel()
        rest = [item for item in items if item not in reported]
        if rest and (late.is_set() or not reported or process.returncode != STOPPED):
            said.seek(0)
            last = (said.read().strip().splitlines() or [f"status {process.returncode}"])[-1]
            why = f"took longer than the {seconds:.0f} s that were left" if late.is_set() else last
            yield {"item": rest[0], "rows": [], "lines": [], "failure": why[:300]}


STOPPED = 3  # status of a process that reported its last item and wants a new one for the rest


def report(name: str, options: argparse.Namespace) -> None:
    """Measure items in this process and print a line of JSON for each."""
    if options.quick:
        torch.set_num_threads(1)  # the machine may be busy, and toys are too small for more
    for item in options.items:
        failure, rows = "", []
        try:
            rows = SECTIONS[name].measure(item, options.device, QUICK if options.quick else FULL)
        except Exception as error:  # noqa: BLE001 - whatever a device may not know
            traceback.print_exc()
            failure = f"{type(error).__name__}: {' '.join(str(error).split())[:250]}"
        failure = failure or "; ".join(dict.fromkeys(row.failure for row in rows if row.failure))
        found = {"item": item, "rows": [asdict(row) for row in rows],
                 "lines": [row.line() for row in rows], "failure": failure}  # fmt: skip
        print(json.dumps(found), flush=True)
        if STICKY in failure:
            sys.exit(STOPPED)
        if options.device != "cpu":
            torch.cuda.empty_cache()


def device_name(device: str) -> str:
    return processor() if device == "cpu" else torch.cuda.get_device_name(device)


def main() -> None:
    options = arguments()
    if options.child:
        report(options.sections[0], options)
        return
    if options.device != "cpu" and not torch.cuda.is_available():
        sys.exit(f"--device {options.device}: torch finds no GPU; --device cpu --quick needs none")
    name, started = device_name(options.device), time.monotonic()
    short = "cpu" if options.device == "cpu" else re.sub(r"\W+", "_", name).strip("_").lower()
    path = options.output or RESULTS / f"gpu_{short}{'_quick' * options.quick}.json"
    print(f"{name}, {', '.join(versions())}", flush=True)
    outcomes = []
    for section in options.sections:
        items = SECTIONS[section].items(QUICK if options.quick else FULL)
        items = [item for item in items if options.items is None or item in options.items]
        outcomes.append(run(section, items, options))
        content = {"device": name, "versions": versions(), "quick": options.quick,
                   "sections": [asdict(outcome) for outcome in outcomes]}  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")
    failed = sum(len(outcome.failures) for outcome in outcomes)
    print(f"\n{failed} failed, {time.monotonic() - started:.0f} s; wrote {path}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
