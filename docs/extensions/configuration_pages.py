"""A page for each group of the configuration: every choice, its arguments and their defaults."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docstring_parser import parse
from hydra.utils import get_object
from markdown import code, contents, of_docstring, table

from mrirecon.choices import PARTS, about
from mrirecon.files import conf_folder

FOLDER = Path("configuration")


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor: what it is when nobody sets it, and what it means."""

    name: str
    default: str
    about: str


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the page of every group, and that of all."""
    conf = conf_folder()
    folders = [path for path in sorted(conf.iterdir()) if path.is_dir() and path.name != "hydra"]
    groups = {path.name: path for path in folders}
    groups |= {name: conf / name for parts in PARTS.values() for name in parts}
    names = {name: name.replace("/", "_") for name in sorted(groups)}
    rows = []
    for name, stem in names.items():
        files = sorted(groups[name].glob("*.yaml"))
        rows.append((f"[`{name}`]({stem}.md)", " ".join(code(file.stem) for file in files)))
        yield FOLDER / f"{stem}.md", _group(name, files)
    text = (
        "# Configuration\n\n`group=choice` takes a file of `conf/GROUP/`, and"
        " `group.argument=value` sets any argument of what that file builds, also one that the file"
        " does not mention. `--config-dir DIR` adds files of your own, `_target_` names a class of"
        " any package.\n\n"
    )
    yield FOLDER / "index.md", text + table(("group", "choices"), rows) + contents(names.values())


def _group(name: str, files: list[Path]) -> str:
    rows = [(f"[`{file.stem}`](#{file.stem.replace('_', '-')})", about(file)) for file in files]
    parts = [f"# {name}\n", table(("choice", ""), rows)]
    parts += [_choice(file) for file in files]
    return "\n".join(parts)


def _choice(file: Path) -> str:
    """Return what a choice builds, and its arguments, or else the file as it is."""
    text = file.read_text(encoding="utf-8")
    values = yaml.safe_load(text) or {}
    lines = [f"## {file.stem}", "", *_comments(text), ""]
    target = values.get("_target_") if isinstance(values, dict) else None
    if target and target.startswith("mrirecon."):
        found = get_object(target)
        lines += [f"Builds {{py:obj}}`{target} <{found.__module__}.{found.__qualname__}>`.", ""]
        lines += [arguments(found, values)]
    else:
        lines += ["```yaml", *(x for x in text.splitlines() if not x.startswith("#")), "```", ""]
    return "\n".join(lines)


def arguments(found: Any, values: dict[str, Any], prefix: str = "") -> str:
    """Return the table of the arguments of a class or function; empty when it has none.

    Args:
        found: Class or function.
        values: What a file says about its arguments.
        prefix: Text before the names, with its dot.
    """
    rows = [(code(prefix + a.name), code(a.default), a.about) for a in _arguments(found, values)]
    return table(("argument", "default", ""), rows) if rows else ""


def _comments(text: str) -> list[str]:
    """Return the comment at the beginning of a file; lines that are indented are commands."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("# @package"):
            continue
        told = line.removeprefix("#")
        lines.append(f"`{told.strip()}`" if told.startswith("   ") else told.strip())
    return lines


def _arguments(found: Any, values: dict[str, Any]) -> Iterator[Argument]:
    """Yield the arguments of a constructor; values of the file come before its own defaults."""
    told = {
        one.arg_name.lstrip("*"): of_docstring(one.description or "") for one in _documented(found)
    }
    chosen = {key: value for key, value in values.items() if not key.startswith("_")}
    for parameter in inspect.signature(found).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = parameter.default
        if parameter.name in chosen:
            value = _shown(chosen[parameter.name])
        else:
            value = "" if default is parameter.empty else _shown(default)
        yield Argument(parameter.name, value, told.get(parameter.name, ""))


def _documented(found: Any) -> Iterator[Any]:
    """Yield the entries of the docstring of a class and of what it inherits from, or a function."""
    for one in reversed(inspect.getmro(found)) if inspect.isclass(found) else (found,):
        yield from parse(vars(one).get("__doc__") or "").params


def _shown(value: Any) -> str:
    """Return a value as one would write it at the command line."""
    if isinstance(value, dict):
        target = value.get("_target_", "")
        inner = ", ".join(f"{k}: {_shown(v)}" for k, v in value.items() if k != "_target_")
        return f"{target.rpartition('.')[2]}{{{inner}}}" if target else f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, type) or callable(value):
        return getattr(value, "__name__", str(value))
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
