"""How fast a device is beside its CPU and beside fastMRI: the second part of ``gpu.py``."""

from collections.abc import Callable
from dataclasses import dataclass

import noncartesian
import torch
import varnet
from espirit import CROP, KERNEL, THRESHOLD, WIDTH, scene
from gpu_parity import composed, difference
from recon_cases import CASES, case, interleaved
from torch import Tensor

from mrirecon.choices import choices
from mrirecon.config import build
from mrirecon.files import conf_folder
from mrirecon.operators.areas import forget
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.types import Sample

METHODS = ("l1_wavelet", "total_variation", "tgv", "varnet", "pnp", "pretrained")
"""Names in conf/model of the methods whose speed is measured; those that do not exist are left out.
Learned ones that bring no weights have random ones, which does not matter to the time."""
REGULARIZATION = 3e-3


@dataclass(frozen=True)
class Speed:
    """Slices per second, one at a time and in a batch; ``error`` tells device and CPU apart.

    ``cpu_per_s`` is that of the better of both ways, None where it was not measured.
    """

    case: str
    single_per_s: float
    batch: int
    batch_per_s: float
    cpu_per_s: float | None = None
    error: float | None = None

    failure = ""

    def line(self) -> str:
        """One row of the table."""
        rates = f"{self.single_per_s:>12.4g} /s{self.batch_per_s:>12.4g} /s{self.batch:>6}"
        cpu = f"{self.cpu_per_s:>12.4g} /s" if self.cpu_per_s else f"{'':>15}"
        faster = self.batch_per_s / self.cpu_per_s if self.cpu_per_s else None
        more = f"{faster:>9.1f}x" if faster else f"{'':>10}"
        return f"{self.case:<28}{rates}{cpu}{more}" + (
            f"{self.error:>10.1e}" if self.error is not None else ""
        )


HEAD = f"{'':<28}{'single':>15}{'batch':>15}{'of':>6}{'CPU':>15}{'faster':>10}{'error':>10}"


@dataclass(frozen=True)
class Beside:
    """A time or a memory of ours beside fastMRI's; ``ratio`` is how many times less ours is."""

    case: str
    ours: float
    unit: str
    peer: str
    theirs: float | None
    ratio: float | None
    error: float | None = None

    @property
    def failure(self) -> str:
        """Why there is nothing to compare with."""
        if self.theirs is not None:
            return ""
        return f"{varnet.PEER} is not installed: pip install --no-deps fastmri==0.3.0"

    def line(self) -> str:
        """One row of the table."""
        theirs = f"{self.theirs:>12.1f} {self.unit}" if self.theirs is not None else f"{'':>15}"
        ratio = f"{self.ratio:>9.1f}x" if self.ratio is not None else f"{'':>10}"
        error = f"{self.error:>10.1e}" if self.error is not None else ""
        return f"{self.case:<28}{self.ours:>12.1f} {self.unit}{theirs}{ratio}{error}"


BESIDE_HEAD = f"{'':<28}{'ours':>15}{'fastmri':>15}{'ratio':>10}{'error':>10}"


def varnet_cases(names: tuple[str, ...]) -> list[str]:
    return [f"{name} {kind}" for name in names for kind in (*varnet.KINDS, "memory")]


def varnet_rows(item: str, device: str, repeats: int) -> list[Beside]:
    """Time or weigh VarNet beside fastMRI's; ours alone where fastMRI is not installed."""
    name, kind = item.split()
    if kind == "memory":
        if varnet.installed():
            return [
                Beside(r.case, r.ours_mb, "MB", r.peer, r.peer_mb, r.ratio)
                for r in varnet.memories(name, device)
            ]
        weighed = {v: varnet.measured("ours", name, "step", v, device) for v in ("", " bf16")}
        return [Beside(f"{item}{v}", mb, "MB", varnet.PEER, None, None)
                for v, mb in weighed.items()]  # fmt: skip
    if varnet.installed():
        return [
            Beside(r.case, r.ours_ms, "ms", r.peer, r.peer_ms, r.ratio, r.error)
            for r in varnet.times(name, repeats, "", kind, device)
        ]
    own = varnet.own_times(name, repeats, kind, device)
    return [Beside(f"{item}{v}", ms, "ms", varnet.PEER, None, None) for v, ms in own.items()]


def classical_rows(item: str, device: str, repeats: int, batch: int) -> list[Speed]:
    """Measure ESPIRiT, or CG-SENSE with given maps of lines or along spokes."""
    what, name = item.split()
    if what == "espirit":
        coils, *size = CASES[name]
        sample = scene((size[0], size[1]), coils).map(lambda t: t[None])
        estimator = Espirit(KERNEL, WIDTH, THRESHOLD, CROP)
        return [rates(item, lambda s: estimator(s), sample, device, repeats, batch, True)]
    model = CgSense(GivenMaps(), REGULARIZATION)
    if what == "radial":  # each slice with all that a new trajectory needs
        sample = noncartesian.made(f"{name} spokes").sample.map(lambda t: t[None])
        sample = sample.replace(key=((name, 0),))

        def image(sample: Sample) -> Tensor:
            forget()
            return model(sample)

        return [rates(item, image, sample, device, repeats, batch, True)]
    return [rates(item, lambda s: model(s), case(name).sample, device, repeats, batch, True)]


def methods() -> list[str]:
    """Return the methods of :data:`METHODS` that exist."""
    known = choices("model", [conf_folder()])
    return [name for name in METHODS if name in known]


def method_rows(item: str, name: str, device: str, repeats: int, batch: int) -> list[Speed]:
    """Measure a whole method with its maps, as ``mrirecon reconstruct`` runs it."""
    torch.manual_seed(0)
    model = build(composed("reconstruct", f"model={item}").model, Reconstructor, "model").eval()
    sample = case(name).sample.replace(maps=None)
    model.to(device)
    return [rates(f"{item} {name}", lambda s: model(s), sample, device, repeats, batch, False)]


def rates(
    label: str,
    run: Callable[[Sample], Tensor],
    sample: Sample,
    device: str,
    repeats: int,
    batch: int,
    beside_cpu: bool,
) -> Speed:
    """Time one slice and a batch of them on the device, and on the CPU beside it."""
    several = sample.map(lambda t: t.expand(batch, *t.shape[1:]).contiguous())
    several = several.replace(key=sample.key * batch)
    with torch.inference_mode():
        here, there = sample.to(device), several.to(device)
        times = interleaved(
            {"single": lambda: run(here), "batch": lambda: run(there)}, repeats, device
        )
        cpu = error = None
        if beside_cpu and device != "cpu":
            slow = interleaved(
                {"single": lambda: run(sample), "batch": lambda: run(several)}, 1 + repeats // 5
            )
            cpu = 1000 / min(slow["single"], slow["batch"] / batch)
            error = difference(run(here), run(sample))
    return Speed(label, 1000 / times["single"], batch, 1000 * batch / times["batch"], cpu, error)
