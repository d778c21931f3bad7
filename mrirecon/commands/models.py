"""Learned weights that are known by name: list them, show one, fetch one.

    mrirecon models
    mrirecon models direct_uniform
    mrirecon models fetch direct_uniform --revision COMMIT
    mrirecon models fetch fastmri_varnet_knee weights/knee --sha256 CHECKSUM
    mrirecon reconstruct input=scan.h5 output=images model=vsharp checkpoint=zoo:direct_uniform

Scores are those of the sources that are named with them. Where the package pins no commit and no
checksum, fetching wants to be told the commit (--revision) or the checksum (--sha256, or unknown);
what was found is written into weights.json beside the files. Files are never replaced. Without a
folder they go to $MRIRECON_WEIGHTS, else to mrirecon/weights in ~/.cache, where
checkpoint=zoo:NAME finds them; it uses no network. Loading weights runs no code.
"""

import argparse
import json
import shlex
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import yaml

from mrirecon.commands.plain import plain_parser, told
from mrirecon.files import conf_folder, output_folder
from mrirecon.weights import Entry, entries, entry_named, registry, weights_folder
from mrirecon.weights.fetching import UNKNOWN, fetch
from mrirecon.weights.places import PREFIX, Receipt, fetching, packaged
from mrirecon.weights.registry import Origin

FETCH, WIDTH = "fetch", 96


def main() -> None:
    """List, show or fetch."""
    parser = plain_parser("models", __doc__)
    parser.add_argument("words", nargs="*", metavar="NAME or fetch NAME [FOLDER]")
    parser.add_argument("--json", action="store_true", help="all that is known, for programs")
    parser.add_argument("--revision", metavar="COMMIT", help="commit of the repository to fetch")
    parser.add_argument(
        "--sha256", metavar="CHECKSUM", help=f"checksum that a file must have, or {UNKNOWN}"
    )
    options = parser.parse_args()
    fetched = options.words[:1] == [FETCH]
    if len(options.words) > (3 if fetched else 1) or (fetched and len(options.words) < 2):
        parser.error(f"expected NAME or fetch NAME [FOLDER], got {' '.join(options.words)}")
    if (options.revision or options.sha256) and not fetched:
        parser.error("--revision and --sha256 belong to fetch NAME")
    with told("models"):
        if fetched:
            _fetch(options)
        elif options.words:
            _show([entry_named(options.words[0])], options.json, full=True)
        else:
            _show(list(entries().values()), options.json)


def _show(found: list[Entry], as_json: bool, *, full: bool = False) -> None:
    if as_json:
        shown = [asdict(one) | {"pinned": one.pinned} for one in found]
        print(json.dumps(shown[0] if full else shown, indent=1))
        return
    print("\n\n".join("\n".join(_lines(one, full)) for one in found))


def _lines(entry: Entry, full: bool) -> list[str]:
    """Describe an entry; in full with its files, notes, reference and model card."""
    rows = [
        ("origin", _origin(entry)),
        ("licence", entry.licence),
        ("trained on", entry.data),
        ("size", entry.size),
        *(("score", f"{one.what}: {one.value} ({one.source})") for one in entry.scores),
    ]
    if not entry.scores:
        rows.append(("score", "none published that we know"))
    if full:
        rows += [("file", _file(file)) for file in entry.files]
        rows += [("note", note) for note in entry.notes]
        rows += [("to cite", entry.reference)] if entry.reference else []
    if entry.kind is not Origin.PACKAGE:
        rows.append(("fetch", fetching(entry)))
    lines = [f"{entry.name}: {entry.about}"]
    for title, text in rows:
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"  {title:<12}", subsequent_indent=" " * 14,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    if full and (ready := _ready(entry)):
        lines += ["", _command(entry, ready)]
    if full and entry.card:
        lines += ["", (registry.PACKAGED / entry.card).read_text(encoding="utf-8").rstrip()]
    return lines


def _origin(entry: Entry) -> str:
    pin = "" if entry.kind is Origin.PACKAGE else ", pinned" if entry.pinned else ", not pinned"
    there = ", fetched" if entry.kind is not Origin.PACKAGE and _ready(entry) else ""
    return entry.place + pin + there


def _file(file: registry.WeightsFile) -> str:
    return f"{file.name}, SHA-256 {file.sha256 or 'not pinned'}"


def _ready(entry: Entry) -> str:
    """Return what ``checkpoint=`` takes of weights that are there; empty if they are not."""
    if entry.kind is Origin.PACKAGE:
        packaged(entry)
        return PREFIX + entry.name
    receipt = Receipt.read(weights_folder() / entry.name)
    return PREFIX + entry.name if receipt and receipt.name == entry.name else ""


def _command(entry: Entry, checkpoint: str) -> str:
    """Return the command that reconstructs with these weights; our own bring their model."""
    if entry.kind is not Origin.PACKAGE:
        chosen = f"model={entry.method} {shlex.quote(f'checkpoint={checkpoint}')}"
    elif _begins_with(entry):
        chosen = f"model={entry.method}"
    else:
        chosen = f"checkpoint={checkpoint}"
    return f"mrirecon reconstruct input=SCAN output=FOLDER {chosen}"


def _begins_with(entry: Entry) -> bool:
    """Tell whether a choice of ``model=`` begins with these weights without being told."""
    file = conf_folder() / "model" / f"{entry.method}.yaml"
    return bool(yaml.safe_load(file.read_text(encoding="utf-8")).get("weights") == entry.name)


def _fetch(options: argparse.Namespace) -> None:
    """Fetch an entry, tell what was found, and how it is used."""
    entry = entry_named(options.words[1])
    own = weights_folder() / entry.name
    folder = Path(options.words[2]).expanduser() if len(options.words) > 2 else own
    output_folder(folder.parent)  # before anything is fetched
    receipt = fetch(entry, folder, options.revision, options.sha256)
    print(
        f"{entry.name} is in {folder}" + (f", commit {receipt.revision}" * bool(receipt.revision))
    )
    for name, sha256 in receipt.sha256.items():
        print(f"  {sha256}  {name}")
    if not receipt.checked:
        source = "the repository's list for that commit" if receipt.revision else "nothing"
        print(
            f"WARNING: the package pins none of these checksums; they were compared with {source}, "
            "so the files are as trustworthy as where they come from",
            file=sys.stderr,
        )
    print(f"licence: {entry.licence}")
    print(_command(entry, PREFIX + entry.name if folder == own else str(folder / entry.checkpoint)))
