"""Choices of the command line, read off the YAML files without importing anything else.

A group is a folder of ``conf/``, a choice a file in it. What a command takes stands in the YAML of
its name: a list of groups with their defaults, then settings with a comment each.
"""

import difflib
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrirecon.errors import ConfigError

PARTS = {
    "train": (
        "data/transforms",
        "regularizer",
        "denoiser",
        "body",
        "consistency",
        "conditioning",
        "trajectory",
    ),
    "simulate": ("trajectory",),
    "reconstruct": ("regularizer", "denoiser", "partner", "body", "consistency", "conditioning"),
    "calibrate": ("regularizer", "denoiser", "partner", "body", "consistency", "conditioning"),
}
"""Groups that go into a model or a data set, with @ and the place: see the YAML of either."""
PLACED = {"simulate": "+trajectory@simulation.trajectory=golden"}
"""Parts of a command and their place, for an example."""
NAMED = {"benchmark": {"kit": "benchmark"}}
"""Settings of a command that name a file of a group, which so cannot be changed in part."""
FORMER = {"simulate": {"protocol": "simulation"}, "train": {"protocol": "simulation"}}
"""What groups of a command were called before."""
KINDS = ("Classical", "Learned")
TOLD = {"learned": "learned: with checkpoint="}
_DEFAULT = re.compile(r"  - ([\w/]+): (\w+|\[[\w, ]+\])(?: +# *(.*))?$")
_SETTING = re.compile(r"(\w+): ?(.*?)(?: +# *(.*))?$")
WIDTH = 96


@dataclass(frozen=True)
class Group:
    """A group of configuration files, one of which is chosen.

    Attributes:
        name: Name of the group, which is that of its folder.
        default: Choice when nobody chooses, or a list of some; ``null`` for nothing, empty for a
            part.
        comment: Comment of the YAML about it.
    """

    name: str
    default: str
    comment: str = ""

    @property
    def defaults(self) -> tuple[str, ...]:
        """Names of the choices when nobody chooses."""
        return tuple(re.findall(r"\w+", self.default))


def choices(group: str, folders: Iterable[Path]) -> list[str]:
    """Return the names of the files of a group in some folders of configuration."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def about(file: Path) -> str:
    """Return what the first line of a YAML file says about it, in a comment; empty without one."""
    with file.open(encoding="utf-8") as lines:
        first = next((line for line in lines if not line.startswith("# @package")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def kinds_of(group: str, folder: Path) -> dict[str, list[str]]:
    """Sort the choices of a group by the kind that their first line begins with.

    Methods are ``classical`` or ``learned``; whatever names no kind has the kind ``""``.
    """
    kinds: dict[str, list[str]] = {}
    for name in choices(group, [folder]):
        kind, dot, _ = about(folder / group / f"{name}.yaml").partition(". ")
        kinds.setdefault(kind.lower() if dot and kind in KINDS else "", []).append(name)
    return kinds


def groups_of(command: str, conf: Path) -> list[Group]:
    """Return the groups that a command chooses from, its parts last."""
    lines = (conf / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    found = [Group(m[1], m[2], m[3] or "") for line in lines if (m := _DEFAULT.match(line))]
    return [*found, *(Group(name, "") for name in PARTS.get(command, ()))]


def settings_of(command: str, conf: Path) -> list[tuple[str, str, str]]:
    """Return name, default and comment of the plain settings of a command."""
    lines = (conf / f"{command}.yaml").read_text(encoding="utf-8").split("\nhydra:")[0]
    groups = {group.name for group in groups_of(command, conf)}
    matches = (_SETTING.match(line) for line in lines.splitlines())
    found = [(m[1], m[2], m[3] or "") for m in matches if m]
    return [row for row in found if row[0] not in groups and row[0] != "defaults"]


def refuse_unknown(override: str, groups: Iterable[str], folders: Sequence[Path]) -> None:
    """Raise ConfigError when an override chooses a file that a group does not have.

    Args:
        override: ``group=choice``, also with ``+`` in front, ``@place`` or several choices.
        groups: Names of all groups.
        folders: The configuration of the package, and the user's own.
    """
    key, equals, value = override.lstrip("+~").partition("=")
    group = key.partition("@")[0]
    if not equals or group not in set(groups):
        return
    known = choices(group, folders)
    if value.startswith("[") and not re.search(r"[A-Za-z]", value):
        raise ConfigError(f"{key}={value}: expected a name; choose one of {', '.join(known)}")
    for choice in map(str.strip, value.strip("'\"[] ").split(",")):
        plain = re.fullmatch(r"[\w-]+", choice) and choice != "null"
        if plain and choice not in known:
            close = difflib.get_close_matches(choice, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(
                f"{key}={choice}: there is no such choice; {hint}choose one of {', '.join(known)}"
            )


def refuse_former(command: str, override: str) -> None:
    """Raise ConfigError when a group is called by a name that it had before."""
    key = override.lstrip("+~").partition("=")[0]
    name = re.split(r"[.@]", key)[0]
    if now := FORMER.get(command, {}).get(name):
        changed = override.lstrip("+~").replace(name, now, 1)
        raise ConfigError(f"{override.lstrip('+~')}: this is called {now} by now; write {changed}")


def refuse_part(command: str, override: str, groups: Iterable[str], own: Iterable[str]) -> None:
    """Raise ConfigError when something is chosen that only one of several methods can have.

    Args:
        command: Name of the command.
        override: One argument of the command line.
        groups: Names of the groups of all other commands.
        own: Settings of the command that have the name of a group.
    """
    if command not in NAMED:
        return
    key = override.lstrip("+~").partition("=")[0]
    first = re.split(r"[./@]", key)[0]
    if first in set(groups) or (first in set(own) and key != first):
        raise ConfigError(
            f"{override.lstrip('+~')}: a kit is frozen, and its methods are several; what one of "
            "them is made of goes into methods={name: {model: l1_wavelet, model.iterations: 200}}"
        )


def documentation(command: str) -> str:
    """Return where more is said of a command."""
    return (
        "More: docs/how-to/what-do-i-run.md of the source; `make docs` there builds the site into\n"
        f"build/docs/, where reference/commands/{command}.html is about this command."
    )


def help_of(command: str, usage: Sequence[str], conf: Path) -> str:
    """Return the help of a command: examples, settings, and groups with their defaults marked."""
    rows = [f"usage: mrirecon {command} [setting=value ...] [group=choice ...]", "", "examples:"]
    rows += [f"  {line}" for line in usage]
    rows += ["", "settings:"]
    for name, default, comment in settings_of(command, conf):
        rows.append(f"  {name + '=' + default:<34} {comment}".rstrip())
    for setting, named in NAMED.get(command, {}).items():
        known = " ".join(choices(named, [conf]))
        rows += ["", f"what {setting}= may name:", *_wrapped(f"{setting}=", known)]
    if groups_of(command, conf):
        rows += ["", "groups (* is the default):"]
    for group in groups_of(command, conf):
        title = group.name + "="
        for kind, names in kinds_of(group.name, conf).items():
            if command == "train" and kind == "classical":
                continue
            marked = " ".join(f"{n}*" if n in group.defaults else n for n in names)
            comment = group.comment or ("" if command == "train" else TOLD.get(kind, kind))
            comment = f"  # {comment}" if comment else ""
            rows += _wrapped(title, f"{marked}{comment}")
            title = ""
    if groups_of(command, conf):
        rows += [
            "",
            "Any argument of a constructor can be set by name, such as model.iterations=50;",
            "group=null takes a choice away.",
        ]
    rows += [
        "",
        f"mrirecon {command} --cfg job shows the configuration of a run, --config-dir DIR adds",
        "YAML files of your own, -m runs a sweep, --hydra-help tells the rest.",
        documentation(command),
    ]
    if command in PARTS:
        example = PLACED.get(command, "regularizer@model.regularizer=mwcnn")
        rows.append(f"Parts need a place: {example} (with a + where the YAML there names none).")
    return "\n".join(rows)


def _wrapped(title: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"{title:<18}{text}", WIDTH,
        initial_indent="  ", subsequent_indent=" " * 20, break_on_hyphens=False,
    )  # fmt: skip
