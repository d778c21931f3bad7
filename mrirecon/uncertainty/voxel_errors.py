"""How large a patient's errors are, in units of what was to be expected."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.reconstruction import Series

STEPS: Float64[np.ndarray, " step"] = np.geomspace(1e-2, 1e4, 800)
"""Factors of the scale that are told apart, 1.7 % from each to the next; the same for all
calibrations, and so chosen before the data are seen."""


@dataclass(frozen=True)
class VoxelErrors:
    """The errors of one patient's voxels, of all scans together.

    Attributes:
        patient: Pseudonym of the patient.
        voxels: Number of voxels of the object.
        outside: Number of them whose error is larger than each of :data:`STEPS` times the scale.
        relative_scale: Mean of the scale divided by the mean of the reference, over these voxels.
    """

    patient: str
    voxels: int
    outside: tuple[int, ...]
    relative_scale: float

    def __post_init__(self) -> None:
        counts = np.array(self.outside)
        falling = counts.shape == STEPS.shape and bool((np.diff(counts) <= 0).all())
        if self.voxels < 1 or not falling or not 0 <= counts[0] <= self.voxels or counts[-1] < 0:
            raise ValueError(
                f"outside: expected {len(STEPS)} falling numbers of at most {self.voxels} voxels"
            )

    @property
    def risks(self) -> Float64[np.ndarray, " step"]:
        """Share of the voxels that lie outside at each step."""
        return np.array(self.outside, np.float64) / self.voxels


class Tally:
    """Counts the voxels of one patient, scan by scan.

    Args:
        patient: Pseudonym of the patient.
    """

    def __init__(self, patient: str) -> None:
        self.patient = patient
        self._counts: Int64[np.ndarray, " bin"] = np.zeros(len(STEPS) + 1, np.int64)
        self._scale = self._signal = 0.0

    def add(self, image: Series, reference: Series, scale: Series) -> None:
        """Compare an image with its reference, where the reference has an object.

        Args:
            image: Magnitudes that were reconstructed.
            reference: Magnitudes of the reference.
            scale: Scale of the error of every voxel.
        """
        for one, truth, unit in zip(image, reference, scale, strict=True):
            where = foreground(truth)
            error = (one[where] - truth[where]).abs() / unit[where]
            bins = np.searchsorted(STEPS, error.double().numpy(), "left")
            self._counts += np.bincount(bins, minlength=len(STEPS) + 1)
            self._scale += float(unit[where].double().sum())
            self._signal += float(truth[where].double().sum())

    def found(self) -> VoxelErrors:
        """Return the errors of all scans that were added."""
        total = int(self._counts.sum())
        outside = total - np.cumsum(self._counts)[:-1]
        relative = self._scale / self._signal if self._signal > 0 else 0.0
        return VoxelErrors(self.patient, total, tuple(map(int, outside)), relative)
