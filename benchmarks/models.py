"""Speed and memory of every learned model: python benchmarks/models.py [options].

Each model is built from its conf/model/*.yaml, on the GPU if there is one, else on the CPU, where
the slice is smaller by default. ``inference`` is a forward pass in evaluation, ``step`` forward, L1
loss, backward and Adam; medians, in slices per second of a batch of one. ``GB`` is the peak of a
training step: on a GPU all that PyTorch had allocated, on a CPU what the process took over what
model, optimizer and data hold. Every model runs in a process of its own; one that fails, for
instance for lack of memory, has a row that says so. The input is noise on equispaced lines, which
does not matter to the time; maps are given where a model does not learn them.

``NAME one GPU`` is the smaller size that the comment in NAME.yaml states.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from table import RESULTS
from torch import Tensor
from varnet import status

from mrirecon.config import build
from mrirecon.files import conf_folder
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sensitivity.base import unit_norm
from mrirecon.training.callbacks.recompute_activations import recompute
from mrirecon.types import Sample

ONE_GPU = {
    "promptmr": [
        "++model.iterations=8", "++model.context=1", "++model.body.channels=[32,48,64,80]",
        "++model.body.prompt_channels=[16,32,48]", "++model.body.history=7",
    ],
    "sdum": [
        "++model.context=1", "++model.body.channels=24", "++model.body.blocks=[2,3,3,4]",
        "++model.body.refinement=2",
    ],
}  # fmt: skip
SMALLER = " one GPU"
ACCELERATION, ACS = 4, 24
GIB = 2**30


@dataclass(frozen=True)
class Result:
    """One model in one setting; ``failure`` tells why numbers are missing."""

    model: str
    setting: str
    device: str
    parameters: int | None = None
    inference_per_s: float | None = None
    step_per_s: float | None = None
    peak_gb: float | None = None
    failure: str = ""


def arguments() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description="Speed and memory of every learned model.")
    parser.add_argument("models", nargs="*", help="names in conf/model; all learned ones without")
    parser.add_argument("--coils", type=int, default=15 if gpu else 4)
    parser.add_argument("--size", default="640x368" if gpu else "96x96", help="of k-space, HxW")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--recomputed", action="store_true", help="as callbacks=low_memory")
    parser.add_argument("--threads", type=int, default=1, help="on the CPU")
    parser.add_argument("--repeats", type=int, default=10 if gpu else 3)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one model")
    parser.add_argument("--label", default="", help="what to know about the run, e.g. 'shared'")
    parser.add_argument("--output", type=Path, default=RESULTS / "models.json")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def learned() -> list[str]:
    """Return all learned models, and their smaller sizes."""
    names = []
    for path in sorted((conf_folder() / "model").glob("*.yaml")):
        with torch.device("meta"):
            model = built(path.stem)
        names += [path.stem] * model.trainable + [path.stem + SMALLER] * (path.stem in ONE_GPU)
    return names


def built(name: str) -> Reconstructor:
    stem = name.removesuffix(SMALLER)
    overrides = [f"model={stem}", "sensitivity=given"]
    overrides += ONE_GPU[stem] if name != stem else []
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("train", overrides=overrides)
    return build(config.model, Reconstructor, "model")


def sample_of(coils: int, h: int, w: int, context: int) -> Sample:
    generator = torch.Generator().manual_seed(0)

    def slices(*batch: int) -> Sample:
        mask = (torch.arange(w) % ACCELERATION == 0)[None]
        mask[:, (w - ACS + 1) // 2 :][:, :ACS] = True
        drawn = torch.randn((*batch, coils, h, w), dtype=torch.complex64, generator=generator)
        acs = torch.tensor([h, ACS]).expand(*batch, 2)
        return Sample(drawn * mask, mask.expand(*batch, 1, w), maps=unit_norm(drawn), acs=acs)

    return slices(1).replace(neighbors=slices(1, 2 * context) if context else None)


def measured(name: str, options: argparse.Namespace) -> Result:
    """Measure one model in this process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    model = built(name)
    if options.recomputed:
        recompute(model)
    model.to(device)
    h, w = (int(n) for n in options.size.split("x"))
    sample = sample_of(options.coils, h, w, getattr(model, "context", 0)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # so that it has its moments

    def image() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
            result: Tensor = model(sample)
        return result.abs()

    def step() -> None:
        optimizer.zero_grad()
        image().mean().backward()
        optimizer.step()

    peak = peak_of(model.train() and step, device)
    steps = per_second(step, options.repeats, device)
    optimizer.zero_grad()
    model.eval()
    with torch.inference_mode():
        forward = per_second(image, options.repeats, device)
    count = sum(p.numel() for p in model.parameters())
    where = torch.cuda.get_device_name() if device.type == "cuda" else processor()
    return Result(name, setting(options), where, count, forward, steps, peak)


def peak_of(run: Callable[[], object], device: torch.device) -> float:
    """Return the peak of the first run in GB; see above."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() / GIB
    base = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    run()
    return (status("VmHWM") - base) / 1024


def per_second(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    times = []
    for number in range(repeats + 1):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number:  # the first one chooses algorithms
            times.append(time.perf_counter() - started)
    return 1 / statistics.median(times)


def alone(name: str, options: argparse.Namespace) -> Result:
    """Measure one model in a process of its own, whatever becomes of that."""
    command = [sys.executable, __file__, *sys.argv[1:], "--alone"]
    command = [part for part in command if part not in options.models] + [name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        failure = f"took more than {options.timeout:.0f} s"
    else:
        if done.returncode == 0:
            return Result(**json.loads(done.stdout.splitlines()[-1]))
        said = (done.stderr.strip().splitlines() or [""])[-1]
        out_of_memory = done.returncode == -9 or "OutOfMemory" in said or "allocate" in said
        failure = "out of memory" if out_of_memory else f"failed: {said[:200]}"
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return Result(name, setting(options), where, failure=failure)


def setting(options: argparse.Namespace) -> str:
    parts = [f"{options.coils} coils {options.size}", options.label]
    parts += [word for word in ("bf16", "recomputed") if getattr(options, word)]
    if not torch.cuda.is_available():
        parts.append(f"{options.threads} threads")
    return ", ".join(part for part in parts if part)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({os.cpu_count()} cores)"


def printed(result: Result) -> None:
    if result.failure:
        print(f"{result.model:<20}{result.failure}", flush=True)
        return
    millions = (result.parameters or 0) / 1e6
    print(
        f"{result.model:<20}{millions:>9.2f} M{result.inference_per_s:>11.3g} /s"
        f"{result.step_per_s:>9.3g} /s{result.peak_gb:>9.2f} GB",
        flush=True,
    )


def save(results: list[Result], path: Path) -> None:
    """Write the rows; earlier ones of other settings are kept."""
    known = [Result(**row) for row in json.loads(path.read_text())] if path.exists() else []
    table = {(r.model, r.setting, r.device): asdict(r) for r in [*known, *results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([table[key] for key in sorted(table)], indent=1) + "\n")


def main() -> None:
    options = arguments()
    if options.alone:
        print(json.dumps(asdict(measured(options.models[-1], options))))
        return
    print(f"{'model':<20}{'parameters':>11}{'inference':>14}{'step':>12}{'memory':>12}")
    results = []
    for name in options.models or learned():
        results.append(alone(name, options))
        printed(results[-1])
        save(results, options.output)


if __name__ == "__main__":
    main()
