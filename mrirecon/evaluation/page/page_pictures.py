"""The pictures of the report of an evaluation: boxes, agreement, and volumes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mrirecon.evaluation.page.middle_slices import MiddleSlices, middle_slices
from mrirecon.evaluation.scores.scoring import Case, Rules
from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.standings import per_patient
from mrirecon.figures import Boxes, Panel, agreement, bars, closeup, structure_maps
from mrirecon.metrics.ring_correlation import PATCH, scan_rings, threshold
from mrirecon.pages import Text, picture

MOST_METHODS = 6
"""Methods that a picture of a volume shows; more would be too small to see anything."""


@dataclass(frozen=True)
class Pick:
    """A volume that is shown.

    Attributes:
        place: Place among the volumes: best, median, worst.
        volume: Name of the volume.
    """

    place: str
    volume: str


def picks(ordered: Sequence[str]) -> list[Pick]:
    """Choose the best, the median and the worst of volumes; fewer where there are fewer.

    Args:
        ordered: Names of the volumes from best to worst.
    """
    if len(ordered) < 2:
        return [Pick("only", volume) for volume in ordered]
    best, worst = Pick("best", ordered[0]), Pick("worst", ordered[-1])
    if len(ordered) == 2:
        return [best, worst]
    return [best, Pick("median", ordered[(len(ordered) - 1) // 2]), worst]


def boxes_picture(evaluated: Evaluated) -> Text:
    """Return boxes over patients, of each method by each metric."""
    whole = [score for score in evaluated.scores if not score.region]
    methods, boxes = evaluated.methods(), []
    for name, info in evaluated.protocol.infos.items():
        values = per_patient(whole, evaluated.makings.patients, name)
        boxes.append(
            Boxes(info.title, info.meaning, {m: list(values[m].values()) for m in methods})
        )
    count = evaluated.patients
    caption = (
        f"Boxes over {count} patient{'s' * (count != 1)}; the mean of the volumes of each counts."
    )
    infinite = sum(
        not math.isfinite(v) for box in boxes for own in box.values.values() for v in own
    )
    if infinite:
        caption += f" {infinite} values are not finite and not drawn."
    return picture(bars(boxes), caption)


def agreement_picture(evaluated: Evaluated) -> Text:
    """Return the agreement of the first two methods; empty where there are none to compare."""
    leading = evaluated.leading
    order = evaluated.standing(leading)
    if leading is None or order is None or order.patients < 2:
        return Text("")
    one, other = order.ranking.methods[:2]
    whole = [score for score in evaluated.scores if not score.region]
    values = per_patient(whole, evaluated.makings.patients, leading)
    known = [
        p for p, value in values[one].items() if math.isfinite(value) and p in values[other]
        and math.isfinite(values[other][p])
    ]  # fmt: skip
    pair = [values[one][p] for p in known], [values[other][p] for p in known]
    title = evaluated.protocol.infos[leading].heading
    figure = agreement(*pair, (one, other), title)
    return picture(
        figure, f"{title} of {one} minus {other}, one point for each of {len(known)} patients."
    )


def volume_pictures(evaluated: Evaluated, cases: Sequence[Case], rules: Rules) -> list[Text]:
    """Return pictures of the best, median and worst volume of the first method.

    Maps of structure that is invented or missing follow for the worst one. Where no metric tells
    which is the best, the first volume only is shown.

    Args:
        evaluated: What was found.
        cases: Files of the volumes.
        rules: How they were read and compared.

    Raises:
        MriReconError: When a file cannot be read any more.
    """
    leading, methods = evaluated.leading, evaluated.methods()
    chosen, order = [Pick("first", cases[0].name)], ""
    if leading is not None:
        chosen = picks(evaluated.ordered_volumes(methods[0]))
        order = f" of {methods[0]} by {evaluated.protocol.infos[leading].title}"
    by_name = {case.name: case for case in cases}
    found, shown = [], None
    for pick in chosen:
        shown = middle_slices(by_name[pick.volume], rules, evaluated.scores, methods[:MOST_METHODS])
        caption = (
            f"{pick.place.capitalize()} volume{order}: "
            f"{pick.volume}, slice {shown.number}. Scores are those of the volume. All errors have "
            "one scale; below, the part where methods err most, in the window of the images."
        )
        if len(methods) > MOST_METHODS:
            caption += f" The first {MOST_METHODS} of {len(methods)} methods."
        found.append(picture(closeup(shown.reference, shown.images), caption))
    return [*found, _structure(shown)] if shown else []


def _structure(shown: MiddleSlices) -> Text:
    """Return maps of what is invented or missing; empty for images smaller than a patch."""
    reference = torch.from_numpy(shown.reference.image)
    if min(reference.shape) < PATCH:
        return Text("")
    maps = []
    for panel in shown.images:
        scan = scan_rings(torch.from_numpy(panel.image), reference)
        share = 100 * float(scan.suspicious.sum()) / max(int(scan.shows_object.sum()), 1)
        maps.append(Panel(scan.map().numpy(), panel.title, f"{share:.1f} % of the slice's patches"))
    caption = (
        f"Structure that is invented or missing in {shown.volume}, slice {shown.number}, by "
        "scanned Fourier ring correlation: how much of each patch the reference does not explain, "
        f"in units of what is usual in the slice; lines enclose scores above {threshold():.1f}."
    )
    return picture(structure_maps(shown.reference, maps, threshold()), caption)
