"""Compare methods: those of several evaluations in one table, or the classical ones on a scan.

    mrirecon compare scores/cg_sense scores/varnet
    mrirecon compare ours/scores.json theirs/scores.json --output comparison.md
    mrirecon compare scan.h5 --slice 8

Files are scores.json of `mrirecon evaluate`, or folders that hold one. Scores that would mislead
in one table are refused, with the field that differs: settings of the protocol and of metrics
(region, scale, metrics.ssim.window, ...), target, references, matrices, volumes, regions, and of
how volumes were made fingerprint (of the raw data), mask, acceleration and acs. --allow FIELD
compares nevertheless, and warns. Other maps, preprocessing, whitening or versions are warned of.
Shows means with intervals over patients, groups of methods that are not told apart, and paired
differences.

Of a single raw file that is fully sampled, it prints the NRMSE of all classical methods.
"""

import argparse
import sys
from pathlib import Path

from mrirecon.commands.compare_scan import compare_scan
from mrirecon.commands.plain import plain_parser, told
from mrirecon.errors import ConfigError, OutputError
from mrirecon.evaluation.stored.pooled import pooled
from mrirecon.evaluation.stored.score_files import as_json, as_page, as_text
from mrirecon.evaluation.stored.scored import read_scores, scores_file
from mrirecon.files import Kind, Untouchable, atomic, output_folder, refuse_existing

WRITERS = {".json": as_json, ".md": as_page}


def main() -> None:
    """Compare what was named, by what it is."""
    parser = plain_parser("compare", __doc__)
    parser.add_argument(
        "input", type=Path, nargs="+", help="scores.json, or a folder with one; or a raw file"
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FIELD",
        help="compare scores though they differ in a field; may be given several times",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="FILE.json or FILE.md")
    parser.add_argument("--overwrite", action="store_true", help="replace an older comparison")
    parser.add_argument("--slice", type=int, help="slice of a raw file, the first by default")
    options = parser.parse_intermixed_args()
    with told("compare"):
        paths = [path.expanduser() for path in options.input]
        if not any(map(_is_scores, paths)):
            _scan(paths, options)
        else:
            _scores(paths, options)


def _is_scores(path: Path) -> bool:
    """Tell whether a path is meant to be scores: a folder, or a file of JSON."""
    return path.is_dir() or path.suffix.lower() == ".json"


def _scan(paths: list[Path], options: argparse.Namespace) -> None:
    if len(paths) > 1:
        raise ConfigError(
            f"{paths[0]} is no file of scores: several files are compared by their scores.json, "
            "which mrirecon evaluate writes; of a raw file name one alone"
        )
    if options.allow or options.output:
        raise ConfigError("--allow and --output are for scores; a raw file has neither")
    compare_scan(paths[0], options.slice or 0)


def _scores(paths: list[Path], options: argparse.Namespace) -> None:
    if options.slice is not None:
        raise ConfigError("--slice is for a raw file; scores are those of whole volumes")
    files = [scores_file(path) for path in paths]
    output: Path | None = options.output
    if output is not None:
        if output.suffix.lower() not in WRITERS:
            raise OutputError(f"--output: expected FILE.json or FILE.md, got {output}")
        Untouchable(files).refuse([output])
        output_folder(output.parent)
        refuse_existing(output, options.overwrite, Kind.COMPARISON, choice="give --overwrite")
    found = pooled([read_scores(file) for file in files], options.allow)
    print(as_text(found))
    for warning in found.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    if output is not None:
        with atomic(output, Kind.COMPARISON, overwrite=options.overwrite) as temporary:
            temporary.write_bytes(WRITERS[output.suffix.lower()](found))
        print(f"wrote {output}", file=sys.stderr)
