"""Raw files and references of moving objects."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.readers.registry import open_scan
from mrirecon.scan import Frame
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from tests.simulation.test_motion import BEATING, HEART, moving

STACK = replace(HEART, matrix=(32, 28), slices=2)
OPTIONS = AcquisitionOptions(noise_readouts=128)


@pytest.mark.parametrize("counter", ["repetition", "phase"])
def test_frames_come_back_from_a_raw_file(tmp_path, counter):
    scan = moving([BEATING], STACK, count=3, counter=counter)
    path = tmp_path / scan.header.name
    write_ismrmrd(path, scan, OPTIONS)
    read = open_scan(path)
    assert read.header.frames == tuple(Frame(**{counter: t}) for t in range(3))
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
