"""``mrirecon inspect``: what is in a raw file, before anything is computed."""

import argparse
import importlib
import json
import os
import re
import sys
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from mrirecon.commands.pipes import STANDARD, standard_input
from mrirecon.commands.plain import plain_parser
from mrirecon.data.raw_files import raw_files
from mrirecon.errors import MriReconError
from mrirecon.inspection import as_dict, as_text, inspect_file
from mrirecon.read_options import ReadOptions

if TYPE_CHECKING:
    from mrirecon.commands.inspected_method import InspectedMethod


def main() -> None:
    """Report on each file; go on after a bad one, and fail at the end if any failed."""
    parser = plain_parser("inspect", __doc__)
    parser.add_argument(
        "path",
        nargs="+",
        help="raw files, folders of them, or - for standard input; and choices of "
        "a method as in mrirecon reconstruct, model=varnet, whose memory and time are told",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument(
        "--patient", action="store_true", help="tell the patient's id in --json, not a pseudonym"
    )
    parser.add_argument("--pattern", default="*", help="which files; '**/*.mat' looks below")
    choices = parser.add_argument_group("how to read", "as reading.… of mrirecon reconstruct")
    choices.add_argument("--measurement", help="of several: an HDF5 group or a number")
    choices.add_argument("--noise", help="another file with the noise scan")
    choices.add_argument("--center", type=int, help="phase-encoding counter of k = 0")
    choices.add_argument("--fourier-sign", type=int, choices=(1, -1))
    choices.add_argument("--axes", help="of a plain array, for instance 'slice coil h w'")
    choices.add_argument("--variable", help="name of the array with k-space, of several")
    choices.add_argument(
        "--centered", type=_centered, help="k = 0 of an array is in the middle: true, false, h, w"
    )
    choices.add_argument("--image-centered", type=_centered, help="so is the image's origin")
    choices.add_argument("--trajectory", help="where samples lie: a file, an array, or a name")
    choices.add_argument("--trajectory-unit", help="cycles, pixel, radians, 1/m, 1/cm or rad/m")
    choices.add_argument("--matrix", type=int, help="pixels of the image of a trajectory")
    choices.add_argument("--spokes-per-frame", type=int, help="readouts of a frame")
    choices.add_argument("--frame-duration", type=float, help="ms of a frame, by time stamps")
    choices.add_argument("--cardiac-phases", type=int, help="by the time since the last trigger")
    choices.add_argument(
        "--gradient-delays", type=_delays, help="of spokes: auto, none or 0.3,-0.1,0 (samples)"
    )
    arguments = parser.parse_args()
    names = (field.name for field in fields(ReadOptions))
    try:
        reading = ReadOptions(**{name: getattr(arguments, name) for name in names})
    except MriReconError as error:
        sys.exit(f"mrirecon inspect: {error}")
    failed, words = 0, [path for path in arguments.path if _is_choice(path)]
    with ExitStack() as stack:
        try:
            method = _method(words) if words else None
        except MriReconError as error:
            sys.exit(f"mrirecon inspect: {error}")
        paths = [path for path in arguments.path if path not in words]
        if not paths:
            sys.exit(f"mrirecon inspect: {' '.join(words)}: name a raw file, too")
        for path in paths:
            try:
                if path == STANDARD:
                    files = [stack.enter_context(standard_input())]
                else:
                    files = raw_files(path, arguments.pattern)
            except MriReconError as error:
                sys.exit(f"mrirecon inspect: {error}")
            failed += _inspect(files, reading, arguments, method)
    sys.exit(1 if failed else 0)


def _centered(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


def _delays(text: str) -> str | tuple[float, ...]:
    parts = text.strip("[]").split(",")
    return text if len(parts) < 2 else tuple(float(part) for part in parts)


def _is_choice(word: str) -> bool:
    """Tell whether a word chooses a method; files may be called like that."""
    return bool(re.match(r"[+~]*[a-z_][\w.@/]*=", word)) and not os.path.lexists(word)


def _method(words: list[str]) -> "InspectedMethod":
    """Build the method; what it needs is not imported without one."""
    module = importlib.import_module("mrirecon.commands.inspected_method")
    method: InspectedMethod = module.InspectedMethod(words)
    return method


def _inspect(
    files: list[Path],
    reading: ReadOptions,
    arguments: argparse.Namespace,
    method: "InspectedMethod | None",
) -> int:
    """Report on files; returns how many failed."""
    failed = 0
    for file in files:
        try:
            report = inspect_file(file, reading)
            cost = method and method.cost(file, reading)
        except MriReconError as error:
            failed += 1
            print(f"FAILED {error}", file=sys.stderr)
            continue
        told = as_dict(report, arguments.patient) if arguments.json else {}
        if method and cost and cost.need and arguments.json:
            told |= {"method": method.name, "peak_bytes": cost.need.total, "seconds": cost.seconds}
        print(json.dumps(told) if told else as_text(report))
        if method and cost and cost.need and not arguments.json:
            print(f"  {method.line(cost)}")
    return failed
