"""The pictures of a stress test: curves over the levels of a shift, and its worst slice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from mrirecon.counting import counted
from mrirecon.figures import Curve, CurvePanel, Panel, closeup, level_curves
from mrirecon.metrics import MetricInfo
from mrirecon.pages import Text, picture
from mrirecon.robustness.findings import Findings, Picture, Spread
from mrirecon.robustness.result import NOMINAL, Result
from mrirecon.robustness.shift import Level
from mrirecon.robustness.tables import level_text

SHOWN = 2
"""Metrics of which curves are drawn at most."""
AREA = 18.0
"""Square inches of the panels of a picture, of which a page has one for every shift."""
MOST_METHODS = 6
"""Methods that a picture shows; more would be too small to see anything."""


def curves_picture(
    findings: Findings, name: str, axis: str, neutral: Level, infos: Sequence[MetricInfo]
) -> Text:
    """Return curves of metrics that are better when higher, and of contrast where it was measured.

    Args:
        findings: What was found.
        name: Name of the shift.
        axis: Words on the axis of its levels.
        neutral: Level at which nothing changes.
        infos: Metrics of the protocol.
    """
    return picture(_curves(findings, name, axis, neutral, infos), _curves_caption(findings, name))


def _curves(
    findings: Findings, name: str, axis: str, neutral: Level, infos: Sequence[MetricInfo]
) -> Figure:
    levels = findings.levels(name)
    words = any(isinstance(level, str) for level in levels)
    order = [neutral, *(level for level in levels if level != neutral)]
    places: dict[Level, float] = {
        level: float(i) if words or isinstance(level, str) else float(level)
        for i, level in enumerate(order)
    }
    panels = []
    others = [i for i in infos if i.higher_is_better and i.name != findings.info.name]
    for info in [findings.info, *others][:SHOWN]:
        curves = []
        for method in findings.learned:
            own, metric = findings.of(name, method), info.name
            start = _grouped(
                [replace(r, level=neutral) for r in findings.of(NOMINAL, method)], _value(metric)
            )
            curves.append(_curve(method, start | _grouped(own, _value(metric)), places))
            if random := _grouped(own, _measured(f"random_{metric}")):
                curves.append(_curve(method, start | random, places, dotted=True))
        panels.append(CurvePanel(info.heading, [c for c in curves if c.places]))
    if "contrast" in findings.quantities(name):
        curves = [
            _curve(method, _grouped(findings.of(name, method), _measured("contrast")), places)
            for method in findings.learned
        ]
        panels.append(CurvePanel("contrast that is shown", [c for c in curves if c.places]))
    return level_curves(panels, axis, [level_text(one) for one in order] if words else ())


def _value(metric: str) -> Callable[[Result], float | None]:
    return lambda result: result.values.get(metric)


def _measured(name: str) -> Callable[[Result], float | None]:
    return lambda result: result.measured.get(name)


def _grouped(
    results: Sequence[Result], value: Callable[[Result], float | None]
) -> dict[Level, list[float]]:
    grouped: dict[Level, list[float]] = {}
    for one in results:
        found = value(one)
        if found is not None:
            grouped.setdefault(one.level, []).append(found)
    return grouped


def _curve(
    method: str, values: Mapping[Level, Sequence[float]], places: Mapping[Level, float],
    dotted: bool = False,
) -> Curve:  # fmt: skip
    spreads = {level: spread for level, own in values.items() if (spread := Spread.of(own))}
    ordered = sorted(spreads, key=lambda level: places[level])
    found = [spreads[level] for level in ordered]
    return Curve(
        method, [places[level] for level in ordered], [s.mean for s in found],
        [s.low for s in found], [s.high for s in found], dotted,
    )  # fmt: skip


def _curves_caption(findings: Findings, name: str) -> str:
    counts = {r.scan for r in findings.results if r.shift == name}
    spread = Spread.of(
        r.values[findings.info.name] for r in findings.of(name, next(iter(findings.learned)))
        if r.values and r.level == findings.levels(name)[0]
    )  # fmt: skip
    if len(counts) == 1:
        return "One scan, which tells nothing about others."
    around = "95 % interval of the mean" if spread and spread.interval else "range"
    return f"Mean over {counted(len(counts), 'scan')} and the {around}."


def worst_picture(shown: Picture, findings: Findings) -> Text:
    """Return the images of the worst slice with error maps.

    Args:
        shown: Slice that is shown.
        findings: What was found.
    """
    methods = list(shown.images)[:MOST_METHODS]
    panels = [
        Panel(
            shown.images[m].numpy(), m,
            f"{findings.info.text(shown.values[m])} {findings.info.unit}".rstrip(),
        )
        for m in methods
    ]  # fmt: skip
    caption = (
        f"Where a method falls furthest: {shown.scan}, slice {shown.number} of those that were "
        f"looked at, at {level_text(shown.level)}. All errors have one scale; below, the part "
        "where methods err most. Scores are those of all slices of the scan."
    )
    if len(shown.images) > MOST_METHODS:
        caption += f" The first {MOST_METHODS} of {len(shown.images)} methods."
    return picture(closeup(Panel(shown.reference.numpy(), "reference"), panels, area=AREA), caption)
