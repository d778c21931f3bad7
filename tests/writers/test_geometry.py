"""Letters at the edges of pictures, from headers whose directions are known."""

from dataclasses import replace

import matplotlib.axes
import numpy as np
import pytest

from mrirecon.figures import montage
from mrirecon.geometry import Geometry
from mrirecon.simulation.simulation_protocol import Prescription
from mrirecon.writers.scanner_coordinates import edges, slice_place
from tests import scenes

# directions of increasing row (down) and column (right) in LPS, and left, right, top, bottom
KNOWN = [
    ((0, 1, 0), (1, 0, 0), ("R", "L", "A", "P")),  # axial, as radiologists look at it
    ((0, 1, 0), (-1, 0, 0), ("L", "R", "A", "P")),  # seen from the head
    ((0, 0, -1), (1, 0, 0), ("R", "L", "S", "I")),  # coronal
    ((0, 0, -1), (0, 1, 0), ("A", "P", "S", "I")),  # sagittal
    ((1, 0, 0), (0, 1, 0), ("A", "P", "R", "L")),  # axial, phase encoding from front to back
    ((0, 0, 1), (0.8, 0.6, 0), ("RA", "LP", "I", "S")),  # 37 degrees oblique
    ((0, 0, 1), (0.6, -0.8, 0), ("PR", "AL", "I", "S")),  # the nearest axis first
    ((0, 0, 1), (0.98, 0.2, 0), ("R", "L", "I", "S")),  # 11 degrees are not worth a letter
]


@pytest.mark.parametrize(("down", "right", "letters"), KNOWN)
def test_edges_are_named_after_where_they_point(down, right, letters):
    geometry = Geometry(
        ((0.0, 0.0, 0.0),),
        tuple(map(float, down)),
        tuple(map(float, np.divide(right, np.linalg.norm(right)))),
        tuple(map(float, np.cross(right, down))),
    )
    assert edges(replace(scenes.scan(slices=1).header, slices=1, geometry=geometry)) == letters


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
def test_letters_agree_with_the_affine_that_nifti_gets(orientation):
    """Walk from the middle to each edge in RAS and see which coordinate grows."""
    header = scenes.scan().header
    prescription = Prescription(matrix=(40, 36), slices=2, orientation=orientation)
    header = replace(header, geometry=prescription.geometry(), voxel=prescription.voxel)
    steps = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
    for letter, (x, y) in zip(edges(header), steps.values(), strict=True):
        walked = header.affine()[:3, :3] @ [x, y, 0]
        axis = int(np.abs(walked).argmax())
        assert letter == ("LR", "PA", "IS")[axis][int(walked[axis] > 0)]


def test_nobody_guesses_letters_without_geometry():
    assert edges(replace(scenes.scan().header, geometry=None)) is None


def test_each_slice_is_where_it_was_measured_also_with_uneven_spacing():
    header = scenes.scan(slices=3).header
    uneven = replace(header.geometry, positions=((0.0, 0, 0), (0.0, 0, 4), (0.0, 0, 20)))
    header = replace(header, geometry=uneven)
    assert [slice_place(header, i).center[2] for i in range(3)] == [0, 4, 20]


def _texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.axes.Axes)[0].texts]


@pytest.mark.parametrize(
    ("shape", "panels", "last"),
    [
        ((1, 1), 1, "slice 1 / 1"),
        ((1, 5), 5, "slice 5 / 5"),
        ((1, 90), 36, "slice 90 / 90"),
        ((4, 3), 12, "frame 4 / 4, slice 3 / 3"),
        ((30, 40), 49, "frame 30 / 30, slice 40 / 40"),
        ((9, 1), 9, "frame 9 / 9"),
    ],
)
def test_montages_show_an_even_choice_of_slices_and_frames(shape, panels, last):
    volume = np.random.default_rng(0).random((*shape, 8, 6)).astype(np.float32)
    figure = montage(volume, edges=("R", "L", "A", "P"))
    shown, texts = figure.axes[0].images, figure.axes[0].texts
    assert len(shown) == panels
    assert _texts(figure)[panels - 1 :] == [last, "R", "L", "A", "P", ""]
    first, *_ = (picture.get_extent() for picture in shown)
    left, right, top, bottom = (text.get_position() for text in texts[panels : panels + 4])
    middle = (first[0] + first[1]) / 2, (first[2] + first[3]) / 2
    assert first[0] < left[0] < middle[0] < right[0] < first[1]
    assert first[2] < bottom[1] < middle[1] < top[1] < first[3]
