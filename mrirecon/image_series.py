"""Images as a user of Python holds them: an array that knows where it lies and how it was made."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import ConfigError
from mrirecon.figures import Drawing
from mrirecon.files import Kind, refuse_existing
from mrirecon.reconstruction import Quantity, Reconstruction
from mrirecon.writers import WRITERS
from mrirecon.writers.png import overview

ENDINGS = {".nii.gz": "nifti", ".h5": "hdf5", ".png": "png"}
"""Endings of single files, and their formats; a path without an ending is a folder."""
FORMATS = ("hdf5", "nifti", "png")


@dataclass(frozen=True)
class ImageSeries(Reconstruction):
    """Images that belong together, with their header and how they were made.

    ``numpy.asarray(series)`` is :attr:`array`. A notebook shows the slices.
    """

    @property
    def array(self) -> np.ndarray:
        """The images, ``(slice, y, x)``, of several frames ``(frame, slice, y, x)``.

        Magnitudes, float32, in the units of the raw data; complex64 when the phase was asked for.
        """
        volume = self.volume if self.complex_volume is None else self.complex_volume
        return (volume[0] if len(volume) == 1 else volume).numpy()

    @property
    def mean(self) -> np.ndarray | None:
        """Mean of the magnitudes that ``samples=`` has made, as :attr:`array`; None without."""
        return self._companion("mean")

    @property
    def std(self) -> np.ndarray | None:
        """Standard deviation of these magnitudes; None without."""
        return self._companion("std")

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Lower and upper bound of the magnitudes by a calibration; None without."""
        lower, upper = self._companion("lower"), self._companion("upper")
        return None if lower is None or upper is None else (lower, upper)

    @property
    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """From voxel ``(x, y, slice)`` to RAS mm; see :meth:`mrirecon.scan.ScanHeader.affine`."""
        return self.header.affine()

    def _companion(self, quantity: Quantity) -> np.ndarray | None:
        found = (one.volume for one in self.companions if one.quantity == quantity)
        volume = next(found, None)
        return None if volume is None else (volume[0] if len(volume) == 1 else volume).numpy()

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        values = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return values.copy() if copy else values

    def save(
        self, path: str | Path, formats: tuple[str, ...] = FORMATS, overwrite: bool = False
    ) -> Path:
        """Write the series.

        Args:
            path: A file that ends in ``.nii.gz``, ``.h5`` or ``.png``, or a folder, which is made.
            formats: Formats of a folder's files, which are called after the scan: any of ``hdf5``,
                ``nifti``, ``dicom``, ``mrd`` and ``png``; HDF5, NIfTI and PNG by default.
            overwrite: Whether to replace older outputs of mrirecon; nothing else is ever replaced.

        Returns:
            The path that was given.

        Raises:
            ConfigError: When the ending or a format is not known.
            OutputError: When a file is there already, or cannot be written.
        """
        path = Path(path).expanduser()
        ending = next((one for one in ENDINGS if path.name.endswith(one)), None)
        if ending is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            WRITERS[ENDINGS[ending]].write(path, self, overwrite=overwrite)
            return path
        if path.suffix and not path.is_dir():
            raise ConfigError(
                f"{path}: the ending {path.suffix} tells no format; expected {', '.join(ENDINGS)}, "
                "or a folder, for which formats= chooses"
            )
        known = [name for name in WRITERS if name != "qc"]
        if unknown := [name for name in formats if name not in known]:
            raise ConfigError(f"formats: expected some of {', '.join(known)}, got {unknown[0]!r}")
        path.mkdir(parents=True, exist_ok=True)
        begin = Path(self.header.name).stem + self.suffix
        for name in formats:  # all or nothing
            for ending, kind in self._files(name).items():
                refuse_existing(path / f"{begin}{ending}", overwrite, kind)
        for name in formats:
            WRITERS[name].write(path / f"{begin}{WRITERS[name].suffix}", self, overwrite=overwrite)
        return path

    def _files(self, format_name: str) -> dict[str, Kind]:
        return WRITERS[format_name].files(self.complex_volume is not None, self.quantities)

    def show(self) -> Drawing:
        """Draw all slices, or an even choice of them, in one window of grey values.

        Returns:
            The figure, which a notebook shows.
        """
        return overview(self)

    def _repr_png_(self) -> bytes:
        return self.show()._repr_png_()

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.array.shape))
        return f"<images of {self.header.name}{self.suffix}: {shape}, {self.provenance.method}>"
