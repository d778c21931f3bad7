"""Looks at all files of some folders, a few slices of each, one after the other."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.audit import (
    block_lattice,
    coils,
    completed_lines,
    completed_side,
    duplicates,
    grey_levels,
    headers,
    padding,
    subjects,
    symmetry,
    unreadable,
    window,
)
from mrirecon.audit.duplicates import Image, Pair
from mrirecon.audit.finding import LEVELS, Finding, Level, Seen, summed_up
from mrirecon.audit.likeness import Sketch, sketch
from mrirecon.audit.planes import Plane, chosen, plane_of
from mrirecon.errors import MriReconError, RawDataError
from mrirecon.fourier import fft
from mrirecon.image import complex_image
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.readers import open_scan
from mrirecon.readers.base import FileScan
from mrirecon.scan import ScanHeader

SLICES = 3
"""Slices of each file that are looked at, unless told otherwise."""
CHECKS: tuple[Callable[[Plane], Iterable[Seen]], ...] = (
    window.find,
    symmetry.find,
    grey_levels.find,
    block_lattice.find,
    completed_lines.find,
    completed_side.find,
    coils.find,
)
"""What is looked for in k-space without its empty borders."""
WHITE = 0.3
"""Correlation of neighbouring samples up to which they are noise; an object that leaves a part of
the field of view empty makes them alike."""
RING, SAMPLES, COILS = 0.8, 2048, 4
"""Distance from the centre, relative to half of k-space, of the samples that are compared as noise,
and how many of how many coils are kept."""
Progress = Callable[[Sequence[tuple[str, Path]]], Iterable[tuple[str, Path]]]


@dataclass(frozen=True)
class Audit:
    """What an audit has found.

    Attributes:
        folders: Number of files in each folder, by its name.
        looked_at: Numbers of the planes that were looked at in each file, from 1.
        findings: Everything that was found, the worst first.
        pairs: Pairs of images among the findings, with their pictures.
    """

    folders: dict[str, int]
    looked_at: dict[str, tuple[int, ...]]
    findings: tuple[Finding, ...]
    pairs: tuple[Pair, ...]

    @property
    def problems(self) -> int:
        """The number of problems."""
        return sum(one.level is Level.PROBLEM for one in self.findings)


@dataclass
class _Collected:
    """What is kept of the files that were read: no k-space, only sketches."""

    slices: int
    findings: list[Finding] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    looked_at: dict[str, tuple[int, ...]] = field(default_factory=dict)
    headers: dict[str, list[tuple[str, ScanHeader]]] = field(default_factory=dict)

    def read(self, name: str, folder: str, number: int, path: Path) -> None:
        """Look at a file."""
        try:
            scan = open_scan(path)
        except (MriReconError, OSError) as error:
            self._without_kspace(name, number, path, _told(error, path))
            return
        self.headers.setdefault(folder, []).append((name, scan.header))
        seen: list[tuple[int, Seen]] = [(1, one) for one in headers.find(scan.header)]
        if seen:
            self.findings += summed_up(name, seen, 1)
        planes = chosen(len(scan), self.slices)
        found: list[tuple[int, Seen]] = []
        looked_at = []
        try:
            for plane in planes:
                look = plane_of(scan, plane)
                if look is None:
                    continue
                looked_at.append(plane + 1)
                found += [(plane + 1, one) for one in checked(look)]
                self._keep(name, number, scan, plane, look)
            for end in {0, len(scan) - 1} - set(planes):
                scan[end]
        except (MriReconError, OSError) as error:
            self.findings.append(unreadable.unreadable(name, _told(error, path)))
        self.looked_at[name] = tuple(looked_at)
        self.findings += summed_up(name, found, len(looked_at))

    def _keep(self, name: str, number: int, scan: FileScan, plane: int, look: Plane) -> None:
        kept = sketch(look.magnitude)
        if kept is None:
            return
        subject = scan.header.subject
        self.images.append(
            Image(
                name,
                number,
                plane + 1,
                plane % scan.header.slices + 1,
                patient_pseudonym(subject) if subject else None,
                _digest(look.kspace),
                kept,
                outermost(look.kspace),
            )
        )

    def _without_kspace(self, name: str, number: int, path: Path, reason: str) -> None:
        try:
            arrays = unreadable.image_arrays(path)
        except (RawDataError, OSError) as error:
            arrays, reason = {}, _told(error, path)
        if not arrays or not unreadable.foreign(path, arrays):
            self.findings.append(unreadable.unreadable(name, reason))
            return
        self.findings.append(unreadable.images_only(name, sorted(arrays)))
        found: list[tuple[int, Seen]] = []
        count = 0
        for images in arrays.values():
            for image in images:
                count += 1
                look = Plane(fft(complex_image(image.abs()))[None], *_everything(image))
                found += [(count, one) for one in grey_levels.find(look, unreadable.GREY_STEPS)]
                found += [(count, one) for one in block_lattice.find(look)]
                kept: Sketch | None = sketch(image.abs())
                if kept is not None:
                    nothing = torch.zeros(0, dtype=torch.complex64)
                    self.images.append(
                        Image(name, number, count, count, None, _digest(look.kspace), kept,
                              ((), nothing))
                    )  # fmt: skip
        self.looked_at[name] = tuple(range(1, count + 1))
        self.findings += summed_up(name, found, count)


def audit(
    folders: Mapping[str, Sequence[tuple[str, Path]]],
    slices: int = SLICES,
    progress: Progress = iter,  # type: ignore[assignment]
) -> Audit:
    """Look at all files, and compare them with one another.

    Memory is bounded by a few sketches per file, each some 100 kilobytes; k-space of one slice at a
    time is held.

    Args:
        folders: Names and paths of the files of each folder; folders are splits.
        slices: Number of slices of each file to look at, spread over its middle.
        progress: Function that shows how far it is.
    """
    collected = _Collected(slices)
    numbers = {folder: number for number, folder in enumerate(folders)}
    members = {id(path): folder for folder, files in folders.items() for _, path in files}
    for name, path in progress([one for files in folders.values() for one in files]):
        folder = members[id(path)]
        collected.read(name, folder, numbers[folder], path)
    pairs = [*duplicates.find(collected.images), *duplicates.find_noise(collected.images)]
    findings = [*collected.findings, *subjects.find(collected.headers)]
    findings += [pair.finding for pair in pairs]
    findings.sort(key=lambda one: (LEVELS.index(one.level), one.kind.name, one.files))
    pairs.sort(key=lambda pair: LEVELS.index(pair.finding.level))
    counts = {folder: len(files) for folder, files in folders.items()}
    return Audit(counts, collected.looked_at, tuple(findings), tuple(pairs))


def checked(plane: Plane) -> Iterator[Seen]:
    """Look for everything that one plane can show."""
    yield from padding.find(plane)
    yield from headers.find_target(plane)
    inside = padding.inner(plane)
    for check in CHECKS:
        yield from check(inside)


def outermost(
    kspace: Complex64[Tensor, "coil h w"],
) -> tuple[tuple[int, ...], Complex64[Tensor, " sample"]]:
    """Return samples of the border of k-space, at places that depend on its size only.

    Where the signal of an object is larger than noise there, nothing is returned.
    """
    h, w = kspace.shape[-2:]
    y, x = ((torch.arange(n) - n // 2).abs() / (n / 2) for n in (h, w))
    ring = torch.maximum(y[:, None], x) > RING
    pairs = ring[1:] & ring[:-1]
    one, other = kspace[:, 1:][:, pairs], kspace[:, :-1][:, pairs]
    alike = (one * other.conj()).sum().abs() / (one.norm() * other.norm()).clamp_min(1e-30)
    if float(alike) > WHITE:
        return (), kspace.new_zeros(0)
    samples = kspace[:COILS, ring].flatten()
    step = max(1, len(samples) // SAMPLES)
    return tuple(kspace.shape), samples[: step * SAMPLES : step].clone()


def _told(error: Exception, path: Path) -> str:
    """Return a message without the path, which the name of the file stands for."""
    text = str(error).removeprefix(f"{path}: ")
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _digest(kspace: Complex64[Tensor, "coil h w"]) -> str:
    values = torch.view_as_real(kspace.contiguous()).numpy()
    return hashlib.sha256(values.tobytes()).hexdigest()


def _everything(image: Tensor) -> tuple[Tensor, Tensor]:
    mask = torch.ones(image.shape, dtype=torch.bool)
    return mask, mask
