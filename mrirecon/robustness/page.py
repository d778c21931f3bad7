"""The page of a stress test: where methods fall, curves, and the worst picture of each shift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrirecon.counting import counted
from mrirecon.evaluation.scores.protocol import Protocol
from mrirecon.files import Kind
from mrirecon.metrics import MetricInfo
from mrirecon.pages import Text, document, grid, html, section, table, wide
from mrirecon.reconstruction import Provenance
from mrirecon.robustness.findings import Fall, Findings, Spread
from mrirecon.robustness.pictures import curves_picture, worst_picture
from mrirecon.robustness.result import NOMINAL
from mrirecon.robustness.shift import Level, Shift
from mrirecon.robustness.tables import change_words, exceeds, level_text
from mrirecon.robustness.worst_case import WorstCase


@dataclass(frozen=True)
class Told:
    """What a page tells beside the findings.

    Attributes:
        shifts: Shifts by name.
        neutral: Level of each shift at which nothing changes.
        protocol: Protocol that scored.
        made: How the nominal images of each method were made.
        setting: Words on scans, references and sampling.
        margin: Fall of the leading metric from which on it is marked.
        warnings: Sentences about what is missing or doubtful.
        command: Command that made the page.
        versions: Versions of what computed.
    """

    shifts: Mapping[str, Shift | WorstCase]
    neutral: Mapping[str, Level]
    protocol: Protocol
    made: Mapping[str, Provenance]
    setting: Sequence[str]
    margin: float
    warnings: Sequence[str]
    command: str
    versions: Sequence[str]


def as_page(findings: Findings, told: Told) -> Text:
    """Return the page.

    Args:
        findings: What was found.
        told: What there is to tell beside.
    """
    methods = list(findings.learned)
    scans = len({r.scan for r in findings.results})
    subtitle = (
        f"{counted(len(methods), 'method')}, {counted(len(told.shifts), 'shift')}, "
        f"{counted(scans, 'scan')}, protocol {told.protocol.name}"
    )
    done = [name for name in told.shifts if findings.levels(name)]
    parts = [
        section("What was done", _paragraphs(told.setting)),
        _warnings(told.warnings),
        _falls(findings, told, done),
        _nominal(findings, told),
        *(_shift(findings, told, name) for name in done),
        _made(told, methods),
        section(
            "This report",
            table([("command", told.command), ("versions", ", ".join(told.versions))]),
        ),
    ]
    return document(f"Stress test: {', '.join(methods)}", subtitle, parts, Kind.STRESS)


def _paragraphs(sentences: Sequence[str]) -> Text:
    return Text("".join(f"<p>{html(one)}</p>" for one in sentences if one))


def _warnings(found: Sequence[str]) -> Text:
    if not found:
        return Text("")
    items = "".join(f"<li>{html(one)}</li>" for one in found)
    return section("Warnings", Text(f"<ul>{items}</ul>"), "warnings")


def _falls(findings: Findings, told: Told, done: Sequence[str]) -> Text:
    if not done:
        return Text("")
    methods, info = list(findings.learned), findings.info
    rows = [
        [told.shifts[shift].title, *(_fall(fall, findings, told) for fall in findings.falls(shift))]
        for shift in done
    ]
    margin = info.text(told.margin)
    sentences = [
        f"Change of {info.title} from that of the same scan as it is, mean over scans, at the "
        f"level where it is worst. Red where it falls by more than {margin} {info.unit}".rstrip()
        + ". Below, the classical method that is ahead of it furthest, and at which level. The "
        "reference changes with some shifts, and the data range of the metric with it.",
    ]
    classical = [name for name, learned in findings.learned.items() if not learned]
    if not classical:
        sentences.append("There is no classical method to compare with.")
    content = Text(wide(grid(["shift", *methods], rows)) + _paragraphs(sentences))
    return section("Where methods fall", content)


def _fall(fall: Fall, findings: Findings, told: Told) -> Text:
    if fall.fall is None:
        return Text(html(f"{fall.failures} images failed" if fall.failures else "not tried"))
    words = f"{change_words(fall.fall.mean, findings)} at {level_text(fall.level)}"
    text = html(words)
    if exceeds(fall, told.margin):
        text = Text(f'<b class="problem">{text}</b>')
    if fall.failures:
        text = Text(f'{text}, <span class="problem">{fall.failures} failed</span>')
    if fall.behind is not None:
        behind = (
            f"{change_words(fall.behind.mean, findings)} against {fall.rival} "
            f"at {level_text(fall.rival_level)}"
        )
        text = Text(f'{text}<br><span class="suspicion">{html(behind)}</span>')
    return text


def _nominal(findings: Findings, told: Told) -> Text:
    head = ["method", "kind", "scans", *(i.heading for i in told.protocol.infos.values())]
    rows = []
    for method, learned in findings.learned.items():
        own = findings.of(NOMINAL, method)
        cells = [
            _spread(Spread.of(r.values[m] for r in own if r.values), info)
            for m, info in told.protocol.infos.items()
        ]
        rows.append([method, "learned" if learned else "classical", str(len(own)), *cells])
    return section("As it is", wide(grid(head, rows)))


def _spread(spread: Spread | None, info: MetricInfo | None = None) -> str:
    if spread is None:
        return ""
    text = info.text if info else "{:.3g}".format
    if spread.scans == 1:
        return text(spread.mean)
    return f"{text(spread.mean)} [{text(spread.low)}, {text(spread.high)}]"


def _shift(findings: Findings, told: Told, name: str) -> Text:
    shift = told.shifts[name]
    infos = list(told.protocol.infos.values())
    neutral = told.neutral.get(name, 0.0)
    pictures = [curves_picture(findings, name, shift.axis, neutral, infos)]
    if shown := findings.pictures.get(name):
        pictures.append(worst_picture(shown, findings))
    remarks = sorted({f"{r.method}: {r.remark}" for r in findings.results
                      if r.shift == name and r.remark})  # fmt: skip
    failures = sorted({f"{r.method} at {level_text(r.level)}: {r.failure}"
                       for r in findings.results if r.shift == name and r.failure})  # fmt: skip
    doubted = sum(bool(r.doubts) for r in findings.results if r.shift == name)
    sentences = [shift.about, *remarks, *failures]
    if doubted:
        sentences.append(
            f"{counted(doubted, 'reconstruction')} warned that the data are unlike what the "
            "weights have learned from."
        )
    row = Text(f'<div class="row">{"".join(pictures)}</div>')
    numbers = Text(f"<details><summary>numbers</summary>{_numbers(findings, told, name)}</details>")
    title = shift.title[0].upper() + shift.title[1:]
    return section(title, Text(_paragraphs(sentences) + row + numbers))


def _numbers(findings: Findings, told: Told, name: str) -> Text:
    infos, extra = told.protocol.infos, findings.quantities(name)
    head = ["level", "method", "R", *(i.heading for i in infos.values()),
            *(one.replace("_", " ") for one in extra)]  # fmt: skip
    rows = []
    for level in findings.levels(name):
        for method in findings.learned:
            own = [r for r in findings.of(name, method) if r.level == level and r.values]
            if not own:
                continue
            rate = Spread.of(r.acceleration for r in own)
            rows.append([
                level_text(level), method, f"{rate.mean:.2f}" if rate else "",
                *(_spread(Spread.of(r.values[m] for r in own), i) for m, i in infos.items()),
                *(_spread(Spread.of(r.measured[m] for r in own if m in r.measured),
                          infos.get(m.removeprefix("random_"))) for m in extra),
            ])  # fmt: skip
    return wide(grid(head, rows))


def _made(told: Told, methods: Sequence[str]) -> Text:
    rows = []
    for method in methods:
        made = told.made.get(method)
        if made is None:
            continue
        rows.append([
            method, made.method, made.checkpoint or "none", made.pattern,
            f"{made.acceleration:.2f}", f"{made.acs[0]} x {made.acs[1]}",
            f"{made.seconds_per_plane:.2f}", f"{made.memory:.0f}",
        ])  # fmt: skip
    head = ("method", "class", "weights", "mask of the first scan", "R", "fully sampled centre",
            "seconds per slice", "peak memory / MB")  # fmt: skip
    return section("How the images were made", wide(grid(head, rows), "facts"))
