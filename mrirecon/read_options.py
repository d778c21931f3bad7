"""Options for reading a raw file, where it does not tell or tells it wrongly."""

from dataclasses import dataclass
from typing import Literal

from mrirecon.errors import ConfigError


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

    Raises:
        ConfigError: When ``centered`` is something else.
    """

    measurement: str | int | None = None
    noise: str | None = None
    center: int | None = None
    fourier_sign: Literal[1, -1] | None = None
    axes: str | None = None
    variable: str | None = None
    centered: bool | str | None = None
    image_centered: bool | None = None

    def __post_init__(self) -> None:
        if self.centered not in (None, True, False, "h", "w"):
            raise ConfigError(
                f"reading.centered={self.centered}, expected true, false, h or w: whether k = 0 is "
                "in the middle of the array, or along which axis only"
            )

    def chosen(self) -> tuple[str, ...]:
        """Return the names of the choices that were made."""
        return tuple(name for name, value in vars(self).items() if value is not None)
