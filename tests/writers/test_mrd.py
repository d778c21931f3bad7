from dataclasses import replace

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from mrirecon.raw.mrd_images import IMAGE_HEADER
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.scan import Frame
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.writers import write_mrd


@pytest.fixture
def result():
    prescription = Prescription(
        matrix=(25, 20), fov=(250.0, 180.0), slices=3, orientation="coronal", tilt=(10, 20)
    )
    header = SimulatedScan(1, SimulationProtocol(prescription=prescription)).header
    frames = (Frame(contrast=1, repetition=0), Frame(contrast=1, repetition=5))
    volume = torch.rand(2, 3, 25, 20, generator=torch.Generator().manual_seed(0))
    made = Provenance("ä&b.h5", "CgSense", "mrirecon x")
    return Reconstruction(volume, replace(header, frames=frames), made, number=2)


def test_the_reference_library_reads_it(result, tmp_path):
    write_mrd(tmp_path / "a.h5", result)
    geometry = result.header.geometry
    with ismrmrd.Dataset(tmp_path / "a.h5", create_if_needed=False) as file:
        assert file.number_of_images("image_0") == 6
        for number in range(6):
            frame, index = divmod(number, 3)
            image = file.read_image("image_0", number)
            assert image.data.dtype == np.float32 and image.data.shape == (1, 1, 20, 25)
            np.testing.assert_array_equal(image.data[0, 0].T, result.volume[frame, index])
            head = image.getHead()
            assert tuple(head.matrix_size) == (25, 20, 1) and head.channels == 1
            np.testing.assert_allclose(head.field_of_view, (250, 180, 5), rtol=1e-6)
            np.testing.assert_allclose(head.position, geometry.positions[index], rtol=1e-5)
            for name, direction in (("read_dir", geometry.row_direction),
                                    ("phase_dir", geometry.column_direction),
                                    ("slice_dir", geometry.slice_direction)):  # fmt: skip
                np.testing.assert_allclose(getattr(head, name), direction, atol=1e-6)
            assert (head.version, head.image_type, head.image_series_index) == (1, 1, 2)
            assert head.image_index == number + 1
            assert (head.slice, head.contrast, head.repetition) == (index, 1, 5 * frame)
            assert image.meta["Source"] == "ä&b.h5" and image.meta["GeometryKnown"] == "true"
            # the far corner, by MRD's rule and by our affine
            i, j = 24, 19
            lps = (
                np.array(head.position)
                + (i - 12) * 10 * np.array(head.read_dir)
                + (j - 10) * 9 * np.array(head.phase_dir)
            )
            ras = (result.header.affine() @ [j, i, index, 1])[:3]
            np.testing.assert_allclose(lps * [-1, -1, 1], ras, atol=1e-3)


def test_the_layout_is_the_library_s_own(result, tmp_path):
    """Also that it can append to our file: everything is resizable."""
    assert IMAGE_HEADER.itemsize == 198 and ismrmrd.hdf5.image_header_dtype == IMAGE_HEADER
    write_mrd(tmp_path / "ours.h5", result)
    image = ismrmrd.Image.from_array(result.volume[0, 0].T[None, None].contiguous().numpy())
    with ismrmrd.Dataset(tmp_path / "theirs.h5") as file:
        file.append_image("image_0", image)
    with ismrmrd.Dataset(tmp_path / "ours.h5", create_if_needed=False) as file:
        file.append_image("image_0", image)
    with h5py.File(tmp_path / "ours.h5") as ours, h5py.File(tmp_path / "theirs.h5") as theirs:
        ours, theirs = ours["dataset/image_0"], theirs["dataset/image_0"]
        assert set(ours) == set(theirs)
        for name in theirs:
            assert ours[name].dtype == theirs[name].dtype, name
            assert ours[name].shape == (7, *theirs[name].shape[1:]), name
            assert ours[name].maxshape == theirs[name].maxshape, name
        lengths = ours["header"]["attribute_string_len"][:6]
        assert [len(a) for a in ours["attributes"][:6]] == list(lengths)


def test_missing_geometry_is_said(result, tmp_path):
    write_mrd(tmp_path / "a.h5", replace(result, header=replace(result.header, geometry=None)))
    with ismrmrd.Dataset(tmp_path / "a.h5", create_if_needed=False) as file:
        image = file.read_image("image_0", 0)
    assert image.meta["GeometryKnown"] == "false"
    np.testing.assert_allclose(np.linalg.norm(image.getHead().read_dir), 1)
