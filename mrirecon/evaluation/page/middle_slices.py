"""What is shown of a volume: its middle slice by every method, and the scores below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrirecon.evaluation.scores.protocol import Score, compared, region
from mrirecon.evaluation.scores.scoring import Case, Rules
from mrirecon.evaluation.scores.volumes import read_volume
from mrirecon.figures import Panel
from mrirecon.metrics import MetricInfo

CAPTIONED = 2
"""Metrics that fit below a picture."""


@dataclass(frozen=True)
class MiddleSlices:
    """The middle slice of a volume as it is compared.

    Attributes:
        volume: Name of the volume.
        number: Number of the slice in the volume, from one.
        reference: Slice of the reference.
        images: The same slice of each method, with the scores of the whole volume.
    """

    volume: str
    number: int
    reference: Panel
    images: tuple[Panel, ...]


def middle_slices(
    case: Case, rules: Rules, scores: Sequence[Score], methods: Sequence[str] | None = None
) -> MiddleSlices:
    """Read the middle slice of a volume.

    Args:
        case: Files of the volume.
        rules: How they are read and compared.
        scores: Scores of all volumes.
        methods: Methods to show, in this order; all of the volume when None.

    Raises:
        MriReconError: When a file cannot be read, or does not fit.
    """
    protocol, panels = rules.protocol, []
    reference = read_volume(case.reference, rules.reference_dataset).values
    shown = region(reference, reference, protocol)
    middle = len(shown) // 2
    for method in case.images if methods is None else methods:
        image = read_volume(case.images[method], rules.reconstruction_dataset).values
        picture = compared(method, case.name, image, reference, protocol)[0][middle].numpy()
        (own,) = [s for s in scores if (s.method, s.volume, s.region) == (method, case.name, "")]
        panels.append(Panel(picture, method, _caption(own, protocol.infos)))
    number = protocol.ends + middle + 1
    return MiddleSlices(case.name, number, Panel(shown[middle].numpy(), "reference"), tuple(panels))


def _caption(score: Score, infos: Mapping[str, MetricInfo]) -> str:
    """Tell the scores that fit below a picture, those of images first that everybody knows."""
    shown = sorted(infos, key=lambda name: name not in ("psnr", "ssim"))[:CAPTIONED]
    told = [(infos[name], score.values[name]) for name in shown]
    return ", ".join(
        f"{value:.1f} {info.unit}" if info.unit else f"{info.title} {value:.3f}"
        for info, value in told
    )
