"""Lists of boxes in images, as fastMRI+ publishes them (Zhao et al., Sci Data 9:152, 2022)."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from mrirecon.errors import RawDataError

COLUMNS = ("file", "slice", "x", "y", "width", "height", "label")


@dataclass(frozen=True)
class Box:
    """A box in one slice, in pixels.

    Attributes:
        slice: Number of the slice, from 0.
        x: Number of the first column.
        y: Number of the first row, counted from the bottom of the image where boxes are flipped.
        width: Number of columns.
        height: Number of rows.
        label: Name of what it holds.
        line: Line of the file.
    """

    slice: int
    x: int
    y: int
    width: int
    height: int
    label: str
    line: int

    def mark(self, where: Bool[Tensor, "slice y x"], flipped: bool) -> bool:
        """Mark the voxels of the box; returns False when it lies outside.

        Args:
            where: Voxels of a region, which get more.
            flipped: Whether y counts from the bottom of the stored image.
        """
        slices, height, width = where.shape
        top = height - self.y - self.height if flipped else self.y
        rows = slice(max(top, 0), max(top + self.height, 0))
        columns = slice(max(self.x, 0), max(self.x + self.width, 0))
        inside = rows.start < min(rows.stop, height) and columns.start < min(columns.stop, width)
        if not (inside and 0 <= self.slice < slices):
            return False
        where[self.slice, rows, columns] = True
        return True


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """Read the boxes of each volume from a CSV file; rows without a box are left out.

    Raises:
        RawDataError: When it cannot be read, or lacks columns or numbers.
    """
    boxes: dict[str, list[Box]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise RawDataError(
                    f"{path}: lacks the columns {', '.join(missing)}; expected boxes as fastMRI+ "
                    f"lists them: {', '.join(COLUMNS)}"
                )
            for row in rows:
                if any((row[name] or "").strip() for name in COLUMNS[2:6]):
                    name = (row["file"] or "").strip().removesuffix(".h5")
                    boxes[name].append(_box(path, row, rows.line_num))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RawDataError(f"{path}: cannot be read as a list of boxes: {error}") from error
    return dict(boxes)


def _box(path: Path, row: dict[str, str], line: int) -> Box:
    try:
        numbers = [float(row[name]) for name in COLUMNS[1:6]]
        label = row["label"].strip()
        if not label or any(not number.is_integer() for number in numbers):
            raise ValueError("whole numbers and a label")
    except (TypeError, ValueError, AttributeError) as error:
        raise RawDataError(
            f"{path}, line {line}: expected whole numbers for {', '.join(COLUMNS[1:6])} and a "
            f"label, found {', '.join(str(row[name]) for name in COLUMNS)}"
        ) from error
    slice_, x, y, width, height = (int(number) for number in numbers)
    return Box(slice_, x, y, width, height, label, line)
