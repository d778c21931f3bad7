"""GE raw data: P-files (``P*.7``) of 2-D Cartesian scans."""

from pathlib import Path

import numpy as np
from jaxtyping import Complex64

from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.header import Encoding, Limits, MeasurementHeader, Space
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, AcquisitionFlag
from mrirecon.raw.readouts import Heads, Index, Readouts
from mrirecon.raw.whitening import NoiseScan
from mrirecon.readers.acquisitions import AcquisitionScan
from mrirecon.readers.ge.header import PFileHeader, looks_like_pfile, read_pfile_header


class GeScan(AcquisitionScan):
    """A 2-D Cartesian scan in a P-file: integers in the order coil, slice, view, sample.

    The first view of each slice is a baseline, measured without excitation. Analogue receivers
    needed it to remove an offset; those of the supported revisions have none, so it is left out.

    Raises:
        RawDataError: When the file is damaged, or of a revision or kind that is not known.
    """

    format = "GE P-file"
    layout = "a header of revision 20 or 26 and 2-D k-space, .7"
    choices = ("noise", "center", "fourier_sign")  # type: ignore[assignment]

    def measurement(self) -> Measurement:
        header = read_pfile_header(self.path)
        notes = [
            "P-files do not tell how the axes of k-space lie in the patient in a documented way.",
            "The baseline view of each slice was left out.",
        ]
        if header.chopped:
            notes.append("The sign of every other view was undone (chopping).")
        return Measurement("0", _measurement_header(header), _heads(header), None, tuple(notes))

    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        header = read_pfile_header(self.path)
        shape = (header.coils, header.slices, header.views, header.samples, 2)
        stored = np.memmap(self.path, f"<i{header.point_size}", "r", header.data, shape)
        samples = [_view(stored, header, *divmod(int(i), header.frames)) for i in numbers]
        return Readouts(measurement.heads[numbers], samples)

    @classmethod
    def detect(cls, path: Path) -> bool:
        return looks_like_pfile(path)

    @classmethod
    def noise_scan(cls, path: Path) -> NoiseScan | None:  # noqa: ARG003
        """Return None: P-files of this kind hold no noise scan."""
        return None


def _view(
    stored: np.ndarray, header: PFileHeader, slice_: int, frame: int
) -> Complex64[np.ndarray, "coil sample"]:
    pairs = stored[:, header.places[slice_], frame + 1].astype(np.float32)
    sign = -1.0 if header.chopped and frame % 2 else 1.0
    return sign * np.ascontiguousarray(pairs).view(np.complex64)[..., 0]


def _heads(header: PFileHeader) -> Heads:
    heads = np.zeros(header.slices * header.frames, ACQUISITION_HEADER)
    slices, frames = np.divmod(np.arange(len(heads)), header.frames)
    heads["version"] = 1
    heads["scan_counter"] = np.arange(len(heads))
    heads["number_of_samples"] = header.samples
    heads["center_sample"] = header.samples // 2
    heads["available_channels"] = heads["active_channels"] = header.coils
    if header.bandwidth:
        heads["sample_time_us"] = 500.0 / header.bandwidth
    heads["idx"]["slice"] = slices
    heads["idx"]["kspace_encode_step_1"] = frames
    # a fast spin echo is followed by one echo train without phase encoding
    heads["flags"][frames >= header.lines] = AcquisitionFlag.PHASECORR_DATA.mask
    return heads


def _measurement_header(header: PFileHeader) -> MeasurementHeader:
    square = header.view[0] > 0 and header.view[1] in (0.0, header.view[0])
    side = header.view[0] if square else None  # what a rectangular one means is not known
    view = (side, side, header.thickness or None)
    size = header.image_size if square and header.image_size > 0 else None
    encoding = Encoding(
        encoded=Space((header.samples, header.lines, 1), view),
        recon=Space((size, size, 1), view),
        limits={"kspace_encoding_step_1": Limits(0, header.lines - 1, header.lines // 2)},
        echo_train_length=max(header.echo_train, 1),
    )
    repetition, echo, inversion = ((time,) if time > 0 else () for time in header.times)
    return MeasurementHeader(
        encodings=(encoding,),
        vendor="GE",
        field_strength=header.field_strength or None,
        repetition_times=repetition,
        echo_times=echo,
        inversion_times=inversion,
        flip_angles=(header.flip_angle,) if header.flip_angle > 0 else (),
        protocol=header.protocol or header.sequence or None,
    )
