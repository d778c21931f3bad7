"""Tables of the measured benchmark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from measured_cases import MEASURES
from measured_methods import CG, TGV
from measured_search import Result, best

UNDERSAMPLED = 2.8
"""From this true acceleration on, a learned method should be better than all classical ones."""


@dataclass(frozen=True)
class Outcome:
    """Everything about one case: the classical results, and those of other methods by name."""

    classical: Sequence[Result]
    also: dict[str, Result]

    @property
    def judged(self) -> list[Result]:
        """What others are compared with: CG-SENSE, L1-wavelet and TV of anybody."""
        return [r for r in self.classical if r.kind != TGV]

    def of(self, kind: str = "", program: str = "") -> list[Result]:
        """Return the results of one method or one program."""
        return [r for r in self.classical if kind in ("", r.kind) and program in ("", r.program)]

    @property
    def name(self) -> str:
        return self.classical[0].case

    @property
    def acceleration(self) -> float:
        return self.classical[0].acceleration


Cells = tuple[list[str], list[list[str]]]


def table(outcomes: Sequence[Outcome], measure: str) -> Cells:
    """Return head and rows: per case the best of all, of ours, of the kinds, and the others."""
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.also))
    head = ["case", "true R", "zero-filled", "CG-SENSE", "best of all", "which", "ours", "sigpy",
            "BART"]  # fmt: skip
    for name in names:
        head += [name, "- best", "- CG", "unscaled", "s"]
    return head, [_row(o, names, measure) for o in outcomes if _known(o, measure)]


def _known(outcome: Outcome, measure: str) -> bool:
    return best(outcome.judged, measure) is not None


def _row(outcome: Outcome, names: Sequence[str], measure: str) -> list[str]:
    def both(results: list[Result]) -> str:
        tops = [best(results, measure, metric) for metric in ("psnr", "ssim")]
        if tops[0] is None or tops[1] is None:
            return ""
        psnr, ssim = (t.scores[measure][m] for t, m in zip(tops, ("psnr", "ssim"), strict=True))
        return f"{psnr:.2f} / {ssim:.4f}"

    top, cg = best(outcome.judged, measure), best(outcome.of(CG), measure)
    assert top is not None
    row = [outcome.name, f"{outcome.acceleration:.2f}", both(outcome.of("zero-filled"))]
    row += [both(outcome.of(CG)), both(outcome.judged), top.setting]
    row += [both([r for r in outcome.judged if r.program == who]) for who in PROGRAMS]
    for name in names:
        if name not in outcome.also:
            row += [""] * 5
            continue
        one = outcome.also[name]
        row += [
            both([one]), gains(one, outcome.judged, measure),
            "" if cg is None else gains(one, outcome.of(CG), measure),
            f"{one.scores[measure]['unscaled']:.2f}", f"{one.seconds:.1f}",
        ]  # fmt: skip
    return row


PROGRAMS = ("ours", "sigpy", "BART")


def gain(one: Result, results: Sequence[Result], measure: str, metric: str) -> float:
    """Return by how much a method is better than the best of others."""
    top = best(results, measure, metric)
    assert top is not None
    return one.scores[measure][metric] - top.scores[measure][metric]


def gains(one: Result, results: Sequence[Result], measure: str) -> str:
    """Write both differences."""
    psnr, ssim = (gain(one, results, measure, metric) for metric in ("psnr", "ssim"))
    return f"{psnr:+.2f} / {ssim:+.4f}"


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line per other method and measure: mean, least and greatest difference."""
    lines = []
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.also):
        for measure in MEASURES:
            chosen = [o for o in outcomes if name in o.also and _known(o, measure)]
            if chosen:
                lines.append(f"{name}, {measure}: {_differences(chosen, name, measure)}")
    return lines


def _differences(outcomes: Sequence[Outcome], name: str, measure: str) -> str:
    def over(results: Callable[[Outcome], list[Result]]) -> np.ndarray:
        return np.array([gain(o.also[name], results(o), measure, "psnr") for o in outcomes])

    ahead = over(lambda o: o.judged)
    far = np.array([o.acceleration >= UNDERSAMPLED for o in outcomes])
    parts = [f"best {ahead.mean():+.2f} dB [{ahead.min():+.2f}, {ahead.max():+.2f}]"]
    if all(o.of(CG) for o in outcomes):
        parts.append(f"least over CG-SENSE {over(lambda o: o.of(CG)).min():+.2f}")
    if far.any():
        parts.append(
            f"R >= {UNDERSAMPLED}: {ahead[far].mean():+.2f}, at least 1 dB ahead in "
            f"{int((ahead[far] >= 1).sum())} of {int(far.sum())}"
        )
    return "; ".join(parts)


def markdown(cells: Cells) -> str:
    head, rows = cells
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text(cells: Cells) -> str:
    head, rows = cells
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)).rstrip()
        for line in [head, *rows]
    )
