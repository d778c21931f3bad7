"""A page for each command: what it does, examples, settings, groups of the configuration."""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from configuration_pages import arguments
from markdown import code, contents, table

from mrirecon.choices import groups_of, settings_of
from mrirecon.cli import COMMANDS, EXAMPLES, PLAIN
from mrirecon.files import conf_folder
from mrirecon.read_options import ReadOptions

FOLDER = Path("commands")


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the page of every command, and that of all."""
    rows = [(f"[`{name}`]({name}.md)", about.partition(";")[0]) for name, about in COMMANDS.items()]
    text = (
        "# Commands\n\n`mrirecon COMMAND --help` tells the same at the terminal, `mrirecon COMMAND"
        " --cfg job` shows the configuration that would run, `mrirecon completion` prints a script"
        " that completes names in bash and zsh. The exit status is 0 when all was done, 1 or 2 when"
        " something was refused or failed; each error names its file or setting.\n\n"
    )
    yield FOLDER / "index.md", text + table(("command", ""), rows) + "\n" + contents(COMMANDS)
    for name, about in COMMANDS.items():
        body = _plain(name) if name in PLAIN else _configured(name)
        summary = about.partition(";")[0]
        yield FOLDER / f"{name}.md", f"# {name}\n\n{summary[0].upper()}{summary[1:]}.\n\n{body}"


def _plain(name: str) -> str:
    """Return the help of a command that takes arguments instead of settings."""
    written = io.StringIO()
    with (
        mock.patch.object(sys, "argv", [f"mrirecon {name}", "--help"]),
        mock.patch.dict(os.environ, {"COLUMNS": "96"}),
        contextlib.redirect_stdout(written),
        contextlib.suppress(SystemExit),
    ):
        importlib.import_module(f"mrirecon.commands.{name}").main()
    return f"```text\n{written.getvalue().strip()}\n```\n"


def _configured(name: str) -> str:
    """Return examples, settings and groups of a command that has a configuration."""
    conf = conf_folder()
    lines = ["```bash", *EXAMPLES[name], "```", "", "## Settings", ""]
    shown = [
        (key, value.partition("{_target_")[0], about)
        for key, value, about in settings_of(name, conf)
    ]
    rows = [(code(key), code(value), about) for key, value, about in shown]
    lines += [table(("setting", "default", ""), rows)]
    if any(key == "reading" for key, _, _ in settings_of(name, conf)):
        lines += ["## How a file is read", "", "What it does not tell, or tells wrongly.", ""]
        lines += [arguments(ReadOptions, {}, "reading.")]
    groups = groups_of(name, conf)
    if groups:
        lines += [
            "## Groups",
            "",
            "What is chosen by name; any argument of a choice can be set, such as"
            " `model.iterations=50`, and `group=null` takes a choice away. Groups without a default"
            " are parts of a model or a data set and need a place (`group@place=choice`).",
            "",
            table(
                ("group", "default", ""),
                (
                    (f"[`{one.name}`](../configuration/{one.name.replace('/', '_')}.md)",
                     code(one.default), one.comment)
                    for one in groups
                ),
            ),
        ]  # fmt: skip
    return "\n".join(lines)
