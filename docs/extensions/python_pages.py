"""A page for each package whose names are public: classes and functions with their docstrings."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from markdown import contents, table

FOLDER = Path("python")
PACKAGES = (
    "mrirecon", "mrirecon.reconstructors", "mrirecon.networks", "mrirecon.sensitivity",
    "mrirecon.sampling", "mrirecon.operators", "mrirecon.solvers", "mrirecon.data",
    "mrirecon.training", "mrirecon.evaluation", "mrirecon.metrics", "mrirecon.robustness",
    "mrirecon.uncertainty", "mrirecon.simulation", "mrirecon.writers",
    "mrirecon.reconstructors.base", "mrirecon.sensitivity.base", "mrirecon.sampling.base",
    "mrirecon.readers.base", "mrirecon.types", "mrirecon.scan", "mrirecon.fourier",
    "mrirecon.inference", "mrirecon.loading", "mrirecon.evaluation.noise_maps.g_factor",
)  # fmt: skip


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the page of every package, and that of all."""
    rows = []
    documented: set[int] = set()
    names = [name for name in PACKAGES if _module(name)]
    for name in names:
        module = importlib.import_module(name)
        rows.append((f"[`{name}`]({name}.md)", (module.__doc__ or "").strip().splitlines()[0]))
        yield FOLDER / f"{name}.md", _page(name, module, documented)
    text = (
        "# Python\n\nNames of these packages are public; everything else may change without"
        " notice. Arrays are described as `(axes)` with their units; NumPy arrays serve wherever"
        " the functions of `mrirecon` itself take a scan.\n\n"
    )
    yield FOLDER / "index.md", text + table(("package", ""), rows) + "\n" + contents(names)


def _module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def _page(name: str, module: ModuleType, documented: set[int]) -> str:
    lines = [f"# {name}", "", (module.__doc__ or "").partition("\n\n")[0], ""]
    for found in _public(module):
        if id(found) in documented:
            continue
        documented.add(id(found))
        kind = "class" if inspect.isclass(found) else "function"
        lines += ["```{eval-rst}", f".. auto{kind}:: {found.__module__}.{found.__qualname__}"]
        if kind == "class":
            lines += ["   :members:"]
        lines += ["```", ""]
    return "\n".join(lines)


def _public(module: ModuleType) -> Iterator[object]:
    """Yield the public classes and functions of a module, or of a package those that it exports."""
    names = getattr(module, "__all__", None)
    package = hasattr(module, "__path__")
    for name in sorted(names if names is not None else vars(module)):
        found = getattr(module, name)
        if name.startswith("_") or not (inspect.isclass(found) or inspect.isfunction(found)):
            continue
        ours = found.__module__.startswith("mrirecon.")  # not the type of an array
        if (package and ours) or found.__module__ == module.__name__:
            yield found
