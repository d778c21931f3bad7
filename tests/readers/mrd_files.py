"""Writes small ISMRMRD files whose true k-space is known."""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.raw.mrd_records import ACQUISITION, ACQUISITION_HEADER, AcquisitionFlag, flag_mask

READ = (0.0, 0.6, 0.8)
PHASE = (1.0, 0.0, 0.0)
SLICE = (0.0, 0.8, -0.6)

XML = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <subjectInformation><patientID>subject-1</patientID></subjectInformation>
  <measurementInformation><protocolName>tse_t2</protocolName></measurementInformation>
  <acquisitionSystemInformation><systemVendor>{vendor}</systemVendor>
    <systemFieldStrength_T>2.9</systemFieldStrength_T>
    <relativeReceiverNoiseBandwidth>0.8</relativeReceiverNoiseBandwidth>
  </acquisitionSystemInformation>
  <encoding>
    <encodedSpace><matrixSize><x>{full}</x><y>{w}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{view_full}</x><y>{view_w}</y><z>5</z></fieldOfView_mm></encodedSpace>
    <reconSpace><matrixSize><x>{y}</x><y>{x}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{view_y}</x><y>{view_x}</y><z>5</z></fieldOfView_mm></reconSpace>
    <trajectory>{trajectory}</trajectory>
    <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{maximum}</maximum>
      <center>{center}</center></kspace_encoding_step_1></encodingLimits>
    <parallelImaging><accelerationFactor><kspace_encoding_step_1>2</kspace_encoding_step_1>
      <kspace_encoding_step_2>1</kspace_encoding_step_2></accelerationFactor>
      <calibrationMode>{calibration}</calibrationMode></parallelImaging>
    <echoTrainLength>{etl}</echoTrainLength>
    <unknownElement>1</unknownElement>
  </encoding>
  <sequenceParameters><TR>3000</TR><TE>90</TE><TE>180</TE></sequenceParameters>
</ismrmrdHeader>"""


@dataclass
class MrdFile:
    """A file in the making: the true image (slice, coil, h, w), readouts, and the XML's values."""

    shape: tuple[int, int, int, int] = (1, 2, 16, 12)
    seed: int = 0
    xml: dict = field(default_factory=dict)
    heads: list = field(default_factory=list)
    data: list = field(default_factory=list)
    places: list = field(default_factory=list)

    def __post_init__(self):
        generator = torch.Generator().manual_seed(self.seed)
        self.image = torch.randn(self.shape, dtype=torch.complex64, generator=generator)
        _, _, h, w = self.shape
        self.full = 2 * h
        self.oversampled = fft(center_fit(self.image, (self.full, w))).numpy()
        self.kspace = fft(self.image)
        self.xml = {
            "vendor": "simulated",
            "full": self.full,
            "w": w,
            "view_full": 4.0 * h,
            "view_w": 2.0 * w,
            "y": h,
            "x": w,
            "view_y": 2.0 * h,
            "view_x": 2.0 * w,
            "trajectory": "cartesian",
            "maximum": w - 1,
            "center": w // 2,
            "calibration": "embedded",
            "etl": 1,
        } | self.xml

    def conjugated(self, slice_):
        """The k-space of a slice when the vendor's Fourier sign is the opposite of ours.

        The image is flipped before its field of view is cropped: on an even grid that is not the
        conjugate of the cropped k-space.
        """
        flipped = ifft(torch.from_numpy(self.oversampled[slice_].conj().copy()))
        return fft(center_fit(flipped, self.shape[2:]))

    def add(self, samples, flags=(), slice_=0, ky=0, places=None, **changes):
        """Append one readout of samples (coil, n); ``changes`` are head or counter fields.

        ``places`` (n, axis) are its trajectory.
        """
        head = np.zeros((), ACQUISITION_HEADER)
        coils, count = samples.shape
        head["version"], head["flags"] = 1, flag_mask(*flags)
        head["active_channels"], head["number_of_samples"] = coils, count
        head["center_sample"], head["sample_time_us"] = count // 2, 5.0
        head["read_dir"], head["phase_dir"], head["slice_dir"] = READ, PHASE, SLICE
        head["position"] = np.array([1.0, 2.0, 3.0]) + 7.0 * slice_ * np.array(SLICE)
        head["idx"]["slice"], head["idx"]["kspace_encode_step_1"] = slice_, ky
        head["scan_counter"] = len(self.heads)
        for name, value in changes.items():
            target = head if name in ACQUISITION_HEADER.names else head["idx"]
            target[name] = value
        places = np.zeros((count, 0)) if places is None else np.asarray(places)
        head["trajectory_dimensions"] = places.shape[1]
        self.places.append(places.astype(np.float32))
        self.heads.append(head)
        self.data.append(np.ascontiguousarray(samples, np.complex64))
        return self

    def line(self, row, slice_=0, keep=slice(None), offset=0, flags=(), gain=1.0, **changes):
        """Append the true line ``row`` of the grid, of which ``keep`` samples are recorded."""
        samples = gain * self.oversampled[slice_][:, keep, row]
        first = keep.indices(self.full)[0]
        changes = {"center_sample": self.full // 2 - first} | changes
        return self.add(samples, flags, slice_, row + offset, **changes)

    def lines(self, rows=None, slice_=0, **options):
        """Append several lines."""
        for row in range(self.shape[-1]) if rows is None else rows:
            self.line(row, slice_, **options)
        return self

    def noise(self, covariance, count=64, samples=128, dwell=5.0, seed=1):
        """Append a noise scan of the given covariance (of complex numbers)."""
        rng = np.random.default_rng(seed)
        root = np.linalg.cholesky(covariance)
        for _ in range(count):
            x = rng.standard_normal((2, len(covariance), samples))
            x = root @ (x[0] + 1j * x[1]) / np.sqrt(2)
            self.add(x, (AcquisitionFlag.NOISE_MEASUREMENT,), sample_time_us=dwell)
        return self

    def records(self):
        """Return the structured array that is stored."""
        table = np.zeros(len(self.heads), ACQUISITION)
        for i, (head, data) in enumerate(zip(self.heads, self.data, strict=True)):
            table["head"][i] = head
            table["data"][i] = data.reshape(-1).view(np.float32)
            table["traj"][i] = self.places[i].reshape(-1)
        return table

    def write(self, path: Path, group="dataset", xml_text=XML) -> Path:
        """Write the file and return its path; ``xml_text`` is its header, to be filled in."""
        with h5py.File(path, "a") as file:
            place = file.create_group(group)
            xml = place.create_dataset("xml", (1,), h5py.string_dtype())
            xml[0] = xml_text.format(**self.xml)
            place.create_dataset("data", data=self.records(), chunks=(1,), maxshape=(None,))
        return path
