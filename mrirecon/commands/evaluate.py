"""``mrirecon evaluate``: compare reconstructions with references."""

import sys
from pathlib import Path

from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

from mrirecon.commands.base import command, command_line, versions
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation.protocol import Score, score, square
from mrirecon.evaluation.report import report_json, scores_csv, summarize, summary_csv, table
from mrirecon.evaluation.volumes import read_volume, volume_files
from mrirecon.figures import Panel, bars, comparison
from mrirecon.files import atomic, refuse_existing
from mrirecon.metrics import METRICS
from mrirecon.writers import save_figure

TABLES = ("scores.csv", "summary.csv", "scores.json")


@command
def evaluate(config: DictConfig) -> None:
    """Score every method on the same volumes; write tables and pictures."""
    for key in ("reference", "reconstruction"):
        if config[key] is None:
            raise ConfigError(
                f"{key} is missing; usage: mrirecon evaluate reference=FOLDER "
                "reconstruction=FOLDER or reconstruction=[FOLDER,FOLDER] [output=FOLDER]"
            )
    references = volume_files(Path(config.reference))
    methods = _methods(config.reconstruction)
    names = _common_names(references, methods)
    output = Path(config.output) if config.output else None
    if output:
        for name in TABLES:
            refuse_existing(output / name, config.overwrite)
    scores: list[Score] = []
    for place, name in enumerate(tqdm(names, unit="volume", leave=False, disable=None)):
        reference = read_volume(references[name])
        images = {method: read_volume(files[name]) for method, files in methods.items()}
        own = [score(method, name, image, reference) for method, image in images.items()]
        scores += own
        if output and place < config.pictures:
            middle = len(reference) // 2
            shown = {
                method: square(image, reference)[middle].numpy() for method, image in images.items()
            }
            figure = comparison(
                Panel(square(reference, reference)[middle].numpy(), "reference"),
                [
                    Panel(shown[s.method], s.method, f"{s.psnr:.1f} dB, SSIM {s.ssim:.3f}")
                    for s in own
                ],
                title=f"{name}, slice {middle + 1}; scores of the whole volume",
            )
            save_figure(output / f"comparison_{name}.png", figure, overwrite=config.overwrite)
    summaries = summarize(scores)
    print(table(summaries))
    if output:
        facts = {"command": command_line(), "versions": versions(), "protocol": "fastMRI"}
        contents = (
            scores_csv(scores), summary_csv(summaries), report_json(scores, summaries, **facts)
        )  # fmt: skip
        for name, content in zip(TABLES, contents, strict=True):
            with atomic(output / name, overwrite=config.overwrite) as temporary:
                temporary.write_text(content)
        figure = bars(
            {m: {s.method: [getattr(x, m) for x in scores if x.method == s.method]
                 for s in summaries} for m in METRICS},
            title=f"{len(names)} volumes",
        )  # fmt: skip
        save_figure(output / "scores.png", figure, overwrite=config.overwrite)
        print(f"wrote {', '.join(TABLES)}, scores.png and comparisons to {output}")


def _methods(reconstruction: str | ListConfig | DictConfig) -> dict[str, dict[str, Path]]:
    """Return the volumes of each method; a folder names its method unless the user does."""
    if isinstance(reconstruction, DictConfig):
        folders = {str(name): Path(path) for name, path in reconstruction.items()}
    else:
        paths = [reconstruction] if isinstance(reconstruction, str) else list(reconstruction)
        folders = {Path(path).stem: Path(path) for path in paths}
        if len(folders) < len(paths):
            raise ConfigError(
                f"reconstruction: {', '.join(paths)} have the same name; name the methods: "
                "reconstruction={first: FOLDER, second: FOLDER}"
            )
    return {method: volume_files(folder) for method, folder in folders.items()}


def _common_names(references: dict[str, Path], methods: dict[str, dict[str, Path]]) -> list[str]:
    """Return the volumes that every method must have: those of the first that has a reference."""
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
        raise RawDataError(
            f"methods can only be compared on the same volumes:\n{shown}"
            + (f"\n  ... and {len(problems) - 20} more" if len(problems) > 20 else "")
        )
    if extra := sorted(references.keys() - wanted):
        print(f"note: {len(extra)} references have no reconstruction", file=sys.stderr)
    return wanted


main = evaluate
