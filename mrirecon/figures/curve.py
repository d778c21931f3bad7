"""Learning curves: what a training has reached after how many epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mrirecon.figures.style import ACCENT, COOL, TEXT, style

UNITS = {"psnr": "PSNR / dB", "ssim": "SSIM", "nmse": "NMSE", "loss": "loss"}
COLORS = {"train": COOL, "val": ACCENT}


@dataclass(frozen=True)
class Point:
    """A number at some time of a training.

    Attributes:
        epoch: Number of epochs that had passed, with fractions.
        updates: Number of updates of the weights that had been made.
        value: Number that was told at that time.
    """

    epoch: float
    updates: int
    value: float


def learning_curve(curves: Mapping[str, Sequence[Point]], *, title: str = "") -> Figure:
    """Draw one panel for each quantity, training and validation in one.

    Args:
        curves: Points of ``train/loss``, ``val/ssim`` and so on.
        title: Title of the figure; empty for none.
    """
    quantities = sorted({name.rpartition("/")[2] for name in curves}, key=_place)
    with style():
        figure = Figure(figsize=(3.6 * max(1, len(quantities)), 3.2))
        axes = figure.subplots(1, max(1, len(quantities)), squeeze=False)[0]
        for axis, quantity in zip(axes, quantities, strict=False):
            for name, points in curves.items():
                stage, _, of = name.rpartition("/")
                if of != quantity or not points:
                    continue
                axis.plot(
                    [p.epoch for p in points], [p.value for p in points],
                    marker="o", markersize=3, color=COLORS.get(stage, TEXT),
                    label="training" if stage == "train" else "validation",
                )  # fmt: skip
            _label(axis, quantity, [p for points in curves.values() for p in points])
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure


def _place(quantity: str) -> tuple[bool, str]:
    return quantity != "loss", quantity


def _label(axis, quantity: str, points: Sequence[Point]) -> None:  # type: ignore[no-untyped-def]
    axis.set_xlabel("epoch")
    axis.set_ylabel(UNITS.get(quantity, quantity))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.grid(alpha=0.2)
    axis.legend(fontsize=8, facecolor="none", edgecolor="none", labelcolor=TEXT)
    last = max(points, key=lambda point: point.epoch)
    if last.epoch > 0 and last.updates > 0:
        ratio = last.updates / last.epoch
        above = axis.secondary_xaxis("top", functions=(lambda x: x * ratio, lambda x: x / ratio))
        above.set_xlabel("updates", fontsize=8)
        above.tick_params(labelsize=7)
        above.xaxis.set_major_locator(MaxNLocator(4, integer=True))
