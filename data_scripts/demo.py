"""Simulate, train, reconstruct raw files and evaluate: what `make demo` runs.

    python data_scripts/demo.py FOLDER

Every step is a command that you could type. All data are simulated; training and test subjects
are different people.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

MARKER = ".mrirecon-demo"  # only a folder that carries it is ever cleared


def main() -> None:
    """Run the four steps and say where to look."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    prepare(folder)
    started = time.perf_counter()
    scans, checkpoint = folder / "scans", folder / "training" / "checkpoints" / "best.ckpt"
    run("simulate", f"output={scans}", "subjects=4", "protocol=demo", "sampling=demo")
    run("train", "experiment=demo", f"output={folder / 'training'}")
    methods = {
        "zero_filled": "model=zero_filled",
        "cg_sense": "model=cg_sense",
        "varnet": f"checkpoint={checkpoint}",
    }
    for name, method in methods.items():
        run("reconstruct", f"input={scans / 'raw'}", f"output={folder / name}", method)
    folders = ",".join(str(folder / name) for name in methods)
    run("evaluate", f"reference={scans / 'reference'}", f"reconstruction=[{folders}]",
        f"output={folder}")  # fmt: skip
    shutil.copy(sorted(folder.glob("comparison_*.png"))[1], folder / "comparison.png")
    print(f"\n{time.perf_counter() - started:.0f} s. Look at {folder / 'comparison.png'} "
          f"and {folder / 'summary.csv'} (simulated data).")  # fmt: skip


def prepare(folder: Path) -> None:
    """Clear what an earlier demo left; never anything else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            sys.exit(f"{folder} holds files that no demo made; name another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


def run(*arguments: str) -> None:
    """Run one mrirecon command, showing it."""
    print(f"\n$ mrirecon {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "mrirecon.cli", *arguments], check=False)
    if done.returncode:
        sys.exit(f"demo: mrirecon {arguments[0]} failed")


if __name__ == "__main__":
    main()
