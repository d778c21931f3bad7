"""Messages for packages that are needed and not installed."""

import importlib
import re


def missing_package(path: str) -> str:
    """Say which package an object needs that cannot be imported; empty when none is missing.

    Args:
        path: Full name of the object.
    """
    module = path.rpartition(".")[0]
    if not module or module.startswith("."):
        return ""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        own = error.name and (module == error.name or module.startswith(f"{error.name}."))
        if own and "." in str(error.name):
            return ""  # a wrong name within a package that is there
        if own:
            return f": no package {error.name} is installed"
        return f": {needs(error)}"
    except ImportError as error:
        return f": {needs(error)}"
    return ""


def needs(error: Exception) -> str:
    """Return an error's message; of a missing package, one line with the command that installs it.

    Lightning's loggers name theirs in the text only.
    """
    if not isinstance(error, ImportError):
        return str(error)
    text = " ".join(str(error).split())
    named = re.search(r"pip install (?:-U )?['\"`]?([\w.\[\]-]+)", text)
    quoted = re.search(r"`([\w.-]+)`|Requirement '([\w.-]+)", text)
    package = error.name or (named and named[1]) or (quoted and (quoted[1] or quoted[2]))
    if not package:
        return text
    package = package.partition(".")[0]
    return f"needs the package {package}, which is not installed: pip install {package}"
