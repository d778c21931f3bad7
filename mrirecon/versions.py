"""The versions of what computes, for the record of a run."""

import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@lru_cache(maxsize=1)
def versions() -> tuple[str, ...]:
    """Return the versions of what computes, and the commit when it runs from a clone."""
    found = [f"python {sys.version.split()[0]}"]
    for package in ("mrirecon", "torch", "numpy", "pytorch-lightning"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} (not installed as a package)")
    clone = Path(__file__).resolve().parents[1]
    if (clone / ".git").exists():
        try:
            done = subprocess.run(
                ["git", "-C", clone, "describe", "--always", "--dirty"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.append(f"commit {done.stdout.strip()}")
        except (OSError, subprocess.CalledProcessError):
            found.append("commit unknown")
    return tuple(found)
