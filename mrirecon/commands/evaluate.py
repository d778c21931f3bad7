"""``mrirecon evaluate``: compare reconstructions with references."""

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure
from omegaconf import DictConfig
from tqdm import tqdm

from mrirecon.commands.base import command, overrides
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.config import build
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation.makings import Makings
from mrirecon.evaluation.observed import Observed
from mrirecon.evaluation.protocol import Protocol, Score, compared, region
from mrirecon.evaluation.regions import read_regions
from mrirecon.evaluation.report import (
    Summary,
    report_json,
    scores_csv,
    summarize,
    summary_csv,
    table,
)
from mrirecon.evaluation.scoring import Case, Rules, score_cases, workers_for
from mrirecon.evaluation.standings import ranking_lines, standings
from mrirecon.evaluation.volumes import read_volume, volume_files
from mrirecon.figures import Boxes, Panel, bars, comparison, save_figure
from mrirecon.files import (
    REPORT,
    Kind,
    Untouchable,
    atomic,
    mark,
    output_folder,
    real_path,
    refuse_existing,
    stamped,
    tables_mark,
)
from mrirecon.metrics import chosen_metrics
from mrirecon.terminal import draws_bars
from mrirecon.versions import versions

TABLES = ("scores.csv", "summary.csv")
BOXES = "scores.png"


@dataclass(frozen=True)
class Settings:
    """mrirecon evaluate reference=FOLDER reconstruction=[FOLDER,FOLDER] [output=FOLDER]."""

    reference: str
    reconstruction: str | list[str] | dict[str, str]
    output: str | None
    pictures: int
    overwrite: bool
    metrics: str | list[Any] | dict[str, Any] | None
    region: Literal["whole", "square"] | None
    scale: Literal["none", "least_squares"] | None
    foreground: bool | None
    regions: str | None
    flip_boxes: bool
    workers: int | None
    reference_dataset: str | None
    reconstruction_dataset: str | None
    provenance: str

    def __post_init__(self) -> None:
        chosen_disclosure(self.provenance)


@command(Settings, groups=("protocol",))
def evaluate(config: DictConfig, settings: Settings) -> None:
    """Score every method on the same volumes; write tables and pictures."""
    protocol = _protocol(config, settings)
    references = volume_files(Path(settings.reference).expanduser())
    methods = _methods(settings.reconstruction)
    names = _common_names(references, methods)
    drawn = names[: settings.pictures] if settings.output else []
    read = [file for files in methods.values() for file in files.values()]
    output = output_folder(settings.output or ".")
    if settings.output:
        _refuse(output, drawn, [*references.values(), *read], settings.overwrite)
    regions = None
    if settings.regions:
        regions = read_regions(Path(settings.regions).expanduser(), names, settings.flip_boxes)
    datasets = settings.reference_dataset, settings.reconstruction_dataset
    rules = Rules(protocol, *datasets, regions)
    cases = [
        Case(name, references[name], {method: files[name] for method, files in methods.items()})
        for name in names
    ]
    scores, seen = _score(cases, rules, settings.workers)
    makings = Makings.of(cases)
    ranked = standings(scores, makings.patients, protocol.infos)
    print(table(summarize(scores, makings.patients), protocol.infos))
    print(seen.definition(protocol))
    for line in ranking_lines(ranked, protocol.infos):
        print(line)
    if told := seen.unexplained():
        print(told)
    for warning in (*seen.warnings(protocol), *makings.warnings()):
        print(f"WARNING: {warning}", file=sys.stderr)
    for case in cases[: len(drawn)]:
        figure = _compare(case, rules, scores)
        save_figure(output / _picture(case.name), figure, overwrite=settings.overwrite)
    if settings.output:
        command_line = told_command(chosen_disclosure(settings.provenance))
        facts: dict[str, object] = {
            "command": command_line,
            "versions": versions(),
            "protocol": seen.facts(protocol),
            "made": makings.facts(),
            "standings": [one.facts() for one in ranked],
        }
        summaries = summarize(scores, makings.patients)
        _write(output, scores, summaries, protocol, facts, settings.overwrite)


def _protocol(config: DictConfig, settings: Settings) -> Protocol:
    """Return the chosen protocol, with what the command line changes of it."""
    protocol = build(config.protocol, Protocol, "protocol")
    changes: dict[str, Any] = {
        name: value
        for name in ("region", "scale", "foreground")
        if (value := getattr(settings, name)) not in (None, getattr(protocol, name))
    }
    told = [f"{name}={value}" for name, value in changes.items()]
    told += [one.lstrip("+~") for one in overrides() if re.match(r"[+~]*protocol\.", one)]
    if told:  # it is another one than was published
        changes["name"] = f"{protocol.name} ({', '.join(told)})"
    if settings.metrics is not None:
        changes["metrics"] = chosen_metrics(settings.metrics, protocol.metrics)
    return replace(protocol, **changes)


def _refuse(output: Path, drawn: list[str], read: list[Path], overwrite: bool) -> None:
    """Refuse what may not be replaced before anything is computed."""
    kinds = {**dict.fromkeys(TABLES, Kind.TABLE), REPORT: Kind.SCORES}
    kinds |= dict.fromkeys((BOXES, *map(_picture, drawn)), Kind.PICTURE)
    Untouchable(read).refuse(output / name for name in kinds)
    for name, kind in kinds.items():
        refuse_existing(output / name, overwrite, kind)


def _picture(name: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*folders, f"comparison_{last}.png"])


def _score(cases: list[Case], rules: Rules, asked: int | None) -> tuple[list[Score], Observed]:
    """Score all volumes, and show how far it is."""
    scores: list[Score] = []
    seen = Observed()
    outcomes = score_cases(cases, rules, workers_for(len(cases), asked))
    for outcome in tqdm(
        outcomes, total=len(cases), unit="volume", leave=False, disable=not draws_bars()
    ):
        scores += outcome.scores
        seen.add(outcome.seen)
    return scores, seen


def _compare(case: Case, rules: Rules, scores: list[Score]) -> Figure:
    """Draw the middle slice of every method, as it is compared."""
    protocol, panels = rules.protocol, []
    reference = read_volume(case.reference, rules.reference_dataset).values
    shown = region(reference, reference, protocol)
    middle = len(shown) // 2
    for method, path in case.images.items():
        image = read_volume(path, rules.reconstruction_dataset).values
        picture = compared(method, case.name, image, reference, protocol)[0][middle].numpy()
        (own,) = [s for s in scores if (s.method, s.volume, s.region) == (method, case.name, "")]
        panels.append(Panel(picture, method, _caption(own, protocol)))
    return comparison(
        Panel(shown[middle].numpy(), "reference"),
        panels,
        title=f"{case.name}, slice {protocol.ends + middle + 1}; scores of the whole volume",
    )


def _caption(score: Score, protocol: Protocol) -> str:
    """Tell the scores that fit below a picture, those of images first that everybody knows."""
    shown = sorted(protocol.infos, key=lambda name: name not in ("psnr", "ssim"))[:2]
    infos = [(protocol.infos[name], score.values[name]) for name in shown]
    return ", ".join(
        f"{value:.1f} {info.unit}" if info.unit else f"{info.title} {value:.3f}"
        for info, value in infos
    )


def _write(
    output: Path,
    scores: list[Score],
    summaries: list[Summary],
    protocol: Protocol,
    told: dict[str, object],
    overwrite: bool,
) -> None:
    contents = (scores_csv(scores).encode(), summary_csv(summaries).encode())
    tables = dict(zip(TABLES, contents, strict=True))
    for name, content in tables.items():
        with atomic(output / name, Kind.TABLE, overwrite=overwrite) as temporary:
            temporary.write_bytes(content)
    facts = {"output": mark(Kind.SCORES), "tables": tables_mark(tables), **told}
    report = stamped(report_json(scores, summaries, protocol.infos, **facts).encode(), Kind.SCORES)
    with atomic(output / REPORT, Kind.SCORES, overwrite=overwrite) as temporary:
        temporary.write_bytes(report)
    whole = [score for score in scores if not score.region]
    methods = dict.fromkeys(score.method for score in whole)
    boxes = [
        Boxes(
            info.title,
            info.meaning,
            {m: [x.values[name] for x in whole if x.method == m] for m in methods},
        )
        for name, info in protocol.infos.items()
    ]
    figure = bars(boxes, title=f"{summaries[0].volumes} volumes")
    save_figure(output / BOXES, figure, overwrite=overwrite)
    print(f"wrote {', '.join(TABLES)}, {REPORT}, {BOXES} and comparisons to {output}")


def _methods(reconstruction: str | list[str] | dict[str, str]) -> dict[str, dict[str, Path]]:
    """Return the volumes of each method; a folder names its method unless the user does."""
    if isinstance(reconstruction, dict):
        folders = {name: Path(path) for name, path in reconstruction.items()}
    else:
        paths = [reconstruction] if isinstance(reconstruction, str) else reconstruction
        folders = {_label(Path(path)): Path(path) for path in paths}
        if len(folders) < len(paths):
            raise ConfigError(
                f"reconstruction: {', '.join(paths)} have the same name; name the methods: "
                "reconstruction={first: FOLDER, second: FOLDER}"
            )
    return {method: volume_files(folder) for method, folder in folders.items()}


def _label(path: Path) -> str:
    return path.stem if path.is_file() else real_path(path).name


def _common_names(references: dict[str, Path], methods: dict[str, dict[str, Path]]) -> list[str]:
    """Return the volumes of all methods; each method must have each, and a reference."""
    wanted = sorted(set().union(*methods.values()))
    problems = [f"no reference for {name}" for name in wanted if name not in references]
    problems += [
        f"{method} lacks {name}"
        for method, files in methods.items()
        for name in wanted
        if name not in files
    ]
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:20])
        more = f"\n  ... and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise RawDataError(f"methods can only be compared on the same volumes:\n{shown}{more}")
    if extra := sorted(references.keys() - wanted):
        print(f"note: {len(extra)} references have no reconstruction", file=sys.stderr)
    return wanted


main = evaluate
