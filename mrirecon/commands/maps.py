"""``mrirecon maps``: coil sensitivities of raw files, with their quality."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from mrirecon.commands.base import command
from mrirecon.commands.going_on import Failures
from mrirecon.commands.inputs import input_files
from mrirecon.commands.method import find_device
from mrirecon.commands.outputs import (
    SKIP_ADVICE,
    chosen_existing,
    read_files,
    refuse_equal_stems,
    stem,
)
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.config import build, build_function
from mrirecon.counting import counted
from mrirecon.data.collate import collate
from mrirecon.data.neighbors import Neighbors
from mrirecon.data.transforms import undersampled
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.figures import save_figure
from mrirecon.figures.sensitivities import sensitivities_figure
from mrirecon.files import Existing, Kind, Untouchable, output_folder, refuse_existing
from mrirecon.inference import slices_with_neighbors
from mrirecon.privacy import Disclosure, recorded
from mrirecon.read_options import ReadOptions
from mrirecon.readers import FileScan, open_scan
from mrirecon.reconstruction import Provenance
from mrirecon.sampling import SamplingPattern
from mrirecon.sensitivity import Espirit, SensitivityEstimator, calibration_fit
from mrirecon.sharing import give_way
from mrirecon.types import Transform
from mrirecon.writers.maps_file import SliceMaps, write_maps

GROUPS = ("sampling", "sensitivity", "preprocessing", "reading")


@dataclass(frozen=True)
class Settings:
    """mrirecon maps input=FILE_OR_FOLDER output=FOLDER [sensitivity=NAME]."""

    input: str | list[str]
    output: str
    pattern: str
    existing: str
    overwrite: bool
    device: str
    provenance: str

    def __post_init__(self) -> None:
        chosen_existing(self.existing, self.overwrite)
        chosen_disclosure(self.provenance)


@dataclass(frozen=True)
class Estimation:
    """What makes the maps of every file."""

    estimator: SensitivityEstimator
    transform: Transform
    device: torch.device
    reading: ReadOptions
    config: str
    disclosure: Disclosure


@command(Settings, groups=GROUPS)
def maps(config: DictConfig, settings: Settings) -> None:
    """Estimate the maps of every file, go on after a bad one, and fail at the end if any failed."""
    device, folder = find_device(settings.device), output_folder(settings.output)
    files, source = input_files(settings.input, settings.pattern)
    estimation = _estimation(config, device, chosen_disclosure(settings.provenance))
    refuse_equal_stems([stem(file, source) for file in files])
    outputs = [folder / f"{stem(file, source)}_maps.h5" for file in files]
    existing = chosen_existing(settings.existing, settings.overwrite)
    untouchable = Untouchable(read_files(files, (estimation.reading.noise,)))
    untouchable.refuse(part for path in outputs for part in _parts(path))
    done = [_done(path, existing) for path in outputs]  # refused before anything is computed
    failures = Failures()
    for file, path, there in zip(files, outputs, done, strict=True):
        if there:
            print(f"{file.name}: all outputs are there")
            continue
        with failures.of(file):
            untouchable.refuse(_parts(path))
            scan = open_scan(file, estimation.reading, source)
            _maps_of_scan(scan, path, estimation, existing is not Existing.REFUSE)
            untouchable.add(_parts(path))
    if problem := failures.problem(len(files)):
        raise MriReconError(problem)


def _estimation(config: DictConfig, device: torch.device, disclosure: Disclosure) -> Estimation:
    estimator = build(config.sensitivity, SensitivityEstimator, "sensitivity")
    if any(True for _ in estimator.parameters()):
        raise ConfigError(
            f"sensitivity: {type(estimator).__name__} is part of a trained method and has no "
            "weights of its own; choose espirit, walsh, nlinv or low_resolution"
        )
    sampling = None
    if config.sampling is not None:
        sampling = build(config.sampling, SamplingPattern, "sampling")
    return Estimation(
        estimator.to(device),
        undersampled(build_function(config.preprocessing, "preprocessing"), sampling),
        device,
        build(config.reading, ReadOptions, "reading"),
        OmegaConf.to_yaml(config, resolve=True),
        disclosure,
    )


def _parts(path: Path) -> dict[Path, Kind]:
    return {path: Kind.MAPS, path.with_suffix(".png"): Kind.PICTURE}


def _done(path: Path, existing: Existing) -> bool:
    """Tell whether the outputs are there and stay; refuse what may not be replaced."""
    parts = _parts(path)
    if existing is Existing.SKIP and all(map(os.path.lexists, parts)):
        return True
    for part, kind in parts.items():
        refuse_existing(part, existing is not Existing.REFUSE, kind, SKIP_ADVICE)
    return False


def _maps_of_scan(scan: FileScan, path: Path, estimation: Estimation, overwrite: bool) -> None:
    started = time.perf_counter()
    header = scan.header
    estimator = estimation.estimator
    print(f"{header.name}: {header.format}, {counted(len(scan), 'slice')}, "
          f"{counted(header.coils, 'coil')}; "
          f"{type(estimator).__name__}")  # fmt: skip
    for note in header.notes:
        print(f"  note: {note}")
    told = told_command(estimation.disclosure, scan.path.name)
    made = Provenance("", type(estimator).__name__, told, estimation.config)
    header, provenance = recorded(header, scan[0], made, scan.path, estimation.disclosure)
    print(f"  {'slice':>6}{'residual':>10}{'null energy':>13}")
    pictured, nowhere = None, True
    slices = write_maps(path, _slices(scan, estimation), header, provenance, overwrite=overwrite)
    for number, one in enumerate(slices):
        print(f"  {number + 1:>6}{one.residual:>10.4f}{one.null_energy:>13.2e}")
        nowhere &= not one.maps.any()
        if number == header.slices // 2:
            pictured = one
    if nowhere:
        print("  WARNING: the maps are zero everywhere; is the k-space empty?", file=sys.stderr)
    assert pictured is not None  # a scan has at least one slice
    dy, dx = (header.voxel or (1.0, 1.0, 1.0))[:2]
    aspect = dy * header.canvas[0] / header.grid[0] / (dx * header.canvas[1] / header.grid[1])
    figure = sensitivities_figure(
        pictured.maps[0],
        None if pictured.eigenvalues is None else pictured.eigenvalues[0],
        title=f"{header.name}   slice {header.slices // 2 + 1} of {header.slices}   "
        f"{type(estimator).__name__}   residual {pictured.residual:.3f}",
        crop=float(getattr(estimator, "crop", 0.0)),
        aspect=aspect,
    )
    save_figure(path.with_suffix(".png"), figure, overwrite=overwrite)
    seconds = time.perf_counter() - started
    print(f"  {seconds:.1f} s; wrote {path.name}, {path.stem}.png to {path.parent}")


def _slices(scan: FileScan, estimation: Estimation) -> Iterator[SliceMaps]:
    with torch.inference_mode():
        # as reconstruction has it
        for told in slices_with_neighbors(scan, range(len(scan)), Neighbors()):
            give_way(estimation.device.type)
            sample = collate([estimation.transform(told)]).to(estimation.device)
            values = None
            if isinstance(estimation.estimator, Espirit):
                found, eigenvalues = estimation.estimator.estimate_sets(sample)
                values = eigenvalues[0].cpu().numpy()
            else:
                found = estimation.estimator.map_sets(sample)
            fit = calibration_fit(sample, found)
            yield SliceMaps(
                found[0].cpu().numpy(), values, float(fit.residual[0]), float(fit.null_energy[0])
            )


main = maps
