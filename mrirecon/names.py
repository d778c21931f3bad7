"""Public names of the parts of a configuration, and what older files call them.

Files on users' disks (checkpoints, configurations) name a part by the package that exports it, as
in ``mrirecon.reconstructors.VarNet``. Where it is defined is nobody's business, and may change.
"""

import importlib
from importlib.util import find_spec

PACKAGES = (
    "mrirecon.data",
    "mrirecon.networks",
    "mrirecon.reconstructors",
    "mrirecon.sampling",
    "mrirecon.sensitivity",
    "mrirecon.simulation",
    "mrirecon.training",
)
"""Whose exports a configuration may name."""
MOVED: dict[str, frozenset[str]] = {}
"""Modules of these packages that version 0.1 named in its files, and that are gone."""
RENAMED: dict[str, str] = {}
"""What version 0.1 called by another name, by the path that its files hold."""


def public_name(path: str) -> str:
    """Return the name under which a part is exported; the path itself where it is not.

    Args:
        path: Of a ``_target_``: the public name, or where a version of mrirecon defined it.
    """
    path = RENAMED.get(path, path)
    module, _, name = path.rpartition(".")
    package = next((one for one in PACKAGES if module.startswith(f"{one}.")), None)
    if package is None or name not in importlib.import_module(package).__all__:
        return path
    below = module.removeprefix(f"{package}.")
    known = below in MOVED.get(package, ()) or _exists(module)
    return f"{package}.{name}" if known else path


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
