"""What a user types, in the grammar of Hydra."""

import os
import re
from collections.abc import Collection
from typing import Any

PATHS = (
    "input", "output", "checkpoint", "resume", "reference", "reconstruction", "pattern",
    "dicom_template", "reading.noise", "regions", "calibration", "kit", "chosen.data",
    "log", "save", "quality",
)  # fmt: skip
"""Keys whose values are paths: quoted, so that any file name passes Hydra's grammar."""
CHOSEN = "chosen"
"""Node of the settings of a command that are groups of others; see :func:`apart`."""


def apart(override: str, own: Collection[str]) -> str:
    """Put a setting of a command that is a group of others where Hydra takes it for no choice.

    Args:
        override: One argument of the command line.
        own: Settings of the command whose names are those of groups.
    """
    key = re.match(r"[+~]*(\w+)(?=[.=])", override)
    if key is None or key[1] not in own:
        return override
    return f"{override[: key.start(1)]}{CHOSEN}.{override[key.start(1) :]}"


def together(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with its settings where :func:`apart` has taken them from."""
    return {**{key: value for key, value in tree.items() if key != CHOSEN}, **tree.get(CHOSEN, {})}


def adapt(override: str, groups: Collection[str], sweep: bool = False) -> str:
    """Translate what a user types to Hydra's grammar.

    ``a.b=c`` may set an argument that the YAML leaves at its default, because the signature is the
    schema; unknown keys are refused later, with a suggestion. Paths need no quotes.

    Args:
        override: One argument of the command line.
        groups: Keys that choose a YAML file.
        sweep: Whether several values, separated by commas, are a job each.
    """
    key, equals, value = override.partition("=")
    if not equals:
        return override
    is_path = key in PATHS or key.endswith((".path", ".folder"))
    quoted_already = "'\"" if key == "pattern" else "'\"[{"
    if is_path and value not in ("", "null") and value[0] not in quoted_already:
        several = sweep and key not in ("output", "pattern") and not os.path.lexists(value)
        paths = value.split(",") if several else [value]
        override = f"{key}={','.join(_quoted(key, path) for path in paths)}"
    if key in groups:
        return f"~{key}" if value == "null" else override
    if re.fullmatch(r"\w+(\.\w+)*", key) and not key.startswith("hydra."):
        return f"++{override}"
    return override


def _quoted(key: str, path: str) -> str:
    quoted = path.replace("'", "\\'")
    if key == "output":  # may name what was chosen: output='out/${model._target_}'
        quoted = re.sub(r"\$\{(?![\w.:@,-]+\})", r"\\${", quoted)
    else:
        quoted = quoted.replace("${", "\\${")
    return f"'{quoted}'"
