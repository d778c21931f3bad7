r"""Any method against the best classical one on measured scans: python benchmarks/measured.py FILE.

FILE is fully sampled, of any format that mrirecon reads. Each slice is undersampled: every third,
fourth and sixth line with 24 of calibration (also 16 on narrow grids), and Poisson discs of R = 4,
6 and 8. CG-SENSE, L1-wavelet and TV of mrirecon, sigpy and BART (where it is on the PATH) each take
the weight that is best for this very image, with maps that end at the object and such that do not:
no user can do as well. ``--also`` builds others as ``mrirecon reconstruct`` does; a name for the
tables may come first.

Magnitudes are compared with the coil combination by ESPIRiT maps of the full data and with the
root-sum-of-squares, in all of the image and where the object is, after the factor of least squares
has been removed from all alike (``unscaled``: without that). ``--uniform 1`` takes nothing away:
for pictures of scans that cannot be undersampled, of a single coil for instance.

    python benchmarks/measured.py brain.h5 --slices 3 --also "model=tgv" \
        --also "MoDL: model=modl checkpoint=run/checkpoints/best.ckpt" --pictures outputs/pictures

Results of classical methods are kept in ``cache.json`` of ``--output`` by the content of file and
mask and by version, those of ``--also`` are computed every time. Tables go to ``table.md`` and
``table.json`` there.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from measured_cases import MEASURES, Case, Planes, cases
from measured_methods import CG, L1, TGV, TV, Also, Program, programs, zero_filled
from measured_search import Cache, Result, best, classical
from measured_tables import Outcome, markdown, summary, table, text

from mrirecon.errors import MriReconError
from mrirecon.figures import comparison, save_figure
from mrirecon.figures.comparison import Panel

SHOWN = MEASURES[0]
"""The measure by which pictures choose and are scaled."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="fully sampled raw files")
    parser.add_argument("--slices", nargs="+", type=int, help="planes of each file; all without")
    parser.add_argument("--uniform", nargs="*", type=int, default=[3, 4, 6], help="1: all lines")
    parser.add_argument("--poisson", nargs="*", type=float, default=[4, 6, 8])
    parser.add_argument("--acs", nargs="+", type=int, help="central lines of the uniform ones")
    parser.add_argument("--also", action="append", default=[], metavar="WORDS")
    parser.add_argument(
        "--only",
        nargs="*",
        choices=(CG, L1, TV, TGV),
        default=[CG, L1, TV],
        help="classical methods; TGV is shown, but not among the best of all",
    )
    parser.add_argument("--output", type=Path, default=Path("outputs/measured"))
    parser.add_argument("--cache", type=Path, help="file of known results, when elsewhere")
    parser.add_argument("--pictures", type=Path, help="folder of pictures of every case")
    parser.add_argument("--again", action="store_true", help="compute what is known anew")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(words)  # fmt: skip


def outcome(
    case: Case, others: Sequence[Also], cache: Cache, kinds: list[str], folder: Path | None
) -> Outcome:
    """Compute all methods on a case, and draw them if there is a folder."""
    known = programs(case)
    found, images, also = classical(case, known, kinds, cache), {}, {}
    for other in others:
        made = other.make(case)
        for warning in made.warnings:
            print(f"  {case.name}, {other.name}: WARNING: {warning}", flush=True)
        also[other.name] = Result(
            case.name, case.acceleration, other.name, "", "", None, made.seconds,
            case.scores(made.image),
        )  # fmt: skip
        images[other.name] = made.image
    result = Outcome(found, also)
    if folder is not None:
        draw(case, result, known, images, folder)
    return result


def draw(
    case: Case, result: Outcome, known: Sequence[Program], images: dict[str, torch.Tensor],
    folder: Path,
) -> None:  # fmt: skip
    """Write reference, best classical image and the others with their error maps."""
    top = best(result.judged, SHOWN)
    assert top is not None
    if top.weight is None:
        image = zero_filled(case)
    else:
        program = next(p for p in known if p.name == top.program)
        image = program.image(top.kind, top.maps, top.weight)
    reference = case.references[0]

    def panel(image: torch.Tensor, title: str, scores: dict[str, float]) -> Panel:
        x = case.shown(image.abs()).float()
        factor = (x * reference).sum() / x.square().sum().clamp_min(1e-30)
        caption = f"{scores['psnr']:.2f} dB, SSIM {scores['ssim']:.3f}"
        return Panel((x * factor)[0].numpy(), title, caption)

    panels = [panel(image, top.setting, top.scores[SHOWN])]
    panels += [panel(images[name], name, one.scores[SHOWN]) for name, one in result.also.items()]
    figure = comparison(
        Panel(reference[0].numpy(), "fully sampled"), panels,
        title=f"{case.name}, R = {case.acceleration:.2f}",
    )  # fmt: skip
    words = "".join(c if c.isalnum() else "_" for c in case.name)
    tag = hashlib.sha256(" ".join(images).encode()).hexdigest()[:6] if images else "classical"
    save_figure(folder / f"{words}_{tag}.png", figure, overwrite=True)


def printed(outcomes: Sequence[Outcome]) -> None:
    """Print the tables."""
    for measure in MEASURES:
        print(f"\n{measure}: PSNR in dB / SSIM, each with its best weight")
        print(text(table(outcomes, measure)))
    print("", *summary(outcomes), sep="\n", flush=True)


def written(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write the tables as Markdown and JSON."""
    lines = summary(outcomes)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"### {measure}\n\n{markdown(table(outcomes, measure))}" for measure in MEASURES]
    parts += ["\n".join(f"- {line}" for line in lines)] if lines else []
    (folder / "table.md").write_text("\n\n".join(parts) + "\n")
    rows = [
        {
            "case": one.name, "acceleration": one.acceleration,
            "best": {m: asdict(top) for m in MEASURES if (top := best(one.judged, m))},
            "also": {name: asdict(result) for name, result in one.also.items()},
        }
        for one in outcomes
    ]  # fmt: skip
    (folder / "table.json").write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    """Read the command line and say in one line what is wrong with it."""
    try:
        measure(arguments())
    except MriReconError as error:
        sys.exit(f"measured.py: {error}")


def measure(options: argparse.Namespace) -> None:
    """Go through files, slices and patterns."""
    torch.set_num_threads(options.threads)
    others = [Also(words) for words in options.also]
    cache = Cache(options.cache or options.output / "cache.json", options.again)
    files = [Planes(path, options.slices) for path in options.files]  # before anything takes long
    outcomes = []
    for planes in files:
        for case in cases(planes, options.uniform, options.poisson, options.acs):
            done = outcome(case, others, cache, options.only, options.pictures)
            top = best(done.judged, SHOWN)
            assert top is not None
            said = f"{case.name}, R = {case.acceleration:.2f}: {top.setting} "
            print(f"{said}{top.scores[SHOWN]['psnr']:.2f} dB", flush=True)
            if case.acceleration > 1:  # else there are pictures, and nothing to score
                outcomes.append(done)
            written(outcomes, options.output)  # a long run may be stopped
    printed(outcomes)


if __name__ == "__main__":
    main()
