"""Slice prescription and acquisition protocol of a simulated scan."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import ConfigError
from mrirecon.geometry import Geometry, Vector
from mrirecon.simulation.body_parts import BODY_PARTS
from mrirecon.simulation.contrast import CONTRASTS, Contrast
from mrirecon.simulation.moving_frames import MovingFrames
from mrirecon.simulation.trajectories import SimulatedTrajectory

# Directions of increasing y (readout), x (phase encoding) and slice, in LPS.
_ORIENTATIONS: dict[str, tuple[Vector, Vector, Vector]] = {
    "axial": ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "coronal": ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "sagittal": ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
}


@dataclass(frozen=True)
class Prescription:
    """A stack of parallel slices.

    Attributes:
        matrix: Size ``(h, w)`` of the image.
        fov: Field of view along h and w in mm.
        slices: Number of slices.
        thickness: Slice thickness in mm. Slices are infinitely thin in the simulation.
        gap: Space between neighbouring slices in mm.
        orientation: ``axial``, ``coronal`` or ``sagittal``, displayed as radiologists do.
        tilt: Rotations in degrees, about the phase-encoding direction and then about the slice
            normal, that make the stack oblique.
        center: Middle of the stack in LPS mm; the brain is centred on the origin, or the axis of
            the heart goes through it.
    """

    matrix: tuple[int, int] = (128, 128)
    fov: tuple[float, float] = (220.0, 220.0)
    slices: int = 8
    thickness: float = 5.0
    gap: float = 1.0
    orientation: str = "axial"
    tilt: tuple[float, float] = (0.0, 0.0)
    center: Vector = (0.0, 0.0, 14.0)

    def __post_init__(self) -> None:
        if self.orientation not in _ORIENTATIONS:
            raise ConfigError(
                f"orientation is {self.orientation!r}; expected one of {', '.join(_ORIENTATIONS)}"
            )
        if self.slices < 1 or min(self.matrix) < 4:
            raise ConfigError(
                f"a stack of {self.slices} slices with matrix {self.matrix} cannot be simulated; "
                "expected at least 1 slice and a matrix of at least (4, 4)"
            )
        if min(self.fov) <= 0 or self.thickness <= 0 or self.thickness + self.gap <= 0:
            raise ConfigError(
                f"fov {self.fov}, thickness {self.thickness} and thickness + gap "
                f"{self.thickness + self.gap} must be positive (mm)"
            )

    @property
    def voxel(self) -> Vector:
        """Pixel spacing along y and x, and slice thickness, in mm."""
        return (self.fov[0] / self.matrix[0], self.fov[1] / self.matrix[1], float(self.thickness))

    def geometry(self) -> Geometry:
        """Return where the slices lie; positions increase along the slice direction."""
        row, column, normal = _turn(*_ORIENTATIONS[self.orientation], *np.deg2rad(self.tilt))
        step = self.thickness + self.gap
        offsets = (np.arange(self.slices) - (self.slices - 1) / 2) * step
        positions = np.asarray(self.center) + offsets[:, None] * normal
        return Geometry(
            tuple(_vector(position) for position in positions),
            _vector(row),
            _vector(column),
            _vector(normal),
        )

    def points(
        self, index: int, rows: Float64[np.ndarray, "h"], columns: Float64[np.ndarray, "w"]
    ) -> Float64[np.ndarray, "3 point"]:
        """Return the LPS coordinates (mm) of a grid in slice ``index``.

        ``rows`` and ``columns`` are distances in mm from the slice's position, along the directions
        of increasing y and x.
        """
        geometry = self.geometry()
        origin, row, column = (
            np.asarray(vector)[:, None, None]
            for vector in (
                geometry.positions[index],
                geometry.row_direction,
                geometry.column_direction,
            )
        )
        points: Float64[np.ndarray, "3 h w"] = origin + row * rows[:, None] + column * columns
        return points.reshape(3, -1)


@dataclass(frozen=True)
class SimulationProtocol:
    """Everything that a simulated scan depends on besides the subject.

    Attributes:
        contrast: Pulse sequence; :data:`mrirecon.simulation.contrast.CONTRASTS` has examples.
        prescription: Stack of slices to measure.
        coils: Number of receive loops, 1 to 32.
        snr: Mean signal of the brain, or of blood, heart, liver and spleen, in the fully sampled
            root-sum-of-squares image, in units of the noise's standard deviation per real
            component.
        field_strength: Field strength in T, 1.5 or 3.
        lesions: Whether some subjects have pathology; of the head only.
        body_part: What is scanned: ``head``, which does not move, or ``torso``.
        frames: Frames of a moving object, or None for a single one of an object at rest.
        trajectory: Trajectory of the readouts, or None for the Cartesian grid.
    """

    contrast: Contrast = field(default_factory=lambda: CONTRASTS["t2"])
    prescription: Prescription = Prescription()
    coils: int = 8
    snr: float = 30.0
    field_strength: float = 3.0
    lesions: bool = True
    body_part: str = "head"
    frames: MovingFrames | None = None
    trajectory: SimulatedTrajectory | None = None

    def __post_init__(self) -> None:
        if not self.snr > 0:
            raise ConfigError(f"snr is {self.snr}; expected a number above zero")
        if self.body_part not in BODY_PARTS:
            raise ConfigError(
                f"body_part is {self.body_part!r}; expected one of {', '.join(BODY_PARTS)}"
            )
        if self.frames is not None and self.frames.motions and self.body_part == "head":
            raise ConfigError("a head neither breathes nor beats; body_part=torso does")
        square = len(set(self.prescription.matrix)) == len(set(self.prescription.fov)) == 1
        if self.trajectory is not None and not square:
            raise ConfigError(
                f"trajectory: expected a square image, got matrix {self.prescription.matrix} and "
                f"fov {self.prescription.fov}"
            )

    @property
    def acquisition(self) -> str:
        """Name of the acquisition as fastMRI writes it, for instance ``AXT2``."""
        prefix = {"axial": "AX", "coronal": "COR", "sagittal": "SAG"}
        return prefix[self.prescription.orientation] + self.contrast.label.upper()


def _turn(
    row: Vector, column: Vector, normal: Vector, about_column: float, about_normal: float
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    r, c, n = np.asarray(row), np.asarray(column), np.asarray(normal)
    r, n = (
        np.cos(about_column) * r + np.sin(about_column) * n,
        np.cos(about_column) * n - np.sin(about_column) * r,
    )
    r, c = (
        np.cos(about_normal) * r + np.sin(about_normal) * c,
        np.cos(about_normal) * c - np.sin(about_normal) * r,
    )
    return r, c, n


def _vector(values: Float64[np.ndarray, "3"]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
