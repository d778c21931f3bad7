"""Command line: ``mrirecon COMMAND ...``; the commands are listed below.

Only the standard library is imported until a command is known, so that help is instant.
"""

import atexit
import difflib
import gc
import importlib
import re
import sys
from pathlib import Path

from mrirecon import __version__, sharing
from mrirecon.choices import help_of, refuse_former, refuse_part, refuse_unknown, settings_of
from mrirecon.completion import SCRIPT, complete
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.grammar import adapt, apart
from mrirecon.interruption import run
from mrirecon.standard_streams import heard

COMMANDS = {
    "inspect": "say what is in a raw file; mrirecon inspect FILE [FILE ...] [--json]",
    "simulate": "make raw scanner files of simulated subjects",
    "train": "train a learned method; mrirecon train experiment=demo",
    "reconstruct": "raw files to HDF5, NIfTI and PNG; mrirecon reconstruct input=FILE output=DIR",
    "serve": "reconstruct what a scanner sends (MRD over a socket); mrirecon serve port=9002",
    "send": "send a raw file to a server as a scanner does; mrirecon send input=FILE output=DIR",
    "calibrate": "errors of a method on known patients: mrirecon calibrate input=DIR sampling=...",
    "maps": "coil sensitivities and their quality; mrirecon maps input=FILE output=DIR",
    "evaluate": "score reconstructions; mrirecon evaluate reference=DIR reconstruction=DIR",
    "velocity": "velocities of phase contrast; mrirecon velocity input=DIR output=DIR venc=150",
    "check": "check a data set: what is there, what is damaged, leaks; mrirecon check DIR",
    "audit": "processed k-space, duplicates, shared patients; mrirecon audit DIR [DIR ...]",
    "split": "split raw files by patient; mrirecon split DIR OUTPUT",
    "pack": "pack raw files for fast training; mrirecon pack DIR OUTPUT",
    "convert": "make a checkpoint of public weights; mrirecon convert WEIGHTS OUTPUT",
    "compare": "scores of several evaluations in one table; mrirecon compare DIR DIR [DIR ...]",
    "benchmark": "reconstruct and score frozen cases; mrirecon benchmark kit=NAME output=DIR",
    "stress": "how far methods can be relied on; mrirecon stress model=[NAME,NAME] output=DIR",
    "card": "write a model card; mrirecon card WEIGHTS DESCRIPTION OUTPUT --results FILE ...",
    "models": "learned weights that are known by name; mrirecon models [NAME | fetch NAME]",
}
EXAMPLES = {
    "simulate": (
        "mrirecon simulate output=scans subjects=4",
        "mrirecon simulate output=scans subjects=4 sampling=equispaced sampling.acs=24",
        "mrirecon simulate output=knee format=fastmri contrasts=[pd]",
    ),
    "train": (
        "mrirecon train experiment=demo output=run",
        "mrirecon train data=folder data.train.scans.path=DIR data.val.scans.path=DIR model=modl",
        "mrirecon train experiment=demo output=run resume=run/checkpoints/last.ckpt",
    ),
    "reconstruct": (
        "mrirecon reconstruct input=scan.h5 output=images",
        "mrirecon reconstruct input=scans output=images model=l1_wavelet formats=[nifti,dicom]",
        "mrirecon reconstruct input=scans output=images checkpoint=run/checkpoints/best.ckpt",
    ),
    "serve": (
        "mrirecon serve port=9002 model=cg_sense",
        "mrirecon serve host=0.0.0.0 model=pretrained 'config.quick={model: zero_filled}'",
        "mrirecon serve images=float32 log=serve.log",
    ),
    "send": (
        "mrirecon send input=scan.h5 output=images",
        "mrirecon send input=scan.h5 output=images config=quick 'settings={weight: 0.01}'",
        "mrirecon send port=9002",
    ),
    "calibrate": (
        "mrirecon calibrate input=scans checkpoint=run/checkpoints/best.ckpt sampling=equispaced",
        "mrirecon calibrate input=scans model=pretrained sampling=equispaced samples=8 "
        "output=pretrained.calibration.json",
        "mrirecon calibrate input=scans sampling=equispaced coverage=0.95 readouts=[volume] "
        "output=cg_sense.calibration.json",
    ),
    "maps": (
        "mrirecon maps input=scan.h5 output=maps",
        "mrirecon maps input=scan.h5 output=maps sensitivity=walsh",
        "mrirecon maps input=scan.h5 output=maps sensitivity.kernel=5 sensitivity.sets=2",
    ),
    "evaluate": (
        "mrirecon evaluate reference=DIR reconstruction=DIR",
        "mrirecon evaluate reference=DIR reconstruction=[varnet,cg_sense] output=scores "
        "metrics=[psnr,ssim,haarpsi]",
        "mrirecon evaluate reference=DIR reconstruction={ours: DIR, theirs: DIR} protocol=fastmri",
    ),
    "velocity": (
        "mrirecon velocity input=images output=flow venc=150",
        "mrirecon velocity input=images output=flow venc=150 still=2",
        "mrirecon velocity input=images output=flow venc=150 reference=full",
    ),
    "benchmark": (
        "mrirecon benchmark kit=synthetic model=[zero_filled,cg_sense,pretrained] output=results",
        "mrirecon benchmark kit=fastmri_knee_4x data=multicoil_val checkpoint={mine: best.ckpt} "
        "output=results",
        "mrirecon benchmark -m job=1/4,2/4,3/4,4/4 hydra/launcher=slurm kit=NAME data=DIR "
        "model=[cg_sense] output=DIR",
    ),
    "stress": (
        "mrirecon stress model=[cg_sense,l1_wavelet,pretrained] output=stressed",
        "mrirecon stress input=full/raw slices=2 checkpoint=run/checkpoints/best.ckpt "
        "model=l1_wavelet output=stressed",
        "mrirecon stress model=[l1_wavelet,pretrained] shift=[noise,worst_case] "
        "shift.noise.levels=[1,2,4] output=stressed",
    ),
}
# Nothing to configure: plain arguments.
PLAIN = ("inspect", "check", "audit", "split", "pack", "convert", "compare", "card", "models")
# Hydra's options that are followed by a value.
VALUED = (
    "--cfg", "-c", "--package", "-p", "--info", "-i", "--config-dir", "-cd", "--config-name", "-cn",
    "--config-path", "-cp", "--experimental-rerun",
)  # fmt: skip
FLAGS = (
    "--multirun", "-m", "--run", "-r", "--resolve", "--hydra-help", "--shell-completion", "-sc",
)  # fmt: skip


def main() -> None:
    """Run one command; every error that mrirecon raises on purpose is printed as one message.

    Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP end it with status 130, 143, 138 and 129, and a closed pipe
    at its output with 141, with nothing half written left behind.
    """
    # What is left at the end goes with the process; to look through it first takes half a second.
    atexit.register(gc.freeze)
    command, *overrides = sys.argv[1:] or ["--help"]
    name = f"mrirecon {command}" if command in COMMANDS else "mrirecon"
    try:
        with heard():
            run(name, lambda: _run_and_write(command, overrides))
    except OSError as error:  # of the disk or of a path, which a traceback explains to nobody
        if error.strerror is None:
            raise
        path = f"{str(error.filename)[:200]}: " if error.filename is not None else ""
        sys.exit(f"{name}: {path}{error.strerror}")
    except RuntimeError as error:  # pathlib's
        if not str(error).startswith(("Symlink loop", "Could not determine home")):
            raise
        sys.exit(f"{name}: {error}")


def _run_and_write(command: str, overrides: list[str]) -> None:
    """Run a command; what it has printed is written while a closed pipe still sets the status."""
    try:
        _run(command, overrides)
    except SystemExit as end:
        if not end.code:  # else it has something else to say
            sys.stdout.flush()
        raise
    sys.stdout.flush()


def _run(command: str, overrides: list[str]) -> None:
    if command in ("-h", "--help", "help"):
        print(_usage())
        return
    if command in ("-V", "--version"):
        print(f"mrirecon {__version__}")
        return
    if command == "completion":
        print(SCRIPT)
        return
    if command == "complete":  # what the script of completion calls
        print(*complete(" ".join(overrides), list(COMMANDS), PLAIN, conf_folder()), sep="\n")
        return
    if command not in COMMANDS:
        close = difflib.get_close_matches(command.lower(), [*COMMANDS, "completion"], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        sys.exit(f"mrirecon: unknown command {command!r}{hint}\n\n{_usage()}")
    if command != "serve":  # of which a scanner waits for each image
        sharing.begin(lambda note: print(note, file=sys.stderr))
    if command in PLAIN:
        sys.argv = [f"mrirecon {command}", *overrides]
        importlib.import_module(f"mrirecon.commands.{command}").main()
        return
    if "-h" in overrides or "--help" in overrides:
        print(help_of(command, EXAMPLES[command], conf_folder()))
        return
    if "--version" in overrides:
        print(f"mrirecon {__version__}")
        return
    if command == "reconstruct" and "-" in overrides:  # a filter: raw file in, MRD images out
        overrides.remove("-")
        for key in ("output", "input"):
            if not any(override.startswith(f"{key}=") for override in overrides):
                overrides.insert(0, f"{key}=-")
    if command == "benchmark" and {"--list", "kit=?"} & set(overrides):
        sys.argv = [f"mrirecon {command}", *(one for one in overrides if one != "kit=?")]
        importlib.import_module("mrirecon.commands.kits_table").main()
        return
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    own = groups & {name for name, _, _ in settings_of(command, conf_folder())}
    groups -= own
    _refuse_options(command, overrides)
    for before, override in zip(["", *overrides], overrides, strict=False):
        unnamed = "=" not in override and not override.startswith(("-", "~"))
        if before not in VALUED and (unnamed or re.match(r"[+~]*(=|$)", override)):
            sys.exit(
                f"mrirecon {command}: expected key=value, got {override!r}; "
                f"mrirecon {command} --help tells what there is"
            )
    _refuse_unknown(command, overrides, groups, own)
    options, changes = _separated(overrides)
    sweep = "-m" in options or "--multirun" in options
    if sweep and command == "serve":
        sys.exit("mrirecon serve: --multirun: a server serves until it is stopped; start one each")
    adapted = [adapt(apart(change, own), groups, sweep) for change in changes]
    sys.argv = [f"mrirecon {command}", *options, *adapted]
    importlib.import_module(f"mrirecon.commands.{command}").main()


def _refuse_options(command: str, words: list[str]) -> None:
    """End at an option that does not exist or has no value, which another word must not become."""
    for before, word in zip(["", *words], words, strict=False):
        option = word.partition("=")[0]
        if before not in VALUED and option.startswith("-") and option not in (*VALUED, *FLAGS):
            close = difflib.get_close_matches(option, [*VALUED, *FLAGS], n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            sys.exit(
                f"mrirecon {command}: there is no option {option}; {hint}settings are written "
                f"key=value; mrirecon {command} --help tells what there is"
            )
    if words and words[-1] in VALUED and words[-1] not in ("--info", "-i"):
        sys.exit(f"mrirecon {command}: expected a value after {words[-1]}")


def _separated(words: list[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's options and the choices, of which argparse wants none between options."""
    options = [
        number
        for number, (before, word) in enumerate(zip(["", *words], words, strict=False))
        if word.startswith("-") or before in VALUED
    ]
    changes = [word for number, word in enumerate(words) if number not in options]
    return [words[number] for number in options], changes


def _refuse_unknown(command: str, overrides: list[str], groups: set[str], own: set[str]) -> None:
    """End when a choice does not exist; Hydra would print the whole search path."""
    folders, parts = [conf_folder()], {"data/transforms"}
    for before, value in zip(["", *overrides], overrides, strict=False):
        if before in ("--config-dir", "-cd"):
            folders.append(Path(value))
        elif value.startswith(("--config-dir=", "-cd=")):
            folders.append(Path(value.partition("=")[2]))
        elif value.startswith(("hydra.searchpath", "--config-path", "-cp")):
            return  # choices may lie anywhere
    for override in overrides:
        try:
            refuse_former(command, override)
            refuse_part(command, override, groups, own)
            refuse_unknown(override, groups | parts, folders)
        except ConfigError as error:
            sys.exit(f"mrirecon {command}: {error}")


def _usage() -> str:
    rows = "\n".join(f"  {name:<12} {what}" for name, what in COMMANDS.items())
    return (
        f"mrirecon {__version__}: from undersampled k-space to an image you can trust\n\n"
        f"usage: mrirecon COMMAND [key=value ...]\n\n{rows}\n\n"
        "mrirecon COMMAND --help     what can be configured\n"
        "mrirecon COMMAND --cfg job  the configuration that a command would run with\n"
        "mrirecon completion         a script that completes all this in bash and zsh\n\n"
        "docs/how-to/what-do-i-run.md of the source: which command for which file; `make docs`\n"
        "there builds the whole site into build/docs/."
    )


if __name__ == "__main__":
    main()
