"""Predicted and measured peak memory of methods: python benchmarks/memory.py [CASE ...].

Each case has two processes of its own, on one thread of the CPU. The method reconstructs a slice,
or takes two steps of training (the second has the state of the optimizer), and the largest resident
memory beyond that of the process with weights and data is read from Linux. In the first process
the C library maps every block by itself and gives it back at once: what is measured is what tensors
and the libraries use, the same in every run. In the second it works as usual, and keeps holes
between blocks, which differ from run to run. Both are then predicted from small problems, as
``mrirecon inspect FILE model=NAME`` and ``mrirecon train`` do; those tell the second. Maps are
estimated from 24 central lines; R = 4. The table is written to ``results/memory.json``.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from recon_cases import CASES as SIZES, case
from table import RESULTS
from varnet import status

from mrirecon.config import build
from mrirecon.files import conf_folder
from mrirecon.footprint.heap import LIBRARIES
from mrirecon.footprint.need import Need
from mrirecon.footprint.predicted import of_imaging, of_training
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.callbacks.recompute_activations import recompute
from mrirecon.training.objectives.base import Supervised
from mrirecon.types import Sample

IMAGING = (
    "cg_sense", "l1_wavelet", "total_variation", "spirit", "grappa", "soft_sense", "varnet", "modl",
)  # fmt: skip
TRAINING = ("varnet", "modl", "unet", "ista_net", "cascade_net")
RECOMPUTED = ("varnet",)
MB = 2**20


@dataclass(frozen=True)
class Result:
    """One case: MB beyond weights and data, and the CPU seconds that a prediction takes.

    ``used`` is what tensors and libraries use, ``resident`` is with the holes of the heap.
    """

    case: str
    size: str
    predicted_used_mb: float
    used_mb: float
    predicted_resident_mb: float
    resident_mb: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """One process: MB at the peak, the prediction with and without holes, and its CPU seconds."""

    peak: float
    used: float
    resident: float
    seconds: float


def cases() -> dict[str, tuple[str, str, bool]]:
    """Return model, size and whether activations are recomputed, by name."""
    found = {f"{name} imaging": (name, "b16", False) for name in IMAGING}
    found |= {f"{name} training": (name, "a8", False) for name in TRAINING}
    return found | {f"{name} recomputed training": (name, "a8", True) for name in RECOMPUTED}


def built(name: str) -> Reconstructor:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("train", overrides=[f"model={name}"])
    return build(config.model, Reconstructor, "model")


def measured(run: Callable[[], object]) -> float:
    """Return the peak beyond what there is, in MB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what making the data has left would be used again
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    run()
    return status("VmHWM") - before


def image(model: Reconstructor, sample: Sample) -> None:
    with torch.inference_mode():
        model(sample)


def steps(model: Reconstructor, sample: Sample) -> None:
    objective, optimizer = Supervised(), torch.optim.Adam(model.parameters())
    for _ in range(2):
        loss = objective(model, sample)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def alone(name: str) -> Measured:
    model_name, size, recomputed = cases()[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = built(model_name)
    known = case(size)
    h, w = SIZES[size][1:]
    target = known.truth.abs()[None]
    sample = known.sample.replace(maps=None, acs=torch.tensor([[h, 24]]), target=target)
    del known
    need: Callable[[], Need]
    if name.endswith("imaging"):
        need = partial(of_imaging, model, sample, (h, w))
        found = measured(partial(image, model.eval(), sample))
    else:
        prepare = recompute if recomputed else None
        need = partial(of_training, model, Supervised(), torch.optim.Adam, sample, prepare=prepare)
        trained = built(model_name).train()
        if recomputed:
            recompute(trained)
        found = measured(partial(steps, trained, sample))
    started = time.process_time()
    predicted = need()
    seconds = time.process_time() - started
    used = predicted.beyond - predicted.heap + LIBRARIES
    return Measured(found, used / MB, predicted.beyond / MB, seconds)


def in_process(name: str, **environment: str) -> Measured:
    """Measure in a process of its own.

    Raises:
        RuntimeError: When that process fails; the message is its last line.
    """
    command = [sys.executable, __file__, "--alone", name]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [""])[-1][:120])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def one(name: str) -> Result:
    """Measure a case in both ways."""
    mapped = in_process(name, MALLOC_MMAP_THRESHOLD_="65536")
    usual = in_process(name)
    coils, h, w = SIZES[cases()[name][1]]
    size = f"{coils} x {h} x {w}"
    seconds = min(mapped.seconds, usual.seconds)
    return Result(name, size, mapped.used, mapped.peak, usual.resident, usual.peak, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Predicted and measured peak memory.")
    parser.add_argument("cases", nargs="*", help="parts of their names; all without")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(asdict(alone(options.alone))))
        return
    path, rows = RESULTS / "memory.json", {}
    if path.exists():
        rows = {row["case"]: row for row in json.loads(path.read_text())}
    print(f"{'case':<28}{'size':<16}{'used':>8}{'predicted':>11}{'resident':>11}{'predicted':>11}")
    for name in cases():
        if options.cases and not any(part in name for part in options.cases):
            continue
        try:
            row = one(name)
        except RuntimeError as error:
            print(f"{name:<28}failed: {error}")
            continue
        print(
            f"{row.case:<28}{row.size:<16}{row.used_mb:>5.0f} MB"
            f"{row.predicted_used_mb / row.used_mb:>11.2f}{row.resident_mb:>8.0f} MB"
            f"{row.predicted_resident_mb / row.resident_mb:>11.2f}",
            flush=True,
        )
        rows[name] = asdict(row)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(list(rows.values()), indent=1) + "\n")


if __name__ == "__main__":
    main()
