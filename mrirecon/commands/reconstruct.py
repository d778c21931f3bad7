"""``mrirecon reconstruct``: raw files to volumes."""

import sys
import time
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mrirecon.commands.base import command, command_line, versions
from mrirecon.config import build, build_function
from mrirecon.data.folder import raw_files
from mrirecon.data.transforms import Compose, Undersample
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.files import refuse_existing
from mrirecon.inference import reconstruct_scan
from mrirecon.readers import open_scan
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.weights import strip_prefixes
from mrirecon.sampling import SamplingPattern, achieved_acceleration
from mrirecon.training.checkpoint import read_checkpoint
from mrirecon.types import Transform
from mrirecon.writers import WRITERS


@command
def reconstruct(config: DictConfig) -> None:
    """Reconstruct every file, go on after a bad one, and fail at the end if any failed."""
    for key in ("input", "output"):
        if config[key] is None:
            raise ConfigError(
                f"{key} is missing; usage: mrirecon reconstruct input=FILE_OR_FOLDER output=FOLDER"
            )
    device = _device(config.device)
    files = raw_files(config.input)
    _refuse_equal_stems(files)
    reconstructor, preprocessing = _method(config)
    transform = _transform(config, preprocessing)
    failed = 0
    for file in files:
        try:
            _reconstruct_file(config, file, reconstructor, transform, device)
        except MriReconError as error:
            failed += 1
            print(f"FAILED {file.name}: {error}", file=sys.stderr)
    if failed:
        sys.exit(f"mrirecon reconstruct: {failed} of {len(files)} files failed")


def _method(config: DictConfig) -> tuple[Reconstructor, Transform]:
    """Build the reconstructor and the preprocessing that its input expects."""
    model, preprocessing = config.model, config.preprocessing
    checkpoint = read_checkpoint(config.checkpoint) if config.checkpoint else None
    if checkpoint and checkpoint.recipe:
        chosen = [o for o in HydraConfig.get().overrides.task if o.lstrip("+").startswith("model")]
        if chosen:
            raise ConfigError(
                f"{config.checkpoint} brings its own model; leave out {' '.join(chosen)}"
            )
        model = OmegaConf.create(checkpoint.recipe.model)
        preprocessing = OmegaConf.create(checkpoint.recipe.preprocessing)
    reconstructor = build(model, Reconstructor, "model")
    if checkpoint:
        try:
            named = checkpoint.weights if checkpoint.recipe else strip_prefixes(checkpoint.weights)
            reconstructor.load_state_dict(named)
        except (RuntimeError, ConfigError) as error:
            lines = "\n".join(str(error).splitlines()[:6])
            raise ConfigError(
                f"checkpoint: {config.checkpoint} does not fit {type(reconstructor).__name__}; "
                f"weights without a recipe need the model= they were trained with.\n{lines}"
            ) from error
    elif reconstructor.trainable:
        raise ConfigError(
            f"{type(reconstructor).__name__} is a learned method and needs checkpoint=FILE; "
            "train one with `mrirecon train`, or choose model=cg_sense"
        )
    return reconstructor, build_function(preprocessing, "preprocessing")


def _transform(config: DictConfig, preprocessing: Transform) -> Transform:
    if config.sampling is None:
        return preprocessing
    return Compose(
        [Undersample(build(config.sampling, SamplingPattern, "sampling")), preprocessing]
    )


def _reconstruct_file(
    config: DictConfig,
    file: Path,
    reconstructor: Reconstructor,
    transform: Transform,
    device: torch.device,
) -> None:
    folder, stem = Path(config.output), _stem(file)
    outputs = {folder / f"{stem}{suffix}": write for suffix, write in WRITERS.items()}
    for path in outputs:
        refuse_existing(path, config.overwrite)
    started = time.perf_counter()
    scan = open_scan(file)
    header = scan.header
    sample = transform(scan[0])
    h, w = header.grid
    acceleration = achieved_acceleration(sample.mask.expand(h, w))
    print(
        f"{file.name}: {header.format}, {header.slices} slices, {header.coils} coils, "
        f"k-space {h} x {w}, image {header.matrix[0]} x {header.matrix[1]}, "
        f"R = {acceleration:.2f}; {type(reconstructor).__name__}"
    )
    for note in header.notes:
        print(f"  note: {note}")
    volume = reconstruct_scan(
        scan,
        reconstructor,
        transform,
        batch_size=config.batch_size,
        device=device,
        progress=sys.stderr.isatty(),
    )
    provenance = Provenance(
        source=str(file.resolve()),
        command=command_line(),
        config=OmegaConf.to_yaml(config, resolve=True),
        checkpoint=str(config.checkpoint or ""),
        acceleration=acceleration,
        versions=versions(),
    )
    result = Reconstruction(volume, header, provenance)
    for path, write in outputs.items():
        write(path, result, overwrite=config.overwrite)
    names = ", ".join(path.name for path in outputs)
    print(f"  {time.perf_counter() - started:.1f} s; wrote {names} to {folder}")


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


def _refuse_equal_stems(files: list[Path]) -> None:
    stems = [_stem(file) for file in files]
    double = sorted({stem for stem in stems if stems.count(stem) > 1})
    if double:
        raise ConfigError(
            f"several input files are called {', '.join(double)} up to their ending and would "
            "write the same outputs; reconstruct them into different folders"
        )


main = reconstruct
