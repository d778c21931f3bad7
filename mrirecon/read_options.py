"""Options for reading a raw file, where it does not tell or tells it wrongly."""

from dataclasses import dataclass
from typing import Literal

from mrirecon.errors import ConfigError

TRAJECTORY_UNITS = {
    "cycles": "cycles per field of view",
    "pixel": "cycles per pixel",
    "radians": "radians per pixel",
    "1/m": "cycles per metre",
    "1/cm": "cycles per centimetre",
    "rad/m": "radians per metre",
}
"""Values of ``reading.trajectory_unit``, and what they mean."""
FRAMES = ("spokes_per_frame", "frame_duration", "cardiac_phases")
"""Ways to divide readouts into frames."""
ALONG_TRAJECTORY = ("trajectory_unit", "matrix", "gradient_delays", *FRAMES)
"""Options that tell nothing about lines on a Cartesian grid."""
SMALLEST, LARGEST = 4, 4096
"""Pixels along an axis of an image."""


@dataclass(frozen=True)
class ReadOptions:
    """Choices that override what a file says; every one may be left alone.

    Attributes:
        measurement: Choice of one of several measurements in one file: the name of an HDF5 group,
            or a number that counts from 0 and from the end when negative. None takes the last one
            with imaging lines.
        noise: Path of another file with the noise scan; coils are matched by name.
        center: Value of the phase-encoding counter that encodes k = 0.
        fourier_sign: Sign of the vendor's Fourier transform: 1 as in mrirecon, -1 the opposite.
        axes: What the axes of a plain array mean, in order, for instance ``slice coil h w``.
        variable: Name of the array with k-space, of several in an HDF5, MAT or .npz file.
        centered: Whether k = 0 of a stored array is in the middle, at ``n // 2`` (true), or at
            index 0 (false); ``h`` or ``w``: in the middle along that axis only.
        image_centered: Whether the Fourier transform that made k-space had its origin in the
            middle of the image (true), or in the first pixel (false), as ``fft(image)`` has.
        trajectory: Places of the samples where a file does not tell them, or wrongly: a file with
            a trajectory, a Pulseq sequence (``.seq``), the name of an array, or ``radial``,
            ``radial_360``, ``golden`` or ``tiny_golden_N``, diameters in the order of their
            counter.
        trajectory_unit: Unit of the trajectory: ``cycles`` (per field of view), ``pixel`` (cycles
            per pixel), ``radians`` (per pixel), ``1/m``, ``1/cm`` or ``rad/m``. None finds it by
            its extent.
        matrix: Pixels of the image along each axis, of non-Cartesian k-space.
        spokes_per_frame: Number of successive readouts of non-Cartesian k-space that make a frame.
        frame_duration: Time in ms whose readouts make a frame, by the readouts' time stamps.
        cardiac_phases: Number of cardiac phases into which readouts are sorted, by the time since
            the last trigger that is kept with them.
        gradient_delays: Delays of the gradients of a radial scan in samples: along h, along w and
            what they have in common; ``auto``, as None, estimates and corrects them, ``none``
            leaves the trajectory as it is.

    Raises:
        ConfigError: When one of these is something else.
    """

    measurement: str | int | None = None
    noise: str | None = None
    center: int | None = None
    fourier_sign: Literal[1, -1] | None = None
    axes: str | None = None
    variable: str | None = None
    centered: bool | str | None = None
    image_centered: bool | None = None
    trajectory: str | None = None
    trajectory_unit: str | None = None
    matrix: int | None = None
    spokes_per_frame: int | None = None
    frame_duration: float | None = None
    cardiac_phases: int | None = None
    gradient_delays: str | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.centered not in (None, True, False, "h", "w"):
            raise ConfigError(
                f"reading.centered={self.centered}, expected true, false, h or w: whether k = 0 is "
                "in the middle of the array, or along which axis only"
            )
        if self.trajectory_unit not in (None, *TRAJECTORY_UNITS):
            units = ", ".join(f"{name} ({what})" for name, what in TRAJECTORY_UNITS.items())
            raise ConfigError(
                f"reading.trajectory_unit={self.trajectory_unit}, expected one of {units}"
            )
        self._check_frames()
        told = self.gradient_delays
        if told not in (None, "auto", "none") and (isinstance(told, str) or len(told or ()) != 3):
            raise ConfigError(
                f"reading.gradient_delays={told}, expected auto, none, or three delays in samples: "
                "[h,w,both], for instance [0.3,-0.1,0]"
            )
        if self.matrix is not None and not SMALLEST <= self.matrix <= LARGEST:
            raise ConfigError(
                f"reading.matrix={self.matrix}, expected the pixels of the image along each axis, "
                f"{SMALLEST} to {LARGEST}"
            )

    def _check_frames(self) -> None:
        ways = {name: getattr(self, name) for name in FRAMES if getattr(self, name) is not None}
        if len(ways) > 1:
            raise ConfigError(
                f"reading: {' and '.join(ways)} were given, expected one way to divide readouts "
                "into frames; leave the others out"
            )
        for name, value in ways.items():
            if not value > 0:
                raise ConfigError(f"reading.{name}={value}, expected a number above 0")

    def chosen(self) -> tuple[str, ...]:
        """Return the names of the choices that were made."""
        return tuple(name for name, value in vars(self).items() if value is not None)
