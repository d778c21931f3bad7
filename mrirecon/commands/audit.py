"""Look for what makes results too good: processed k-space, duplicates, shared patients.

    mrirecon audit /data/scans
    mrirecon audit train=/data/train val=/data/val --output report
    mrirecon audit splits/train splits/val splits/test --slices 8

Folders are splits; files are looked for in folders below, too. Of each file a few slices in the
middle are looked at. A problem is certain and spoils results, a suspicion needs a look, a note is
good to know. Writes a table, and with --output FOLDER audit.json and the page audit.html, which
shows the images that are alike. Exits with 1 where there are problems, or where
nothing could be looked at; else with 0.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from mrirecon.audit.report import as_json, as_page, as_text
from mrirecon.audit.run import SLICES, audit
from mrirecon.commands.plain import plain_parser, told
from mrirecon.data.raw_files import data_folder, raw_files
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.files import Kind, atomic, output_folder, refuse_existing
from mrirecon.pages import written
from mrirecon.readers.naming import scan_name
from mrirecon.terminal import draws_bars

Files = Sequence[tuple[str, Path]]
REPORT, PAGE = "audit.json", "audit.html"


def main() -> None:
    """Look at the folders, tell what was found."""
    parser = plain_parser("audit", __doc__)
    parser.add_argument("folder", nargs="+", help="folder or file, or NAME=FOLDER")
    parser.add_argument("--output", type=Path, help="folder for audit.json and audit.html")
    parser.add_argument("--pattern", default="**/*", help="which files, any readable format")
    parser.add_argument("--slices", type=int, default=SLICES, help="slices of each file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--overwrite", action="store_true", help="replace an older report")
    arguments = parser.parse_args()
    if arguments.slices < 1:
        parser.error(f"--slices: expected at least 1, got {arguments.slices}")
    with told("audit"):
        output = None if arguments.output is None else output_folder(arguments.output)
        if output is not None:
            for name in (REPORT, PAGE):
                refuse_existing(
                    output / name, arguments.overwrite, Kind.AUDIT, choice="add --overwrite"
                )
        found = audit(_folders(arguments.folder, arguments.pattern), arguments.slices, _bar)
        print(as_json(found).decode() if arguments.json else as_text(found))
        if output is not None:
            with atomic(output / REPORT, Kind.AUDIT, overwrite=arguments.overwrite) as temporary:
                temporary.write_bytes(as_json(found))
            written(output / PAGE, as_page(found), Kind.AUDIT, overwrite=arguments.overwrite)
            print(f"wrote {REPORT} and {PAGE} to {output}", file=sys.stderr)
        if not any(found.looked_at.values()):
            raise RawDataError("no slice of any file could be looked at, so nothing is known")
    sys.exit(1 if found.problems else 0)


def _folders(words: Sequence[str], pattern: str) -> dict[str, Files]:
    """Return the files of each folder, named by folder and path in it.

    Raises:
        ConfigError: When two folders have the same name.
    """
    folders: dict[str, Files] = {}
    for word in words:
        label, equals, place = word.partition("=")
        named = equals and not Path(word).exists()
        path = Path(place if named else word).expanduser()
        name = label if named else path.resolve().name
        if name in folders:
            name = str(path)
        if name in folders:
            raise ConfigError(f"{word}: there is a folder of that name already; write NAME=FOLDER")
        files = raw_files(path, pattern if path.is_dir() else "*")
        folders[name] = [(f"{name}/{scan_name(one, data_folder(path))}", one) for one in files]
    return folders


def _bar(files: Files) -> Iterable[tuple[str, Path]]:
    return tqdm(files, unit="file", leave=False, disable=not draws_bars())
