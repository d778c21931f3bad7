"""Whether a device computes what the CPU computes: the first part of ``gpu.py``.

Every model of conf/model, built as shipped but with at most :data:`STEPS` unrolled steps, and every
estimator of conf/sensitivity gets the same two slices on both, in float32 without TF32. Compared
are images and, of learned models, the gradient of the mean squared magnitude with respect to all
weights, each by the norm of the difference over the norm of what the CPU found.

The tolerance has two parts. 1e-4 of the image is what a few hundred sums of up to some thousand
terms, in another order, leave of float32 (unit roundoff 6e-8). Gradients are not continuous: a unit
of a ReLU whose input is zero but for rounding may fall on the other side, and one of these at a
bright pixel among the thousands here moved a gradient by 3e-3 between two kinds of convolution on
one CPU; 1e-2 allows for some, and is far below what a wrong backward pass does. Methods that
amplify rounding, by many iterations or by decisions (which singular values count, when to stop),
are allowed ten times what they themselves make of relative noise of 1e-6 on k-space and on their
weights (the larger of two draws): as if all that rounds differently on the way had been there from
the start.

On the CPU itself, so that something is compared, one side has no oneDNN: its convolutions are other
code.
"""

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn

from mrirecon.choices import choices
from mrirecon.config import build
from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.defaults import completed
from mrirecon.files import conf_folder
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sampling import EquispacedLines
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.simulation.trajectories import RadialTrajectory
from mrirecon.types import Sample

IMAGE, GRADIENT = 1e-4, 1e-2
NUDGE, DRAWS, FACTOR = 1e-6, 2, 10
STEPS = 2
ACCELERATION, ACS = 4, 24
ALONG = "radial "
"""Before the names of what is compared along a trajectory, too."""
RADIAL = ("zero_filled", "cg_sense", "l1_wavelet", "modl", "sensitivity=espirit")
GIVEN = {"fi_varnet": [f"++model.acceleration={ACCELERATION}"]}
PREFIX = "sensitivity="


@dataclass(frozen=True)
class Parity:
    """One model or estimator on two devices.

    ``bf16`` is how far autocast moves the image of the device, ``tf32`` how far the convolutions
    do that PyTorch computes in TF32 on a GPU unless told otherwise; None where there is none.
    """

    case: str
    weights: int
    error: float
    tolerance: float
    gradient_error: float | None = None
    gradient_tolerance: float | None = None
    bf16: float | None = None
    tf32: float | None = None

    @property
    def failure(self) -> str:
        """What is wrong, if anything."""
        found = [("image", self.error, self.tolerance)]
        if self.gradient_error is not None and self.gradient_tolerance is not None:
            found.append(("gradient", self.gradient_error, self.gradient_tolerance))
        wrong = [f"{what} differs by {e:.1e} > {t:.1e}" for what, e, t in found if not e <= t]
        if self.bf16 is not None and not torch.tensor(self.bf16).isfinite():
            wrong.append("bf16 is not finite")
        return ", ".join(wrong)

    def line(self) -> str:
        """One row of the table."""
        gradient = ("", "")
        if self.gradient_error is not None and self.gradient_tolerance is not None:
            gradient = (f"{self.gradient_error:.1e}", f"{self.gradient_tolerance:.1e}")
        others = (f"{v:.1e}" if v is not None else "" for v in (self.bf16, self.tf32))
        cells = (f"{self.error:.1e}", f"{self.tolerance:.1e}", *gradient, *others)
        return f"{self.case:<28}{self.weights:>12,}" + "".join(f"{cell:>10}" for cell in cells)


HEAD = f"{'':<28}{'weights':>12}" + "".join(
    f"{name:>10}" for name in ("image", "allowed", "gradient", "allowed", "bf16", "TF32")
)


def cases() -> list[str]:
    """Names in conf/model, then estimators of coil sensitivities, then some along spokes."""
    estimators = [name for name in choices("sensitivity", [conf_folder()]) if name != "given"]
    found = [*choices("model", [conf_folder()]), *(f"{PREFIX}{name}" for name in estimators)]
    return found + [f"{ALONG}{name}" for name in RADIAL]


def measured(case: str, device: str, size: tuple[int, int], steps: int = STEPS) -> list[Parity]:
    """Compare one model or estimator; ``size`` is that of k-space."""
    torch.manual_seed(0)
    what, along = case.removeprefix(ALONG), case.startswith(ALONG)
    if what.startswith(PREFIX):
        return [compared(case, estimator(what), scene(size, 0, along), device)]
    model = short(what, steps)
    return [compared(case, model, scene(size, model.context, along), device)]


def compared(case: str, model: nn.Module, sample: Sample, device: str) -> Parity:
    """Compare a model on the CPU with the same on a device."""
    learned = any(p.requires_grad for p in model.parameters())
    there, moved = copy.deepcopy(model).to(device), sample.to(device)
    expected = results(model, sample, learned)
    with exactly(device):
        found = results(there, moved, learned)
    moves = [
        differences(results(nudged(model, draw), noisy(sample, draw), learned), expected)
        for draw in range(DRAWS)
    ]
    allowed = [
        max(floor, FACTOR * max(move))
        for floor, *move in zip((IMAGE, GRADIENT), *moves, strict=False)
    ]
    errors = differences(found, expected)
    others: dict[str, Any] = {}
    if learned:
        there.eval()
        with torch.inference_mode(), torch.autocast(torch.device(device).type, torch.bfloat16):
            others["bf16"] = difference(there(moved), found[0])
        if device != "cpu":
            with torch.inference_mode():
                others["tf32"] = difference(there(moved), found[0])
        others |= {"gradient_error": errors[1], "gradient_tolerance": allowed[1]}
    weights = sum(p.numel() for p in model.parameters())
    return Parity(case, weights, errors[0], allowed[0], **others)


def results(model: nn.Module, sample: Sample, learned: bool) -> list[Tensor]:
    """Return the image and, of what learns, the gradient, on the CPU."""
    if not learned:
        with torch.inference_mode():
            return [model(sample).cpu()]
    model.train().zero_grad()
    image = model(sample)
    image.abs().square().mean().backward()
    parts = [p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None]
    return [image.detach().cpu(), torch.cat(parts)]


def differences(found: list[Tensor], expected: list[Tensor]) -> list[float]:
    return [difference(a, b) for a, b in zip(found, expected, strict=True)]


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference over that of what was expected."""
    found = found.detach().cpu().to(expected.dtype)
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


@contextmanager
def exactly(device: str) -> Iterator[None]:
    """Compute in float32 proper on a GPU, and without oneDNN on a CPU."""
    if device == "cpu":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")
            with torch.backends.mkldnn.flags(enabled=False):
                yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def scene(size: tuple[int, int], context: int, along: bool = False) -> Sample:
    """Return two simulated slices at R = 4 with their maps, of lines or along spokes."""
    spokes = RadialTrajectory(math.ceil(math.pi / 2 * min(size) / ACCELERATION)) if along else None
    matrix = (min(size), min(size)) if along else size
    protocol = SimulationProtocol(
        prescription=Prescription(matrix=matrix, slices=2), coils=4, snr=30, trajectory=spokes
    )
    scan = SimulatedScan(0, protocol, True)
    fewer = [] if along else [Undersample(EquispacedLines(ACCELERATION, acs=ACS))]
    prepare = Compose([*fewer, Normalize()])
    batch = collate([prepare(scan[i]) for i in range(len(scan))])
    if not context:
        return batch
    around = batch.map(lambda t: t[:, None].expand(len(t), 2 * context, *t.shape[1:]))
    return batch.replace(neighbors=around)


def noisy(sample: Sample, draw: int) -> Sample:
    """Return the Sample with relative noise on each number of k-space."""
    return sample.replace(kspace=relatively_noisy(sample.kspace, draw))


def nudged(model: nn.Module, draw: int) -> nn.Module:
    """Return a copy of a model with relative noise on each weight."""
    model = copy.deepcopy(model)
    for number, parameter in enumerate(model.parameters()):
        parameter.data = relatively_noisy(parameter.data, 1000 * draw + number)
    return model


def relatively_noisy(x: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return x * (1 + NUDGE * torch.randn(x.shape, dtype=x.dtype, generator=generator))


def estimator(case: str) -> SensitivityEstimator:
    """Build an estimator of conf/sensitivity."""
    config = composed("reconstruct", f"sensitivity={case.removeprefix(PREFIX)}")
    return build(config.sensitivity, SensitivityEstimator, "sensitivity")


def short(name: str, steps: int) -> Reconstructor:
    """Build a model of conf/model as shipped, with maps given and few unrolled steps."""
    chosen = [f"model={name}", "sensitivity=given", *GIVEN.get(name, [])]
    node = completed(OmegaConf.to_container(composed("reconstruct", *chosen).model, resolve=True))
    model = build(OmegaConf.create(node), Reconstructor, "model")
    if not model.trainable:
        return model
    fewer = [f"++model.{key}={steps}" for key in ("iterations", "cascades") if key in node]
    if isinstance(scales := node.get("scales"), list):
        fewer.append(f"++model.scales={scales[:steps]}")
    if isinstance(body := node.get("body"), dict) and body.get("history"):
        fewer.append("++model.body.history=1")
    return build(composed("reconstruct", *chosen, *fewer).model, Reconstructor, "model")


def composed(command: str, *overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose(command, overrides=list(overrides))
