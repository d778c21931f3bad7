"""Regions of volumes that are scored apart: boxes of a list such as fastMRI+, or label maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation.regions.boxes import Box, read_boxes
from mrirecon.evaluation.regions.label_map import Shape, read_label_map

Where = Bool[Tensor, "slice y x"]
MAPS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Regions:
    """Regions of volumes by their names.

    Attributes:
        path: File that they come from, for messages.
        boxes: Boxes by volume.
        maps: Files with label maps by volume.
        flipped: Whether y of a box counts from the bottom of the stored image, as in fastMRI+,
            whose annotators saw images that were turned upside down.
    """

    path: Path
    boxes: Mapping[str, Sequence[Box]]
    maps: Mapping[str, Path]
    flipped: bool = True

    def of(
        self, name: str, shape: Shape, affine: Float64[np.ndarray, "4 4"] | None = None
    ) -> dict[str, Where]:
        """Return the voxels of every region of a volume by label; boxes of one label are joined.

        Args:
            name: Name of the volume.
            shape: Size of the reference, ``(slice, y, x)``.
            affine: Matrix from indices ``(x, y, slice)`` of the reference to RAS+ in mm; None
                where it is not known.

        Raises:
            RawDataError: When a region lies outside, or on another grid.
        """
        found: dict[str, Where] = {}
        for box in self.boxes.get(name, ()):
            where = found.setdefault(box.label, torch.zeros(shape, dtype=torch.bool))
            if not box.mark(where, self.flipped):
                slices, height, width = shape
                raise RawDataError(
                    f"{self.path}, line {box.line}: slice {box.slice} and the box at x {box.x}, "
                    f"y {box.y} lie outside of {name}, which has {slices} slices of "
                    f"{height} x {width}"
                )
        if name in self.maps:
            found |= read_label_map(self.maps[name], shape, affine)
        return found

    def refuse_unused(self, names: Sequence[str]) -> None:
        """Refuse regions of other volumes only.

        Raises:
            ConfigError: When none of the volumes has a region.
        """
        known = {*self.boxes, *self.maps}
        if not known & set(names):
            some = ", ".join(sorted(known)[:3]) or "nothing"
            raise ConfigError(
                f"regions: {self.path} has regions of {some}, and of none of the volumes "
                f"{', '.join(list(names)[:3])}; names must agree"
            )


def read_regions(path: Path, names: Sequence[str], flipped: bool = True) -> Regions:
    """Read boxes from a CSV file, or find label maps.

    Args:
        path: A CSV file with the columns of fastMRI+ (file, slice, x, y, width, height, label;
            rows without a box, of the whole study, are left out); a NIfTI file with the labels of
            the only volume; or a folder with ``NAME.nii.gz`` for the volumes.
        names: Names of the volumes.
        flipped: Whether y of a box counts from the bottom of the stored image, as in fastMRI+.

    Raises:
        RawDataError: When the file is not there, or is none of these.
        ConfigError: When it has no region of these volumes.
    """
    if path.is_dir():
        maps = {
            name: file
            for name in names
            for ending in MAPS
            if (file := path / f"{name}{ending}").is_file()
        }
        found = Regions(path, {}, maps)
    elif path.name.endswith(MAPS):
        if len(names) > 1:
            raise ConfigError(
                f"regions: {path} is one label map for {len(names)} volumes; name a folder that "
                f"holds one for each, {names[0]}.nii.gz"
            )
        if not path.is_file():
            raise RawDataError(f"{path}: no such file; expected a label map")
        found = Regions(path, {}, {names[0]: path})
    else:
        found = Regions(path, read_boxes(path), {}, flipped)
    found.refuse_unused(names)
    return found
