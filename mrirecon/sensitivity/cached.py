"""Maps that were estimated before are read from disk instead."""

import hashlib
import math
import os
import sys
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex64, Float64
from torch import Tensor

from mrirecon import __version__
from mrirecon.errors import OutputError
from mrirecon.sampling.calibration import center_slice
from mrirecon.sensitivity.base import SensitivityEstimator, calibration_data
from mrirecon.sensitivity.cache_folder import CacheFolder
from mrirecon.types import Maps, Sample

Block = Complex64[Tensor, "coil hc wc"]
Lengths = Float64[np.ndarray, "n"]
CONTENT = 2
"""Raised when an estimator computes something else within one version of mrirecon."""
LENGTHS, QUANTUM = 64, 1e-3
CLEAN_EVERY = 64  # entries written between two looks at the size of the folder


class CachedMaps(SensitivityEstimator):
    """Another estimator's maps, kept on disk by what they are estimated from.

    The key of an entry is made of the estimator's class and settings, the grid, and the calibration
    data up to their scale: not of file names, nor of what else was measured, so that another
    undersampling of the same scan finds the same maps. Calibration data count as the same when they
    agree to about 1e-5 of their norm. Entries are complex64, so maps from the cache equal computed
    ones; damaged ones are made anew. Any number of processes may share a folder.

    Args:
        sensitivity: Estimator of the maps that are not known yet; it has nothing to train.
        folder: Folder of the entries: new, empty, or made by this class; any other is refused. None
            takes the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``). It may be removed
            at any time.
        gigabytes: Size above which the entries that were not used for longest are removed.
    """

    def __init__(
        self, sensitivity: SensitivityEstimator, folder: str | None = None, gigabytes: float = 20.0
    ) -> None:
        super().__init__()
        largest = getattr(sensitivity, "calibration", None)
        if any(True for _ in sensitivity.parameters()) or not isinstance(largest, int):
            raise ValueError(
                f"{type(sensitivity).__name__} is trained, or does more than look at calibration "
                "data, so its maps cannot be cached; use it as it is"
            )
        if gigabytes <= 0:
            raise ValueError(f"gigabytes must be positive, got {gigabytes}")
        self.sensitivity = sensitivity
        self.folder = folder
        self._largest = largest
        self.gigabytes = gigabytes
        self._written = 0

    def forward(self, sample: Sample) -> Maps:
        """Return the maps of every member, known ones from disk."""
        return self.map_sets(sample)[..., 0, :, :, :]

    @torch.no_grad()
    def map_sets(self, sample: Sample) -> Complex64[Tensor, "*b set coil h w"]:
        """Return all sets of the estimator's maps."""
        batch = sample.kspace.shape[:-3]
        flat = sample if len(batch) == 1 else _flatten(sample)
        known: list[Tensor | None] = []
        places: list[tuple[str, Lengths]] = []
        folder = CacheFolder(self._place(), self.gigabytes)
        for number in range(len(flat.kspace)):
            member = _member(flat, number)
            block = _block(member, self._largest)
            places.append((self._key(member, block), fingerprint(block)))
            known.append(_load(folder, *places[-1]))
        missing = [number for number, maps in enumerate(known) if maps is None]
        if missing:
            computed = self.sensitivity.map_sets(flat.map(lambda tensor: tensor[missing]))
            for number, maps in zip(missing, computed, strict=True):
                known[number] = maps
                self._save(folder, places[number], maps)
        together = torch.stack([maps.to(sample.kspace) for maps in known if maps is not None])
        return together.reshape(*batch, *together.shape[1:])

    def _key(self, sample: Sample, block: Block) -> str:
        # projections of a unit vector are about 1; a quarter of them is more than enough
        cells = np.floor(fingerprint(block)[: LENGTHS // 4] / QUANTUM).astype(int).tolist()
        facts = (
            _settings(self.sensitivity), __version__, CONTENT, tuple(block.shape),
            sample.grid, cells, _told_noise(sample, block),
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]

    def _place(self) -> Path:
        if self.folder is not None:
            return Path(self.folder).expanduser()
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return caches / "mrirecon" / "sensitivities"

    def _save(self, folder: CacheFolder, place: tuple[str, Lengths], maps: Tensor) -> None:
        key, lengths = place
        try:
            with folder.write(key) as file:
                np.savez(file, maps=maps.cpu().numpy(), lengths=lengths)
            if self._written % CLEAN_EVERY == 0:
                folder.clean()
            self._written += 1
        except OutputError as error:  # it only costs time: say so, and go on
            print(f"The coil sensitivities could not be kept: {error}", file=sys.stderr)  # noqa: T201


def _told_noise(sample: Sample, block: Block) -> int | None:
    """Return the level of the noise relative to the data in steps of about a percent.

    Estimators may set their thresholds by it, when the calibration data are the Sample's own.
    """
    norm = float(torch.linalg.vector_norm(block))
    if sample.noise is None or sample.calibration is not None or norm == 0:
        return None
    return round(200 * math.log10(max(float(sample.noise) / norm, 1e-30)))


def _load(folder: CacheFolder, key: str, lengths: Lengths) -> Tensor | None:
    """Return the maps of an entry; None when it is missing, damaged or of other data."""
    file = folder.read(key)
    if file is None:
        return None
    try:
        with file, np.load(file) as entry:  # zip archives check their contents
            maps, kept = entry["maps"], entry["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if kept.shape != lengths.shape or not np.allclose(kept, lengths, rtol=0, atol=1e-5):
        return None
    return torch.from_numpy(maps) if maps.ndim == 4 and maps.dtype == np.complex64 else None


def fingerprint(block: Block) -> Lengths:
    """Return projections of the data, scaled to unit norm, on fixed random directions.

    Unlike a digest of the bytes they hardly change when the data are scaled, as normalization does
    by a factor that depends on the mask.
    """
    data = torch.view_as_real(block.contiguous()).double().cpu().numpy().ravel()
    norm = np.linalg.norm(data)
    lengths: Lengths = _directions(data.size) @ (data / norm if norm > 0 else data)
    return lengths


@lru_cache(maxsize=4)
def _directions(size: int) -> Float64[np.ndarray, "n size"]:
    return np.random.RandomState(0).standard_normal((LENGTHS, size))


def _block(sample: Sample, largest: int) -> Block:
    """Return what a member's maps are estimated from."""
    kspace, extent = calibration_data(sample)
    rows, columns = (
        center_slice(full, min(int(count), largest))
        for full, count in zip(kspace.shape[-2:], extent, strict=True)
    )
    return kspace[:, rows, columns]


def _member(sample: Sample, number: int) -> Sample:
    return sample.map(lambda tensor: tensor[number])


def _flatten(sample: Sample) -> Sample:
    """Give a Sample with none or several batch axes exactly one."""
    axes = sample.kspace.ndim - 3
    return sample.map(lambda tensor: tensor.reshape(-1, *tensor.shape[axes:]))


def _settings(module: torch.nn.Module) -> str:
    """Describe a module by its class, its plain attributes and those of its children."""
    plain = {
        name: value for name, value in vars(module).items()
        if name[0] != "_" and name != "training"
    }  # fmt: skip
    children = [f"{name}={_settings(child)}" for name, child in module.named_children()]
    return f"{type(module).__module__}.{type(module).__name__}({sorted(plain.items())}, {children})"
