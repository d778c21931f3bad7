"""Series of reconstructed images: volumes, where they lie, and how they came about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.quality import Quality
from mrirecon.scan import ScanHeader
from mrirecon.selection import Selection
from mrirecon.types import Volume

Quantity = Literal["magnitude", "phase", "mean", "std", "lower", "upper"]
Series = Float32[Tensor, "frame slice y x"]
ComplexSeries = Complex64[Tensor, "frame slice y x"]


@dataclass(frozen=True)
class Provenance:
    """How a volume was made, so that it can be made again.

    Attributes:
        source: Path of the raw file.
        method: Name of the reconstructor.
        command: The command line.
        config: The resolved configuration, as YAML.
        checkpoint: Path of the weights, with their checksum; empty for a classical method.
        acceleration: All positions of the k-space grid divided by the sampled ones.
        fingerprint: Fingerprint of the raw data, the same for whatever is made of one scan; empty
            if unknown.
        versions: Versions of mrirecon and of what computes for it, as ``name version``.
        adaptation: How the network was fitted to this very scan: a summary, then its
            self-validation loss step by step. Empty when it was not.
        pattern: Pattern of the samples that were used, in words; empty if unknown.
        acs: Fully sampled centre of them ``(h, w)``, the smallest of a plane; zeros if unknown.
        whitened: Whether the noise of the coils was white.
        seconds_per_plane: Time of the reconstruction without reading, in seconds; 0 if unknown.
        memory: Peak memory in MB, of the GPU where it computed there, else of the process; 0 if
            unknown.
        seen: Whether the weights have learned from this very patient, as far as they tell.
        training: Words on how long the weights have learned, and from how many patients.
        spread: What mean and standard deviation are of, in words; empty when there are none.
        calibration: What lower and upper bounds promise, and by which file; empty when there are
            none.
        readouts: Numbers that were read from the images, each with its calibrated interval.
    """

    source: str
    method: str = ""
    command: str = ""
    config: str = ""
    checkpoint: str = ""
    acceleration: float = 1.0
    fingerprint: str = ""
    versions: tuple[str, ...] = ()
    adaptation: tuple[str, ...] = ()
    pattern: str = ""
    acs: tuple[int, int] = (0, 0)
    whitened: bool = False
    seconds_per_plane: float = 0.0
    memory: float = 0.0
    seen: bool = False
    training: str = ""
    spread: str = ""
    calibration: str = ""
    readouts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Companion:
    """A volume with the voxels of an image, which tells how far the image can be relied on.

    Attributes:
        quantity: What its numbers are: a mean, a standard deviation or a bound.
        volume: Numbers of every frame, in the units of the image's magnitude.
    """

    quantity: Quantity
    volume: Series


@dataclass(frozen=True)
class Reconstruction:
    """Magnitude volumes that belong together: the phases or repetitions of one contrast.

    Attributes:
        volume: Images of one frame or several on the header's matrix, in the units of the raw file.
        header: Header of these frames.
        provenance: Provenance of the images: how they were made.
        suffix: What tells this series from the others of the same scan: empty, or ``_echo-2``.
        number: Number of this series within the scan, from 1.
        volumetric: The scan was 3-D, whatever the header says about the volume's planes.
        quality: Quality that was measured, or None.
        complex_volume: The images with their phase, of which ``volume`` is the magnitude; None
            when only that was asked for.
        quantity: What ``volume`` holds: magnitudes, phases in radians, or what a companion holds.
        companions: Volumes beside the image that tell how uncertain its magnitudes are.
    """

    volume: Series
    header: ScanHeader
    provenance: Provenance
    suffix: str = ""
    number: int = 1
    volumetric: bool = False
    quality: Quality | None = None
    complex_volume: ComplexSeries | None = None
    quantity: Quantity = "magnitude"
    companions: tuple[Companion, ...] = ()

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What there is beside the image."""
        return tuple(one.quantity for one in self.companions)

    @property
    def meaning(self) -> str:
        """What ``volume`` is beside an image, in words; empty for an image."""
        if self.quantity in ("mean", "std"):
            return self.provenance.spread
        return self.provenance.calibration if self.quantity in ("lower", "upper") else ""

    def apart(self) -> list["Reconstruction"]:
        """Return the companions as reconstructions of their own."""
        alone = replace(self, complex_volume=None, quality=None, companions=())
        return [replace(alone, **vars(one)) for one in self.companions]

    def phase(self) -> "Reconstruction":
        """Return the phase images, in radians from -pi to pi.

        Raises:
            ValueError: When the phase was not kept.
        """
        if self.complex_volume is None:
            raise ValueError("only magnitudes were kept")
        return replace(
            self, volume=self.complex_volume.angle(), complex_volume=None, quantity="phase",
            companions=(),
        )  # fmt: skip


@dataclass(frozen=True)
class Planes:
    """Which planes of a scan belong to one series: the numbers of its frames and of its slices."""

    frames: tuple[int, ...]
    slices: Sequence[int]


def series_of(header: ScanHeader) -> dict[str, Planes]:
    """Group the planes of a scan into series, by suffix.

    Contrasts, sets and stacks are series of their own; phases and repetitions are a series' frames.
    """
    contrasts = {frame.contrast for frame in header.frames}
    sets = {frame.set for frame in header.frames}
    groups: dict[str, tuple[int, ...]] = {}
    for number, frame in enumerate(header.frames):
        suffix = f"_echo-{frame.contrast + 1}" if len(contrasts) > 1 else ""
        suffix += f"_set-{frame.set + 1}" if len(sets) > 1 else ""
        groups[suffix] = (*groups.get(suffix, ()), number)
    parts = header.parts()
    return {
        suffix + (f"_stack-{number}" if len(parts) > 1 else ""): Planes(frames, slices)
        for suffix, frames in groups.items()
        for number, slices in enumerate(parts, start=1)
    }


def split_series(
    planes: Volume | Complex64[Tensor, "plane y x"],
    header: ScanHeader,
    provenance: Provenance,
    selection: Selection | None = None,
) -> list[Reconstruction]:
    """Make series of the reconstructed planes of a scan, in the order of :func:`planes_of`.

    The volume of a 3-D scan, whose planes are perpendicular to the readout, is turned into slices.
    """
    selection = selection or Selection()
    known = selection.chosen_frames(len(header.frames))
    read = _read_slices(header, selection)
    frames = planes.unflatten(0, (len(known), len(read)))
    result: list[Reconstruction] = []
    for number, (suffix, part) in enumerate(series_of(header).items(), start=1):
        own = [known.index(frame) for frame in part.frames if frame in known]
        if not own:
            continue
        chosen = tuple(header.frames[known[place]] for place in own)
        sequence = header.sequence
        if chosen[0].contrast < len(header.echo_times):
            echo = header.echo_times[chosen[0].contrast]
            sequence = replace(sequence, echo_time=echo)
        volume = frames[own][:, [read.index(one) for one in part.slices if one in read]]
        of_series = replace(header, frames=chosen, sequence=sequence)
        if header.stacks:
            stack = header.stacks[header.parts().index(part.slices)]
            of_series = replace(of_series, slices=len(part.slices), geometry=stack, stacks=())
        if header.volumetric:
            volume, of_series = volume.permute(0, 3, 1, 2).contiguous(), of_series.as_slices()
        keep = selection.chosen_slices(of_series.slices)
        volume = volume if len(keep) == volume.shape[1] else volume[:, list(keep)]
        phased = volume if volume.is_complex() else None
        result.append(
            Reconstruction(
                volume if phased is None else volume.abs(), _some_slices(of_series, keep),
                provenance, suffix, number, header.volumetric, complex_volume=phased,
            )
        )  # fmt: skip
    return result


def planes_of(header: ScanHeader, selection: Selection) -> list[int]:
    """Return the numbers of the planes of a scan that a selection needs, in order."""
    slices = _read_slices(header, selection)
    frames = selection.chosen_frames(len(header.frames))
    return [frame * header.slices + one for frame in frames for one in slices]


def chosen_series(header: ScanHeader, selection: Selection) -> list[str]:
    """Return the suffixes of the series of which something is wanted."""
    frames = set(selection.chosen_frames(len(header.frames)))
    return [s for s, part in series_of(header).items() if not frames.isdisjoint(part.frames)]


def chosen_planes(header: ScanHeader, series: str, selection: Selection) -> Planes:
    """Return which planes of a series are wanted: of a 3-D volume all, as its slices cross them.

    Raises:
        KeyError: When there is no such series.
    """
    part = series_of(header)[series]
    known = selection.chosen_frames(len(header.frames))
    frames = tuple(frame for frame in part.frames if frame in known)
    if header.volumetric:
        return Planes(frames, tuple(part.slices))
    keep = selection.chosen_slices(len(part.slices))
    return Planes(frames, tuple(part.slices[number] for number in keep))


def _read_slices(header: ScanHeader, selection: Selection) -> tuple[int, ...]:
    """Return the slices whose k-space is needed.

    The slices of a 3-D volume, and of each of several stacks, are chosen when they are there.
    """
    if header.volumetric or header.stacks:
        return tuple(range(header.slices))
    return selection.chosen_slices(header.slices)


def _some_slices(header: ScanHeader, keep: tuple[int, ...]) -> ScanHeader:
    """Describe some slices of a series; each stays where it is."""
    geometry = header.geometry
    if geometry is not None:
        geometry = replace(geometry, positions=tuple(geometry.positions[i] for i in keep))
    return replace(header, slices=len(keep), geometry=geometry)
