"""How a raw file is to be read, where it does not tell or tells it wrongly."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reading:
    """Choices that override what a file says; every one may be left alone.

    Attributes:
        measurement: Which of several measurements in one file: the name of an HDF5 group, or a
            number that counts from 0 and from the end when negative. Otherwise the last one with
            imaging lines is read.
        noise: Path of another file with the noise scan; coils are matched by name.
        center: Value of the phase-encoding counter that encodes k = 0.
        fourier_sign: Sign of the vendor's Fourier transform: 1 as in mrirecon, -1 the opposite.
        axes: What the axes of a plain array mean, in order, for instance ``slice coil h w``.
    """

    measurement: str | int | None = None
    noise: str | None = None
    center: int | None = None
    fourier_sign: Literal[1, -1] | None = None
    axes: str | None = None

    def chosen(self) -> tuple[str, ...]:
        """Return the names of the choices that were made."""
        return tuple(name for name, value in vars(self).items() if value is not None)
