"""What the numbers of a volume are, in the words and codes of the formats."""

from dataclasses import dataclass

from mrirecon.reconstruction import Quantity


@dataclass(frozen=True)
class Naming:
    """How formats call one quantity.

    Attributes:
        words: Words for people; empty for the image itself.
        contrast: Third and fourth value of DICOM's ImageType.
        series: Number that is added to that of the series of the image.
        dataset: Data set of HDF5.
    """

    words: str
    contrast: tuple[str, str]
    series: int
    dataset: str


NAMINGS: dict[Quantity, Naming] = {
    "magnitude": Naming("", ("M", "NONE"), 0, "reconstruction"),
    "phase": Naming("phase", ("P", "NONE"), 1000, ""),
    "mean": Naming("mean", ("M", "MEAN"), 2000, "mean"),
    "std": Naming("standard deviation", ("M", "STD_DEVIATION"), 3000, "standard_deviation"),
    "lower": Naming("lower bound", ("M", "LOWER_BOUND"), 4000, "lower_bound"),
    "upper": Naming("upper bound", ("M", "UPPER_BOUND"), 5000, "upper_bound"),
}
