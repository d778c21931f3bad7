"""Public names of the parts of a configuration, and what older files call them.

Files on users' disks (checkpoints, configurations) name a part by the package that exports it, as
in ``mrirecon.reconstructors.VarNet``. Where it is defined is nobody's business, and may change.
"""

import importlib
from functools import lru_cache
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


@lru_cache(maxsize=1024)
def public_name(path: str) -> str:
    """Return the name under which a part is exported; the path itself where it is not.

    Args:
        path: Of a ``_target_``: the public name, or where a version of mrirecon defined it.
    """
    module, _, name = path.rpartition(".")
    package = next((one for one in PACKAGES if module.startswith(f"{one}.")), None)
    if package is None or name not in importlib.import_module(package).__all__:
        return path
    return f"{package}.{name}" if _exists(module) else path


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the path may be anything
        return False
