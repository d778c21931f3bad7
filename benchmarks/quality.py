r"""How good the methods are at equal size and equal steps: python benchmarks/quality.py.

Simulated brains, nothing else. Every network has 150,000 parameters (within a tenth), sees the same
training slices with the same masks (R = 4, one mask per patient) in the same order for the same
number of steps with the same maps, and is scored on patients that nothing was chosen by. The maps
are ESPIRiT's with the phase of the object, so that images are nearly real; "plain maps" leave that
phase in the image. The validation patients choose the best epoch, the weight of the wavelets and
the learning rate: the best of --rates after a quarter of the steps; a single one is taken as it is.
Networks are trained by `mrirecon train`, each in a process of its own.

About an hour and a half on one core. A row that is in the results already is not computed again; an
interrupted training goes on.

    python benchmarks/quality.py                       # all rows, tables
    python benchmarks/quality.py --only U-Net VarNet   # these rows; --again repeats them
    python benchmarks/quality.py --tables              # only print what is known
    python benchmarks/quality.py --patients 20 --rates 0.004 --only U-Net VarNet \
        --output outputs/quality/few_patients.json
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from quality_scans import Kept
from quality_statistics import (
    Row,
    Scores,
    acceleration_table,
    claims_table,
    drop_table,
    main_table,
)
from quality_study import (
    KERNEL,
    METHODS,
    TRAINED_AT,
    Condition,
    Method,
    Scale,
    common,
    conditions,
    sensitivity,
)
from table import RESULTS

from mrirecon.config import build
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.evaluation.scores.protocol import score
from mrirecon.inference import reconstruct_scan
from mrirecon.metrics import METRICS
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.l1_wavelet import L1Wavelet
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sensitivity import CachedMaps, Espirit, PhasedMaps
from mrirecon.training.checkpoint import read_checkpoint

WEIGHTS = (2e-3, 5e-3, 1e-2, 2e-2)
CLASSICAL = ("zero-filled", "L1-wavelet")
LABELS = (*CLASSICAL, *(method.label for method in METHODS))


@dataclass(frozen=True)
class Study:
    """Everything at one scale; trained networks lie in ``work``."""

    scale: Scale
    work: Path

    def compute(self, label: str) -> Row:
        """Train or tune a method and score it under every condition."""
        if label == "zero-filled":
            return self._row(label, ZeroFilled())
        if label == "L1-wavelet":
            tried = {weight: self._validate(self._wavelet(weight)) for weight in WEIGHTS}
            weight = max(tried, key=tried.__getitem__)
            return self._row(label, self._wavelet(weight), weight, tried)
        method = _method(label)
        tried = self._sweep(_method(method.rate_of) if method.rate_of else method)
        rate = max(tried, key=tried.__getitem__)
        model, seconds = self._train(method, 1.0, rate)
        return self._row(label, model, rate, tried, seconds)

    def forget(self, label: str) -> None:
        """Remove the trained networks of a method."""
        for folder in self._home().glob(f"{_slug(label)}_*"):
            shutil.rmtree(folder)

    @property
    def maps(self) -> Path:
        """Where ESPIRiT's maps are kept."""
        return self.work / "maps"

    def _wavelet(self, weight: float) -> L1Wavelet:
        maps = CachedMaps(Espirit(kernel=KERNEL), str(self.maps))
        return L1Wavelet(PhasedMaps(maps), weight)

    def _home(self) -> Path:
        s = self.scale
        return self.work / f"{s.size}_{s.patients}x{s.slices}_{s.val}"

    def _sweep(self, method: Method) -> dict[float, float]:
        if len(self.scale.rates) == 1:
            return {self.scale.rates[0]: 0.0}
        return {
            rate: self._validate(self._train(method, self.scale.sweep, rate)[0])
            for rate in self.scale.rates
        }

    def _train(self, method: Method, share: float, rate: float) -> tuple[Reconstructor, float]:
        """Return the network that was best in validation, and the seconds it took."""
        steps = self.scale.epochs * self.scale.batches(share)
        folder = self._home() / f"{_slug(method.label)}_{steps}_{rate:g}"
        maps = sensitivity(self.maps, method.phased) if method.maps else []
        usual = common(self.scale, share, rate, self.work / "scans")
        settings = [*usual, *maps, *method.overrides]
        _claim(folder, settings)
        finished, last = folder / "seconds.txt", folder / "checkpoints" / "last.ckpt"
        if not finished.exists():
            resume = [f"resume={last}"] if last.exists() else []
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "mrirecon.cli", "train", *settings, *resume,
                 f"output={folder}"],
                capture_output=True, text=True, check=False, env=_environment(),
            )  # fmt: skip
            if done.returncode:
                sys.exit(f"quality: training {method.label} failed:\n{done.stdout}{done.stderr}")
            finished.write_text(f"{time.perf_counter() - started:.1f}")
        checkpoint = read_checkpoint(folder / "checkpoints" / "best.ckpt")
        assert checkpoint.recipe is not None
        model = build(checkpoint.recipe.model, Reconstructor, "model")
        model.load_state_dict(checkpoint.weights)
        return model, float(finished.read_text())

    def _validate(self, model: Reconstructor) -> float:
        usual = next(c for c in conditions(self.scale) if c.label == TRAINED_AT)
        found = score_all(model, usual, "val", self.scale.val)["ssim"]
        return sum(found) / len(found)

    def _row(
        self,
        label: str,
        model: Reconstructor,
        setting: float = 0.0,
        tried: dict[float, float] | None = None,
        seconds: float = 0.0,
    ) -> Row:
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        known = {f"{value:g}": result for value, result in (tried or {}).items()}
        scores: Scores = {
            condition.label: score_all(model, condition, "test", self.scale.test)
            for condition in conditions(self.scale)
        }
        return Row(label, parameters, setting, known, seconds, scores)


@cache
def kept_scans(condition: Condition, subjects: str, count: int) -> list[Kept]:
    """Return the patients of a set."""
    return [Kept(scan.header, list(scan)) for scan in condition.scans(subjects, count)]


def score_all(
    model: Reconstructor, condition: Condition, subjects: str, count: int
) -> dict[str, list[float]]:
    """Return every metric of every patient's volume, in physical units, as `evaluate` does."""
    transform = Compose([Undersample(condition.pattern), Normalize()])
    scores = []
    for scan in kept_scans(condition, subjects, count):
        volume = reconstruct_scan(scan, model, transform)
        reference = torch.stack([sample.target for sample in scan])
        scores.append(score("", scan.header.name, volume, reference))
    return {name: [round(s.values[name], 6) for s in scores] for name in METRICS}


def _method(label: str) -> Method:
    return next(method for method in METHODS if method.label == label)


def _environment() -> dict[str, str]:
    """Return the variables of a process that finds the modules beside this one."""
    here = str(Path(__file__).resolve().parent)
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{known}" if known else here}


def _claim(folder: Path, settings: Sequence[str]) -> None:
    """Make the folder of a training; one that was made with other settings is cleared."""
    note, text = folder / "settings.txt", "\n".join(settings)
    if folder.exists() and not (note.exists() and note.read_text() == text):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(text)


def _slug(label: str) -> str:
    return re.sub("[^a-z0-9]+", "-", label.lower())


def read_rows(path: Path, scale: Scale | None) -> dict[str, Row]:
    """Return the rows of a file, which must be of the same scale, if one is given."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text())
    if scale and content["scale"] != json.loads(json.dumps(asdict(scale))):
        sys.exit(
            f"quality: {path} holds a study of {content['scale']}, not of {asdict(scale)}; name "
            "another file with --output, or remove that one"
        )
    return {row["label"]: Row(**row) for row in content["rows"]}


def write_rows(path: Path, scale: Scale, rows: Sequence[Row]) -> None:
    """Write the file, a line per row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
    head = f'"simulated": true,\n"scale": {json.dumps(asdict(scale))}'
    path.write_text(f'{{{head},\n"rows": [\n{lines}\n]}}\n')


def report(rows: Sequence[Row]) -> str:
    """Return all tables as Markdown."""
    tables = [main_table(rows), claims_table(rows), acceleration_table(rows), drop_table(rows)]
    return "\n\n".join(tables)


def main() -> None:
    """Compute what is missing, row by row, and print the tables."""
    options = _arguments()
    scale = Scale(size=options.size, patients=options.patients, test=options.test,
                  rates=tuple(options.rates), val=options.val, slices=options.slices)  # fmt: skip
    slices = scale.patients * scale.slices
    scale = replace(scale, epochs=max(1, round(options.steps / slices)))
    rows = read_rows(options.output, None if options.tables else scale)
    study = Study(scale, options.work.resolve())
    for label in () if options.tables else options.only:
        if label in rows and not options.again:
            continue
        if options.again:
            study.forget(label)
        rows[label] = study.compute(label)
        print(f"{label}: SSIM {rows[label].values().mean():.4f}", flush=True)
        rows = {name: rows[name] for name in LABELS if name in rows}
        write_rows(options.output, scale, list(rows.values()))
    if rows:
        print("\n" + report(list(rows.values())))


def _arguments() -> argparse.Namespace:
    usual = Scale()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=LABELS, default=LABELS, metavar="METHOD")
    parser.add_argument("--again", action="store_true", help="repeat rows that are known")
    parser.add_argument("--tables", action="store_true", help="only print what is known")
    parser.add_argument("--size", type=int, default=usual.size)
    parser.add_argument("--slices", type=int, default=usual.slices, help="of a patient")
    for name in ("patients", "val", "test"):
        parser.add_argument(f"--{name}", type=int, default=getattr(usual, name))
    parser.add_argument("--steps", type=int, default=usual.steps, help="rounded to whole epochs")
    parser.add_argument("--rates", type=float, nargs="+", default=usual.rates)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality.json")
    parser.add_argument("--work", type=Path, default=Path("outputs/quality"))
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
