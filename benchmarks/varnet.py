"""The variational network beside fastMRI's: python benchmarks/varnet.py [repeats [case [threads]]].

On the CPU; ``gpu.py`` does the same on a GPU. Twelve cascades of 18 channels, the same weights, the
same k-space (normal random numbers, R = 4, 24 central lines), single slices. ``forward`` is
inference, ``step`` forward, L1 loss, backward and Adam. ``memory`` is the peak of a training step,
``inference memory`` that of a forward pass, each over what model, optimizer and data hold: on the
CPU in a process of its own, on a GPU all that PyTorch had allocated. Variants: ``bf16`` is autocast
on our side only, ``recomputed`` our activation recomputation (callbacks=low_memory), ``cropped``
our network after the oversampling of the readout was removed: the same task, but another input.

Needs fastMRI: pip install --no-deps fastmri==0.3.0 && pip install pandas requests
"""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from recon_cases import interleaved
from table import MemoryRow, Row, publish
from torch import Tensor, nn

from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.training.callbacks.recompute_activations import recompute
from mrirecon.types import Sample

CASES = {"a8": (8, 320, 320), "c15": (15, 640, 368), "small": (4, 64, 64)}
PEER = "fastmri"
READOUT = 320  # rows that are left when the oversampling has been removed
ACCELERATION, ACS = 4, 24


def sample_of(case: str, cropped: bool = False) -> Sample:
    """Return a slice with noise for k-space; its values do not matter to the time."""
    coils, h, w = CASES[case]
    h = min(h, READOUT) if cropped else h
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(w) % ACCELERATION == 0)[None]
    mask[:, (w - ACS + 1) // 2 :][:, :ACS] = True
    kspace = torch.randn((1, coils, h, w), dtype=torch.complex64, generator=generator) * mask
    return Sample(kspace, mask[None], acs=torch.tensor([[h, ACS]]))


class Ours:
    """Our network; ``variant`` may name bf16, recomputed and cropped."""

    def __init__(self, case: str, variant: str, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self.model: nn.Module = VarNet().to(device)
        self.sample = sample_of(case, "cropped" in variant).to(device)
        self.bf16 = "bf16" in variant
        if "recomputed" in variant:
            recompute(self.model)

    def __call__(self) -> Tensor:
        device = self.sample.kspace.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            image: Tensor = self.model(self.sample)
        return image.real


class Peer:
    """fastMRI's network with the same weights."""

    def __init__(self, case: str, variant: str, device: str = "cpu") -> None:  # noqa: ARG002
        from fastmri.models import VarNet as FastmriVarNet

        self.model: nn.Module = FastmriVarNet().to(device)
        torch.manual_seed(0)  # the weights of Ours
        self.model.load_state_dict(VarNet().state_dict())
        sample = sample_of(case).to(device)
        self.kspace = torch.view_as_real(sample.kspace)
        self.mask = sample.mask[:, None, :, :, None]

    def __call__(self) -> Tensor:
        image: Tensor = self.model(self.kspace, self.mask, num_low_frequencies=ACS)
        return image


def installed() -> bool:
    """Whether fastMRI is there."""
    return importlib.util.find_spec(PEER) is not None


def forward(network: Ours | Peer) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            network.model.eval()
            return network()

    return run


def step(network: Ours | Peer) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.model.parameters())
    for parameter in network.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # so that it has its moments

    def run() -> None:
        network.model.train()
        optimizer.zero_grad()
        image = network()
        torch.nn.functional.l1_loss(image, torch.zeros_like(image)).backward()
        optimizer.step()
        optimizer.zero_grad()  # the others need the memory

    return run


KINDS = {"forward": forward, "step": step}


def variants(case: str, kind: str) -> list[str]:
    """Return which of ours are timed."""
    found = ["", " bf16", *([" recomputed"] if kind == "step" else [])]
    return found + ([" cropped", " cropped bf16"] if CASES[case][1] > READOUT else [])


def times(case: str, repeats: int, label: str, kind: str, device: str = "cpu") -> list[Row]:
    """Time all variants in turns, beside fastMRI's network."""
    networks = {variant: Ours(case, variant, device) for variant in variants(case, kind)}
    peer = Peer(case, "", device)
    with torch.inference_mode():
        expected = peer()
        errors = {
            v: None if "cropped" in v else float((n() - expected).norm() / expected.norm())
            for v, n in networks.items()
        }
    runs: dict[str, Callable[[], object]] = {v: KINDS[kind](n) for v, n in networks.items()}
    result = interleaved(runs | {PEER: KINDS[kind](peer)}, repeats, device)
    return [
        Row(f"{case} {kind}{v}{label}", result[v], PEER, result[PEER],
            result[PEER] / result[v], errors[v])
        for v in networks
    ]  # fmt: skip


def own_times(case: str, repeats: int, kind: str, device: str) -> dict[str, float]:
    """Time our variants alone, in ms, for where there is no fastMRI."""
    networks = {variant: Ours(case, variant, device) for variant in variants(case, kind)}
    return interleaved({v: KINDS[kind](n) for v, n in networks.items()}, repeats, device)


def memories(case: str, device: str = "cpu") -> list[MemoryRow]:
    """Measure the peaks, each in a process of its own or on the GPU."""
    rows = []
    for name, kind in (("memory", "step"), ("inference memory", "forward")):
        theirs = measured(PEER, case, kind, "", device)
        for variant in ["", " bf16", *([" recomputed"] if kind == "step" else [])]:
            ours = measured("ours", case, kind, variant, device)
            rows.append(MemoryRow(f"{case} {name}{variant}", ours, PEER, theirs, theirs / ours))
    return rows


def measured(who: str, case: str, kind: str, variant: str, device: str = "cpu") -> float:
    """Return the peak memory over the base in MB."""
    if device != "cpu":
        return peak_on_gpu(who, case, kind, variant, device)
    arguments = [sys.executable, __file__, "peak", who, case, kind, variant]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return float(result.stdout)


def peak(who: str, case: str, kind: str, variant: str) -> float:
    network = Ours(case, variant) if who == "ours" else Peer(case, variant)
    run = KINDS[kind](network)
    torch.set_num_threads(1)
    base = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    run()
    return status("VmHWM") - base


def peak_on_gpu(who: str, case: str, kind: str, variant: str, device: str) -> float:
    network = (Ours if who == "ours" else Peer)(case, variant, device)
    run = KINDS[kind](network)
    run()  # chooses algorithms, which takes memory once
    torch.cuda.reset_peak_memory_stats(device)
    base = torch.cuda.memory_allocated(device)
    run()
    return (torch.cuda.max_memory_allocated(device) - base) / 2**20


def status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main() -> None:
    if sys.argv[1:2] == ["peak"]:
        print(peak(*sys.argv[2:]))
        return
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cases = sys.argv[2:3] or ["a8", "c15"]
    threads = [int(n) for n in sys.argv[3:4]] or [1]
    rows: list[Row | MemoryRow] = []
    for case in cases:
        for count in threads:
            torch.set_num_threads(count)
            label = "" if count == 1 else f" {count} threads"
            for kind in KINDS:
                rows += times(case, repeats, label, kind)
        rows += memories(case)
    publish("varnet", rows)


if __name__ == "__main__":
    main()
