"""Raw files and references of moving objects."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.image import center_fit
from mrirecon.readers.registry import open_scan
from mrirecon.sampling import KtUniform, scan_rng
from mrirecon.scan import Frame
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from tests.simulation.test_motion import BEATING, HEART, moving

STACK = replace(HEART, matrix=(32, 28), slices=2)
OPTIONS = AcquisitionOptions(noise_readouts=128)


def test_frames_come_back_from_a_raw_file(tmp_path):
    scan = moving([BEATING], STACK, count=3, counter="phase")
    path = tmp_path / scan.header.name
    write_ismrmrd(path, scan, OPTIONS)
    read = open_scan(path)
    assert read.header.frames == tuple(Frame(phase=t) for t in range(3))
    assert (read.header.slices, read.header.coils) == (2, 4)
    for index in range(len(scan)):
        sample = read[index]
        rest = torch.linalg.vector_norm(sample.kspace - scan.noise_free(index))
        noise = float(sample.kspace.numel() * 2) ** 0.5
        assert float(rest) < 1.1 * noise
        # another frame would leave more than noise
        other = scan.noise_free((index + 2) % 6)
        assert float(torch.linalg.vector_norm(sample.kspace - other)) > 1.1 * float(rest)


def test_the_reference_has_frames_and_their_displacement(tmp_path):
    scan = moving([BEATING], STACK, count=3, states=2)
    write_reference(tmp_path / "truth.h5", scan)
    with h5py.File(tmp_path / "truth.h5") as file:
        volume, field = file["reconstruction"][()], file["displacement"][()]
    assert volume.shape == (3, 2, 32, 28) and field.shape == (3, 2, 3, 32, 28)
    for index in range(6):
        frame, plane = divmod(index, 2)
        np.testing.assert_array_equal(volume[frame, plane], scan.target(index).numpy())
        np.testing.assert_array_equal(field[frame, plane], scan.displacement(index))
    assert not field[0].any() and np.abs(field[1]).max() > 2


def test_layouts_without_frames_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="has 4 frames"):
        write_fastmri(tmp_path / "scan.h5", moving([BEATING]))
    assert not list(tmp_path.iterdir())


def test_lines_of_frames_differ_and_their_mean_is_the_calibration(tmp_path):
    scan = moving([BEATING], replace(STACK, matrix=(32, 32), slices=1), count=4)
    path = tmp_path / scan.header.name
    pattern = KtUniform(4)
    write_ismrmrd(path, scan, replace(OPTIONS, sampling=pattern))
    read = open_scan(path)
    drawn = [pattern.of_frame((32, 32), scan_rng(scan.header.name), frame) for frame in range(4)]
    for index, sample in enumerate(read):
        assert sample.frame == index
        assert torch.equal(sample.mask, drawn[index].mask)
        assert sample.kspace.abs().sum((0, 1)).bool().equal(sample.mask[0])
        calibration = sample.calibration
        assert calibration is not None and calibration.shape[-1] >= 24
        center = scan.noise_free(0)[:, 4:28, 4:28]  # at rest; the others move a little
        found = center_fit(calibration, (24, 24))
        assert float((found - center).norm() / center.norm()) < 0.3
    header = path.read_bytes()
    assert b"interleaved" in header
