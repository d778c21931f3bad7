"""What is written for each choice of ``formats=``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mrirecon.files import Kind
from mrirecon.reconstruction import Quantity

Writer = Callable[..., None]


@dataclass(frozen=True)
class Format:
    """One choice of ``formats=``.

    Attributes:
        outputs: What is written, as suffixes to the name of the scan: that of the path which the
            writer is given, then those of what it writes beside it; each with its kind.
        write: Function that writes them.
        with_phase: What is written instead when the images have their phase.
        companion: What is written for each companion of an image, where it has files of its own;
            ``{}`` stands for its quantity.
    """

    outputs: dict[str, Kind]
    write: Writer
    with_phase: dict[str, Kind] | None = None
    companion: dict[str, Kind] = field(default_factory=dict)

    def files(self, phase: bool, quantities: Sequence[Quantity] = ()) -> dict[str, Kind]:
        """Return what is written.

        Args:
            phase: Whether the images have their phase.
            quantities: What their companions hold.
        """
        own = self.with_phase if phase and self.with_phase else self.outputs
        beside = self.companion.items()
        return own | {name.format(one): kind for one in quantities for name, kind in beside}

    @property
    def suffix(self) -> str:
        """That of the path which the writer is given."""
        return next(iter(self.outputs))


def _later(name: str) -> Writer:
    """Return a writer whose module is imported when it writes: few runs need all the libraries."""

    def write(*given: Any, **chosen: Any) -> None:
        getattr(import_module(f"mrirecon.writers.{name}"), f"write_{name}")(*given, **chosen)

    return write


WRITERS: dict[str, Format] = {
    "hdf5": Format({".h5": Kind.VOLUME}, _later("hdf5")),
    "nifti": Format(
        {".nii.gz": Kind.NIFTI, ".json": Kind.SIDECAR},
        _later("nifti"),
        {
            f"_part-{part}{ending}": kind
            for part in ("mag", "phase")
            for ending, kind in ((".nii.gz", Kind.NIFTI), (".json", Kind.SIDECAR))
        },
        {"_{}.nii.gz": Kind.NIFTI, "_{}.json": Kind.SIDECAR},
    ),
    "dicom": Format(
        {"_dicom": Kind.DICOM},
        _later("dicom"),
        {"_dicom": Kind.DICOM, "_phase_dicom": Kind.DICOM},
        {"_{}_dicom": Kind.DICOM},
    ),
    "mrd": Format({"_images.h5": Kind.MRD}, _later("mrd")),
    "png": Format({".png": Kind.PICTURE}, _later("png"), companion={"_{}.png": Kind.PICTURE}),
    "qc": Format({"_qc.html": Kind.PAGE}, _later("qc")),
}
