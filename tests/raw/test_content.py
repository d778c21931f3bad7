"""Dead coils and empty slices, by their energies alone."""

import numpy as np

from mrirecon.raw.content import Content, coil_notes, content_notes, empty_note

NAMES = ["slice 3", "slice 5"]


def test_dead_coils_are_named():
    energy = np.array([[4.0, 0, 3e-9, 5], [8.0, 0, 5e-9, 9]])
    assert coil_notes(energy[:1], NAMES[:1]) == [
        "Coil 1 (counted from 0) is exactly zero in slice 3: dead, or switched off.",
        "Coil 2 (counted from 0) is nearly zero in slice 3: dead, or switched off.",
    ]
    assert "Coil 1 (counted from 0) is exactly zero in all 2 planes" in coil_notes(energy, NAMES)[0]
    assert coil_notes(0 * energy, NAMES) == [] == coil_notes(energy[:, :1], NAMES)
    assert coil_notes(energy[:, [0, 3]], NAMES) == []


def test_a_coil_far_from_one_slice_is_not_dead():
    energy = np.array([[4.0, 3e-9, 2, 0], [8.0, 7, 6, 9]])
    assert coil_notes(energy, NAMES) == [
        "Coil 3 (counted from 0) is exactly zero in slice 3, but not in all slices: lost?"
    ]


def test_empty_slices_are_named():
    empty = np.array([[True, False, True, False]])
    assert "Exactly zero: slice 1, slice 3 (counted from 1, of 4 slices)" in empty_note(empty)
    frames = np.stack([empty[0], [True, False, False, False]])
    assert "Exactly zero: slice 1, slice 3 of frame 1 (counted" in empty_note(frames)
    assert empty_note(~empty & empty) is None is empty_note(empty | ~empty)
    assert "Exactly zero: frame 2 (counted from 1, of 2 frames)" in empty_note(
        frames[:, 1:2] < [[0], [1]]
    )


class Long(Content):
    """A scan of many planes, of which a line is zero in some and all of it in few."""

    shape, coils = (1, 3000), 2

    def __init__(self):
        self.asked = []

    def present(self):
        return np.arange(3000)

    def strength(self, planes):
        return np.where(planes < 100, 0.0, 1.0)

    def line(self, plane):  # noqa: ARG002
        return np.array([1.0, 0.0])

    def whole(self, plane):
        self.asked.append(plane)
        return np.array([0.0, 0.0]) if plane < 50 else np.array([1.0, 2.0])


def test_long_scans_are_probed_and_told_so():
    content = Long()
    (note,), strongest = content_notes(content)
    assert "Exactly zero: slice 1, slice 7" in note and "512 of 3000 slices were looked at" in note
    assert strongest >= 50 and len(content.asked) < 30
