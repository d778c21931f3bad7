"""Simulate, train, reconstruct raw files and evaluate: what `make demo` runs.

    python data_scripts/demo.py FOLDER

Every step is a command that you could type. All data are simulated; training and test subjects
are different people.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mrirecon import interruption

PROGRAM = ("-m", "mrirecon.cli")
MARKER = ".mrirecon-demo"
"""Lists what the demo wrote; nothing else is ever removed."""


def main() -> None:
    """Run the four steps and say where to look."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    prepare(folder)
    started = time.perf_counter()
    scans, checkpoint = folder / "scans", folder / "training" / "checkpoints" / "best.ckpt"
    # people whom neither the training of the VarNet nor that of the pretrained network has seen
    run(
        folder,
        "simulate",
        f"output={scans}",
        "subjects=4",
        "first=400",
        "simulation=demo",
        "sampling=demo",
    )
    run(folder, "train", "experiment=demo", f"output={folder / 'training'}")
    methods = {
        "zero_filled": ["model=zero_filled"],
        "cg_sense": ["model=cg_sense"],
        "varnet": [f"checkpoint={checkpoint}"],
        # the references are free of noise, so that of the measured samples is not kept
        "pretrained": ["model=pretrained", "model.combination=sense"],
    }
    for name, method in methods.items():
        run(folder, "reconstruct", f"input={scans / 'raw'}", f"output={folder / name}", *method)
    folders = ",".join(str(folder / name) for name in methods)
    run(folder, "evaluate", f"reference={scans / 'reference'}", f"reconstruction=[{folders}]",
        "segmenter=tissues", f"output={folder}")  # fmt: skip
    shutil.copy(sorted(folder.glob("comparison_*.png"))[1], folder / "comparison.png")
    note(folder)
    print(f"\n{time.perf_counter() - started:.0f} s. Look at {folder / 'comparison.png'} "
          f"and {folder / 'report.html'} (simulated data).")  # fmt: skip


def prepare(folder: Path) -> None:
    """Clear what an earlier demo left; refuse when there is anything else, or it was changed."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        sys.exit(f"{folder} is a link or a file; name another folder")
    found, known = contents(folder), listed(folder)
    others = sorted(name for name, facts in found.items() if known.get(name) != facts)
    if others:
        sys.exit(
            f"{folder} holds files that no demo made, or that were changed since, such as "
            f"{others[0]}; move them away or name another folder"
        )
    for name in found:
        (folder / name).unlink()
    (folder / MARKER).unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):  # what is left are empty folders
        path.rmdir()
    folder.mkdir(parents=True, exist_ok=True)
    note(folder)


def contents(folder: Path) -> dict[str, list[int]]:
    """Return size and time of every file in or below a folder, links not followed."""
    files = [
        p for p in folder.rglob("*") if p.name != MARKER and (p.is_symlink() or not p.is_dir())
    ]
    facts = {path: path.lstat() for path in files}
    return {
        path.relative_to(folder).as_posix(): [stat.st_size, stat.st_mtime_ns]
        for path, stat in facts.items()
    }


def listed(folder: Path) -> dict[str, list[int]]:
    """Return what the last demo wrote down as its own."""
    try:
        found = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note(folder: Path) -> None:
    """Write down what is there."""
    (folder / MARKER).write_text(json.dumps(contents(folder), indent=0))


def run(folder: Path, *arguments: str) -> None:
    """Run one mrirecon command, showing it; what it wrote is noted however it ends."""
    print(f"\n$ mrirecon {' '.join(arguments)}", flush=True)
    try:
        # it gets the signals that this process gets, and the time to end as it has to
        with (
            subprocess.Popen([sys.executable, *PROGRAM, *arguments]) as process,
            interruption.deferred(process.send_signal),
        ):
            status = process.wait()
    finally:
        note(folder)
    if number := interruption.requested():
        raise interruption.Interrupted(number, f"in mrirecon {arguments[0]}")
    if status:
        print(f"demo: mrirecon {arguments[0]} failed", file=sys.stderr)
        sys.exit(status if status > 0 else 128 - status)


if __name__ == "__main__":
    interruption.run("demo", main)
