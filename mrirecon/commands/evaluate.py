"""``mrirecon evaluate``: compare reconstructions with references."""

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from mrirecon.arguments import check_not_negative
from mrirecon.building import build_kept
from mrirecon.commands.base import command, overrides
from mrirecon.commands.evaluated_cases import evaluated, tell
from mrirecon.commands.evaluation_files import EvaluationFiles
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.config import build, plain
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.regions.scored_apart import read_regions
from mrirecon.evaluation.scores.flow_cases import with_flow
from mrirecon.evaluation.scores.protocol import Protocol
from mrirecon.evaluation.scores.scoring import Case, Rules
from mrirecon.evaluation.scores.volumes import volume_files
from mrirecon.files import output_folder, real_path
from mrirecon.metrics import chosen_metrics, flow_metrics, segmentation_metrics
from mrirecon.metrics.phase_contrast import check_venc


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
    each_label: bool
    workers: int | None
    allow_leak: bool
    reference_dataset: str | None
    reconstruction_dataset: str | None
    provenance: str
    venc: float | Literal["file"] | None
    still: int

    def __post_init__(self) -> None:
        chosen_disclosure(self.provenance)
        check_not_negative(pictures=self.pictures)
        if isinstance(self.venc, float | int):
            check_venc(self.venc)


@command(Settings, groups=("protocol", "segmenter"))
def evaluate(config: DictConfig, settings: Settings) -> None:
    """Score every method on the same volumes; write tables, pictures and a report."""
    protocol = _protocol(config, settings)
    references = volume_files(Path(settings.reference).expanduser())
    methods = _methods(settings.reconstruction)
    names = _common_names(references, methods)
    cases = [
        Case(name, references[name], {method: files[name] for method, files in methods.items()})
        for name in names
    ]
    if settings.venc is not None:
        told = None if settings.venc == "file" else settings.venc
        cases, venc = with_flow(cases, told, settings.still)
        names = [case.name for case in cases]
        protocol = replace(protocol, metrics={**protocol.metrics, **flow_metrics(venc)})
    files = None
    if settings.output:
        folder = output_folder(settings.output)
        files = EvaluationFiles(folder, cases, settings.pictures, settings.overwrite)
        files.refuse()
    makings = Makings.of(cases)
    if not settings.allow_leak:
        makings.refuse_leaks()
    regions = None
    if settings.regions:
        regions = read_regions(Path(settings.regions).expanduser(), names, settings.flip_boxes)
    datasets = settings.reference_dataset, settings.reconstruction_dataset
    rules = Rules(protocol, *datasets, regions)
    found = evaluated(cases, rules, makings, settings.workers)
    tell(found)
    if files is not None:
        files.write(found, rules, told_command(chosen_disclosure(settings.provenance)))
        print(files.written())


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
    if config.segmenter is None and settings.each_label:
        raise ConfigError("each_label=true needs a segmenter, segmenter=tissues say")
    if config.segmenter is not None:
        function = build_kept(plain(config.segmenter, "segmenter"), "segmenter")
        found = segmentation_metrics(function, settings.each_label)
        changes["metrics"] = {**changes.get("metrics", protocol.metrics), **found}
    return replace(protocol, **changes)


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
    if not folders:
        raise ConfigError(
            "reconstruction: expected a folder, a list of folders, or names and folders"
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
