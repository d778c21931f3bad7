"""Reconstructions as the images that a console, or a researcher, is sent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from mrirecon.raw.acquired_scan import AcquiredScan
from mrirecon.raw.header import Limits, MeasurementHeader
from mrirecon.raw.mrd_images import DATA_TYPE_SHORT
from mrirecon.reconstruction import Reconstruction, series_of
from mrirecon.writers.mrd import Facts, image_message, meta_xml, mrd_images

Pixels = Literal["int16", "float32", "complex64"]
Send = Callable[[tuple[bytes, bytes, bytes]], None]
LARGEST = 4095
"""Largest value of a console's images."""
HEADROOM = 2.0
"""So many times brighter than in the first one may images of a series become without clipping."""
BRIGHT = 99.5
"""Percentile of the first volume that is shown white."""
COPIED = (
    "measurement_uid", "patient_table_position", "acquisition_time_stamp", "physiology_time_stamp",
)  # fmt: skip
"""What images take over from the first of their readouts."""


@dataclass(frozen=True)
class ImageChoice:
    """What is sent.

    Attributes:
        pixels: Type of the pixels: whole numbers from 0 to 4095, magnitudes, or with the phase.
        scale: Factor of whole numbers; None takes one from the first volume of each series.
    """

    pixels: Pixels = "int16"
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.pixels not in get_args(Pixels):
            known = ", ".join(get_args(Pixels))
            raise ValueError(f"images: expected one of {known}, got {self.pixels!r}")
        if isinstance(self.scale, str | bool):
            raise ValueError(f"scale: expected a positive number, got {self.scale!r}")
        if self.scale is not None and not 0 < self.scale < np.inf:
            raise ValueError(f"scale: expected a positive number, got {self.scale}")
        if self.scale is not None and self.pixels != "int16":
            raise ValueError(f"scale: has no effect on images={self.pixels}; leave it out")


@dataclass(frozen=True)
class Image:
    """One image: its header, its pixels, and its meta attributes."""

    head: np.void
    pixels: np.ndarray
    facts: Facts

    @property
    def frame(self) -> tuple[int, int]:
        """Number of the volume among those of its series."""
        return int(self.head["phase"]), int(self.head["repetition"])


@dataclass
class _Series:
    number: int
    scale: float | None
    held: list[Image] = field(default_factory=list)
    white: float = LARGEST
    count: int = 0


class Outlet:
    """Sends the images of a session.

    Whole numbers need one scale for all images of a series. Unless it was given, the first volume
    decides: its images are sent when it is complete, all later ones at once.

    Args:
        choice: Type of the pixels, and their scale.
        header: Header of the measurement.
        send: Function that sends the body of an IMAGE message.

    Attributes:
        sent: Number of images that were sent.
        clipped: Number of pixels that were brighter than the scale allows.
    """

    def __init__(self, choice: ImageChoice, header: MeasurementHeader, send: Send) -> None:
        self.choice, self._send = choice, send
        self.sent, self.clipped = 0, 0
        self._limits = header.encodings[0].limits
        self._series: dict[tuple[int, int], _Series] = {}  # by contrast and set

    def add(self, scan: AcquiredScan, results: list[Reconstruction], *, whole: bool) -> None:
        """Send images, or hold them until their scale is known.

        Args:
            scan: Scan that they were made of.
            results: Series of the scan.
            whole: Whether the scan has all slices of its volumes.
        """
        touched = set()
        for image in _images(scan, results):
            kind = int(image.head["contrast"]), int(image.head["set"])
            self._add(kind, image)
            touched.add(kind)
        slices = self._limits.get("slice", Limits())
        expected = None
        if slices.maximum is not None:
            expected = slices.maximum - (slices.minimum or 0) + 1
        for kind in touched:
            held = len(self._series[kind].held)
            if held and (whole or held == expected):
                self._release(self._series[kind])

    def finish(self) -> None:
        """Send what is still held."""
        for series in self._series.values():
            self._release(series)

    def _add(self, kind: tuple[int, int], image: Image) -> None:
        if kind not in self._series:
            self._series[kind] = _Series(len(self._series) + 1, self.choice.scale)
        series = self._series[kind]
        series.count += 1
        image.head["image_series_index"] = series.number
        image.head["image_index"] = series.count % 2**16
        if series.held and series.held[0].frame != image.frame:
            self._release(series)  # perhaps without a scale, if all of it was zero
        if self.choice.pixels != "int16" or series.scale is not None:
            self._emit(series, image)
        else:
            series.held.append(image)

    def _release(self, series: _Series) -> None:
        if not series.held:
            return
        values = np.concatenate([np.abs(image.pixels).ravel() for image in series.held])
        brightest = float(values.max())
        if series.scale is None and brightest > 0:
            frames = self._many("repetition") * self._many("phase")
            series.scale = LARGEST / (HEADROOM if frames > 1 else 1.0) / brightest
            series.white = max(1.0, series.scale * float(np.percentile(values, BRIGHT)))
        for image in series.held:
            self._emit(series, image)
        series.held.clear()

    def _emit(self, series: _Series, image: Image) -> None:
        facts, pixels = dict(image.facts), image.pixels
        if self.choice.pixels == "int16":
            scale = series.scale or 1.0
            scaled = np.rint(np.abs(pixels) * scale)
            self.clipped += int((scaled > LARGEST).sum())
            pixels = np.minimum(scaled, LARGEST).astype("<i2")
            image.head["data_type"] = DATA_TYPE_SHORT
            facts |= {
                "RescaleSlope": repr(1 / scale),
                "RescaleIntercept": "0",
                "WindowCenter": str(round(series.white / 2)),
                "WindowWidth": str(round(series.white)),
            }
        self._send(image_message(image.head, pixels, meta_xml(facts)))
        self.sent += 1

    def _many(self, counter: str) -> int:
        return (self._limits.get(counter, Limits()).maximum or 0) + 1


def _images(scan: AcquiredScan, results: list[Reconstruction]) -> Iterator[Image]:
    """Take series apart; each image gets the counters and stamps of its readouts."""
    acquisition = scan.acquisition
    lines = acquisition.heads[acquisition.kinds.imaging]
    for result in results:
        images, count = mrd_images(result), result.volume.shape[1]
        known = series_of(scan.header)[result.suffix].slices
        for number, head in enumerate(images.heads):
            frame, place = divmod(number, count)
            mine = acquisition.frame == acquisition.frames.index(result.header.frames[frame])
            if not result.volumetric:
                place = acquisition.stack.order[known[place]]
                mine &= lines["idx"]["slice"] == place
            head["slice"] = place
            if mine.any():  # a slice that one frame lacks is empty
                first = lines[np.flatnonzero(mine)[0]]
                for name in COPIED:
                    head[name] = first[name]
            yield Image(head, images.data[number], {**images.facts, **_console_facts(result, head)})


def _console_facts(result: Reconstruction, head: np.void) -> Facts:
    """Return what consoles read beside the header."""
    header, made = result.header, result.provenance
    times = {"EchoTime": header.sequence.echo_time, "InversionTime": header.sequence.inversion_time}
    facts: dict[str, str | Sequence[str]] = {
        "ImageComment": "Research reconstruction, not for diagnostic use",
        "SeriesDescription": f"{header.acquisition} mrirecon {made.method}".strip(),
        "ImageType": ("DERIVED", "PRIMARY", "M", "NONE"),
        "Keep_image_geometry": "1",
        "ImageRowDir": _directions(head["read_dir"]),
        "ImageColumnDir": _directions(head["phase_dir"]),
        "ImageSliceNormDir": _directions(head["slice_dir"]),
    }
    return facts | {name: f"{value:g}" for name, value in times.items() if value is not None}


def _directions(vector: np.ndarray) -> tuple[str, ...]:
    return tuple(f"{value:.8f}" for value in vector)
