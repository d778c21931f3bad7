"""``mrirecon reconstruct``: raw files to volumes."""

import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mrirecon.commands.base import command, command_line, versions
from mrirecon.config import build, build_function, check_targets
from mrirecon.data.folder import raw_files
from mrirecon.data.transforms import Compose, Undersample
from mrirecon.errors import ConfigError, MriReconError, OutputError, RawDataError
from mrirecon.files import output_folder, refuse_existing
from mrirecon.inference import reconstruct_scan
from mrirecon.readers import open_scan
from mrirecon.reading import Reading
from mrirecon.reconstruction import Provenance, series_of, split_series
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.partial_fourier import PartialFourier
from mrirecon.reconstructors.weights import strip_prefixes
from mrirecon.sampling import SamplingPattern, achieved_acceleration
from mrirecon.scan import ScanHeader
from mrirecon.training.checkpoint import Checkpoint, read_checkpoint
from mrirecon.types import Transform
from mrirecon.writers import WRITERS, Writer

METHOD = ("model", "preprocessing", "sensitivity")


@dataclass(frozen=True)
class Settings:
    """mrirecon reconstruct input=FILE_OR_FOLDER output=FOLDER [model=... | checkpoint=FILE]."""

    input: str
    output: str
    pattern: str
    checkpoint: str | None
    overwrite: bool
    device: str
    batch_size: int
    formats: list[str] | tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in WRITERS]
        if unknown or not self.formats:
            raise ValueError(
                f"formats: expected some of {', '.join(WRITERS)}, got {', '.join(self.formats)}"
            )
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")


@dataclass(frozen=True)
class Method:
    """What turns every file into a volume, and how it was made.

    Attributes:
        reconstructor: On ``device``.
        transform: Undersampling, if asked for, and preprocessing.
        config: The configuration that both were built from, as YAML.
        device: Where to compute.
        undersamples: Whether the transform takes measured samples away.
        reading: What to override of what the files say.
    """

    reconstructor: Reconstructor
    transform: Transform
    config: str
    device: torch.device
    undersamples: bool
    reading: Reading


@command(Settings, groups=(*METHOD, "sampling", "partial_fourier", "reading"))
def reconstruct(config: DictConfig, settings: Settings) -> None:
    """Reconstruct every file, go on after a bad one, and fail at the end if any failed."""
    device, folder = _device(settings.device), output_folder(settings.output)
    files = [f for f in raw_files(Path(settings.input).expanduser()) if f.match(settings.pattern)]
    if not files:
        raise ConfigError(f"{settings.input}: no file matches pattern={settings.pattern}")
    _refuse_equal_stems(files)
    _refuse_inputs_as_outputs(files, folder)
    method = _method(config, settings, device)
    failed = 0
    for file in files:
        try:
            _reconstruct_file(settings, file, folder, method)
        except MriReconError as error:
            failed += 1
            named = "" if str(file) in str(error) else f"{file}: "
            print(f"FAILED {named}{error}", file=sys.stderr)
        except Exception as error:  # noqa: BLE001 - out of memory, say: the other files may do
            failed += 1
            print(f"FAILED {file}: {type(error).__name__}: {error}", file=sys.stderr)
    if failed:
        sys.exit(f"mrirecon reconstruct: {failed} of {len(files)} files failed")


def _method(config: DictConfig, settings: Settings, device: torch.device) -> Method:
    """Build the reconstructor and the preprocessing that its input expects."""
    config = config.copy()
    checkpoint = read_checkpoint(settings.checkpoint) if settings.checkpoint else None
    if checkpoint and checkpoint.recipe:
        _refuse_other_choices(settings)
        for key, node in asdict(checkpoint.recipe).items():
            check_targets(node, f"{settings.checkpoint}: {key}")
            config[key] = node
    reconstructor = build(config.model, Reconstructor, "model")
    if checkpoint:
        _load_weights(reconstructor, checkpoint, settings)
    elif reconstructor.trainable:
        raise ConfigError(
            f"{type(reconstructor).__name__} is a learned method and needs checkpoint=FILE; "
            "train one with `mrirecon train`, or choose model=cg_sense"
        )
    if config.partial_fourier is not None:
        if reconstructor.trainable:
            raise ConfigError(
                f"partial_fourier: {type(reconstructor).__name__} is told what was not measured "
                "and fills it in itself; use partial_fourier with classical methods"
            )
        step = "partial_fourier"
        reconstructor = build(
            config.partial_fourier, PartialFourier, step, reconstructor=reconstructor
        )
    transform = build_function(config.preprocessing, "preprocessing")
    if config.sampling is not None:
        pattern = build(config.sampling, SamplingPattern, "sampling")
        transform = Compose([Undersample(pattern), transform])
    resolved = OmegaConf.to_yaml(config, resolve=True)
    return Method(
        reconstructor.to(device),
        transform,
        resolved,
        device,
        config.sampling is not None,
        build(config.reading, Reading, "reading"),
    )


def _refuse_other_choices(settings: Settings) -> None:
    """A checkpoint of ours brings its model and preprocessing; nothing else may be asked for."""
    chosen = [
        override
        for override in HydraConfig.get().overrides.task
        if re.split(r"[.=@]", override.lstrip("+~"))[0] in METHOD
    ]
    if chosen:
        raise ConfigError(
            f"{settings.checkpoint} brings its own model and preprocessing; "
            f"leave out {' '.join(override.lstrip('+') for override in chosen)}"
        )


def _load_weights(reconstructor: Reconstructor, checkpoint: Checkpoint, settings: Settings) -> None:
    try:
        named = checkpoint.weights if checkpoint.recipe else strip_prefixes(checkpoint.weights)
        reconstructor.load_state_dict(named)
    except (RuntimeError, ConfigError) as error:
        lines = "\n".join(str(error).splitlines()[:6])
        raise ConfigError(
            f"checkpoint: {settings.checkpoint} does not fit {type(reconstructor).__name__}; "
            f"weights without a recipe need the model= they were trained with.\n{lines}"
        ) from error


def _reconstruct_file(settings: Settings, file: Path, folder: Path, method: Method) -> None:
    started = time.perf_counter()
    scan = open_scan(file, method.reading)
    header = scan.header
    outputs = _outputs(settings, file, folder, header)
    raw = scan[0]
    sample = method.transform(raw)
    h, w = header.grid
    acceleration = achieved_acceleration(sample.mask.expand(h, w))
    frames = f"{len(header.frames)} frames of " if len(header.frames) > 1 else ""
    print(
        f"{file.name}: {header.format}, {frames}{header.slices} slices, {header.coils} coils, "
        f"k-space {h} x {w}, image {header.matrix[0]} x {header.matrix[1]}, "
        f"R = {acceleration:.2f}; {type(method.reconstructor).__name__}"
    )
    for note in header.notes:
        print(f"  note: {note}")
    if method.undersamples and not raw.mask.expand(h, w).all():
        measured = achieved_acceleration(raw.mask.expand(h, w))
        print(f"  note: The scan itself has R = {measured:.2f}; sampling= takes away from that.")
    planes = reconstruct_scan(
        scan,
        method.reconstructor,
        method.transform,
        batch_size=settings.batch_size,
        device=method.device,
        progress=sys.stderr.isatty(),
    )
    if not planes.isfinite().all():
        raise RawDataError(
            f"{file}: the reconstruction holds values that are not finite; nothing was written. "
            "Are the values of the k-space absurdly large?"
        )
    provenance = Provenance(
        source=str(file.resolve()),
        method=type(method.reconstructor).__name__,
        command=command_line(),
        config=method.config,
        checkpoint=settings.checkpoint or "",
        acceleration=acceleration,
        versions=versions(),
    )
    for result in split_series(planes, header, provenance):
        for path, write in outputs[result.suffix].items():
            write(path, result, overwrite=settings.overwrite)
    names = ", ".join(path.name for paths in outputs.values() for path in paths)
    print(f"  {time.perf_counter() - started:.1f} s; wrote {names} to {folder}")


def _outputs(
    settings: Settings, file: Path, folder: Path, header: ScanHeader
) -> dict[str, dict[Path, Writer]]:
    """Return what to write for each series, having made sure that it may be written."""
    outputs = {
        series: {
            folder / f"{_stem(file)}{series}{WRITERS[name][0]}": WRITERS[name][1]
            for name in settings.formats
        }
        for series in series_of(header)
    }
    for path in (path for paths in outputs.values() for path in paths):
        refuse_existing(path, settings.overwrite)
    return outputs


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device: {name!r} cannot be used ({str(error).splitlines()[0]}); use auto, cpu or cuda"
        ) from error


def _stem(file: Path) -> str:
    return file.name.removesuffix(file.suffix)


def _refuse_inputs_as_outputs(files: list[Path], folder: Path) -> None:
    """Raw files are never written, whatever ``overwrite`` says."""
    inputs = {file.resolve() for file in files}
    for file in files:
        for suffix, _ in WRITERS.values():
            if (folder / f"{_stem(file)}{suffix}").resolve() in inputs:
                raise OutputError(
                    f"output={folder} would replace the raw file {file}; choose another folder"
                )


def _refuse_equal_stems(files: list[Path]) -> None:
    stems = [_stem(file) for file in files]
    double = sorted({stem for stem in stems if stems.count(stem) > 1})
    if double:
        raise ConfigError(
            f"several input files are called {', '.join(double)} up to their ending and would "
            "write the same outputs; reconstruct them into different folders"
        )


main = reconstruct
