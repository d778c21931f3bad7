"""Arrays of non-Cartesian k-space: their axes, their places, their unit, their image."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.inspection import as_text, inspect_file
from mrirecon.operators import NonUniformFourier, iterated_density
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.sampling.trajectories import golden_angles, radial
from tests.readers.array_files import write_hdf5
from tests.readers.trajectory_files import (
    COILS,
    MATRIX,
    SAMPLES,
    SPOKES,
    arms,
    gaussian,
    signal,
    spokes,
    write_bart,
)

PLACES = spokes()
KSPACE = signal(PLACES)


def opened(path, **reading):
    return open_scan(path, ReadOptions(**reading))


def check(scan, kspace=KSPACE, places=PLACES, index=0, matrix=MATRIX):
    sample = scan[index]
    torch.testing.assert_close(sample.kspace, torch.from_numpy(kspace).transpose(-1, -2))
    torch.testing.assert_close(sample.trajectory, places.transpose(0, 1), rtol=1e-5, atol=1e-4)
    assert sample.grid == scan.header.grid == (matrix, matrix)
    return sample


def swapped(x):
    return x.transpose(*range(x.ndim - 2), -1, -2)


T = PLACES.numpy()
LAYOUTS = {
    "usual": (KSPACE, T),
    "samples first": (swapped(KSPACE), T.swapaxes(0, 1)),
    "coils last": (np.moveaxis(KSPACE, 0, -1), T),
    "coordinates first": (KSPACE, np.moveaxis(T, -1, 0)),
    "other order in the trajectory": (KSPACE, T.swapaxes(0, 1)),
    "complex places": (KSPACE, T[..., 0] + 1j * T[..., 1]),
    "three coordinates": (KSPACE, np.pad(T, [(0, 0), (0, 0), (0, 1)])),
    "pairs": (np.stack([KSPACE.real, KSPACE.imag], -1), T),
    "double precision": (KSPACE.astype(np.complex128), T.astype(np.float64)),
    "one axis more": (KSPACE, T[None]),
    "axes of length one": (
        KSPACE.transpose(2, 1, 0)[None],
        np.pad(T, [(0, 0), (0, 0), (0, 1)]).transpose(2, 1, 0)[..., None],
    ),
    "axes of length one at the end": (KSPACE[..., None], T[:, :, None]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_axes_are_found_by_the_trajectory(tmp_path, layout):
    kspace, places = LAYOUTS[layout]
    path = write_hdf5(tmp_path / "scan.h5", kspace=kspace, trajectory=places)
    sample = check(opened(path))
    assert sample.mask.shape == (1, SPOKES) and sample.mask.all()


@pytest.mark.parametrize("names", [("rawdata", "trajectory"), ("ksp", "coord")])
def test_other_names(tmp_path, names):
    arrays = dict(zip(names, (KSPACE, T), strict=True))
    check(opened(write_hdf5(tmp_path / "scan.h5", **arrays)))
    np.savez(tmp_path / "scan.npz", **arrays)
    check(opened(tmp_path / "scan.npz"))


@pytest.mark.parametrize("names", [("kspace", "traj"), ("data", "k")])
@pytest.mark.parametrize("kind", ["complex", "coordinates"])
def test_matlab(tmp_path, names, kind):
    places = (T[..., 0] + 1j * T[..., 1]).T if kind == "complex" else T.transpose(2, 1, 0)
    arrays = dict(zip(names, (KSPACE.transpose(2, 1, 0), places), strict=True))
    savemat(tmp_path / "scan.mat", arrays)
    told = {} if names[0] == "kspace" else {"variable": "data", "trajectory": "k"}
    check(opened(tmp_path / "scan.mat", **told))


def test_as_many_readouts_as_samples(tmp_path):
    places = spokes(SAMPLES)
    kspace = signal(places)
    for stored, own in ((kspace, places), (swapped(kspace), places.transpose(0, 1))):
        path = write_hdf5(tmp_path / "scan.h5", kspace=stored, trajectory=own.numpy())
        check(opened(path), kspace, places)
    # k-space and trajectory in different orders: the signal contradicts, the axes help
    path = write_hdf5(tmp_path / "scan.h5", kspace=swapped(kspace), trajectory=places.numpy())
    with pytest.raises(RawDataError, match=r"closest to k = 0.*reading.axes"):
        opened(path)
    check(opened(path, axes="coil h w"), kspace, places)


def test_slices_and_frames(tmp_path):
    slices = np.stack([KSPACE, 2 * KSPACE])
    scan = opened(write_hdf5(tmp_path / "a.h5", kspace=slices, trajectory=T))
    assert (scan.header.slices, len(scan.header.frames)) == (2, 1)
    check(scan, 2 * KSPACE, index=1)
    frames = torch.stack([PLACES, spokes(golden=True)])
    scan = opened(write_hdf5(tmp_path / "b.h5", kspace=slices, trajectory=frames.numpy()))
    assert (scan.header.slices, len(scan.header.frames)) == (1, 2)
    check(scan, 2 * KSPACE, frames[1], index=1)
    scan = opened(tmp_path / "a.h5", axes="repetition coil w h")
    assert (scan.header.slices, len(scan.header.frames)) == (1, 2)
    check(scan, 2 * KSPACE, index=1)
    path = write_hdf5(tmp_path / "d.h5", kspace=slices, trajectory=frames.numpy())
    for counter in ("phase", "set", "contrast"):
        scan = opened(path, axes=f"{counter} coil w h")
        assert [getattr(frame, counter) for frame in scan.header.frames] == [0, 1]
        check(scan, 2 * KSPACE, frames[1], index=1)
    single = opened(write_hdf5(tmp_path / "c.h5", kspace=KSPACE[0], trajectory=T))
    check(single, KSPACE[:1])


def test_as_many_frames_as_coils(tmp_path):
    frames = torch.stack([spokes(golden=True, first=n * SPOKES) for n in range(COILS)])
    kspace = np.stack([signal(places, seed=n) for n, places in enumerate(frames)])
    for order, stored in (("repetition coil", kspace), ("coil repetition", kspace.swapaxes(0, 1))):
        path = write_hdf5(tmp_path / "scan.h5", kspace=stored, trajectory=frames.numpy())
        with pytest.raises(RawDataError, match=r"has 3 frames; 2 axes.*reading\.axes"):
            opened(path)
        check(opened(path, axes=f"{order} w h"), kspace[2], frames[2], index=2)


UNITS = {
    "cycles": 1.0, "pixel": 1 / SAMPLES * SAMPLES / MATRIX, "radians": 2 * np.pi / MATRIX,
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_found_by_the_extent_and_told(tmp_path, unit):
    path = write_hdf5(tmp_path / "scan.h5", kspace=KSPACE, trajectory=T * UNITS[unit])
    # samples lie half a cycle apart, so that twice the field of view fits in
    whole = MATRIX if unit == "cycles" else 2 * MATRIX
    scan = opened(path)
    check(scan, places=PLACES * whole / MATRIX, matrix=whole)
    assert any("found by its extent" in note for note in scan.header.notes)
    for told in ({}, {"trajectory_unit": unit}):
        check(opened(path, matrix=MATRIX, **told))


def test_readouts_that_include_both_ends(tmp_path):
    radius = np.linspace(-0.5, 0.5, SAMPLES)
    angles = golden_angles(SPOKES).numpy()
    places = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None]
    scan = opened(write_hdf5(tmp_path / "scan.h5", kspace=KSPACE, trajectory=places))
    assert scan.header.matrix == (SAMPLES, SAMPLES)


def test_columns_of_a_trajectory_are_rows_and_columns_of_the_image(tmp_path):
    places = spokes(60)
    kspace = gaussian(places, (4, -2))[None]
    scan = opened(write_hdf5(tmp_path / "scan.h5", kspace=kspace, trajectory=places.numpy()))
    sample = scan[0]
    operator = NonUniformFourier(sample.trajectory.reshape(-1, 2), sample.grid)
    weights = iterated_density(operator)
    image = operator.H(sample.kspace.reshape(1, -1) * weights)[0].abs()
    y, x = divmod(int(image.argmax()), MATRIX)
    assert (y, x) == (MATRIX // 2 + 4, MATRIX // 2 - 2)


def test_spirals(tmp_path):
    places = arms()
    kspace = signal(places)
    path = write_hdf5(tmp_path / "scan.h5", kspace=kspace, trajectory=places.numpy())
    scan = opened(path)
    check(scan, kspace, places)
    text = as_text(inspect_file(path))
    assert "spiral, 6 arms of 60 samples" in text and "R = 1." in text
    path = write_hdf5(tmp_path / "b.h5", kspace=kspace, trajectory=places.numpy() / MATRIX)
    with pytest.raises(RawDataError, match=r"curved.*reading\.matrix=N"):
        opened(path)
    check(opened(path, matrix=MATRIX), kspace, places)


def test_smaller_images_of_a_finer_k_space(tmp_path):
    path = write_hdf5(tmp_path / "scan.h5", kspace=KSPACE, trajectory=T)
    scan = opened(path, matrix=12)
    assert (scan.header.grid, scan.header.canvas, scan.header.matrix) == (
        (16, 16), (12, 12), (12, 12),
    )  # fmt: skip
    assert any("beyond the k-space of 12 pixels" in note for note in scan.header.notes)


def test_readouts_that_were_not_measured(tmp_path):
    kspace = KSPACE.copy()
    kspace[:, 3] = 0
    path = write_hdf5(tmp_path / "scan.h5", kspace=kspace, trajectory=T)
    mask = opened(path)[0].mask
    assert mask.shape == (1, SPOKES) and not mask[0, 3] and mask.sum() == SPOKES - 1
    assert f"{SPOKES - 1} diameters" in as_text(inspect_file(path))
    kspace[:, 5, 20:] = 0
    path = write_hdf5(tmp_path / "b.h5", kspace=kspace, trajectory=T)
    mask = opened(path)[0].mask
    assert mask.shape == (SAMPLES, SPOKES) and not mask[20:, 5].any() and mask[:20, 5].all()


def test_numpy_and_files_of_their_own(tmp_path):
    np.savez(tmp_path / "scan.npz", kspace=KSPACE, traj=T)
    scan = opened(tmp_path / "scan.npz")
    check(scan)
    np.save(tmp_path / "k.npy", KSPACE)
    np.save(tmp_path / "t.npy", T)
    write_hdf5(tmp_path / "t.h5", trajectory=T)
    write_hdf5(tmp_path / "k.h5", kspace=KSPACE, places=T)
    for kspace, places in (
        ("k.npy", tmp_path / "t.npy"), ("k.npy", tmp_path / "t.h5"), ("k.h5", tmp_path / "t.npy"),
        ("k.h5", "places"),
    ):  # fmt: skip
        check(opened(tmp_path / kspace, trajectory=str(places)))


@pytest.mark.parametrize("first", [0, 1])
def test_bart(tmp_path, first):
    kspace = KSPACE.transpose(2, 1, 0)[:, :, None]  # samples, readouts, 1, coils
    if first:
        kspace = kspace.transpose(2, 0, 1, 3)
    path = write_bart(tmp_path / "k", kspace)
    places = np.pad(T.transpose(2, 1, 0), [(0, 1), (0, 0), (0, 0)])
    trajectory = write_bart(tmp_path / "t", places)
    check(opened(path, trajectory=str(trajectory)))
    check(opened(path, trajectory=str(trajectory.with_suffix(""))))
    scan = opened(path, trajectory="radial", matrix=MATRIX)
    check(scan)
    with pytest.raises(RawDataError, match=r"reading\.trajectory and this one"):
        opened(trajectory)


def test_frames_of_bart(tmp_path):
    frames = torch.stack([PLACES, spokes(golden=True)])
    kspace = np.stack([KSPACE, 2 * KSPACE])
    stored = kspace.transpose(3, 2, 1, 0)  # samples, readouts, coils, frames
    path = write_bart(tmp_path / "k", stored.reshape(1, SAMPLES, SPOKES, COILS, *(1,) * 6, 2))
    places = np.pad(frames.numpy().transpose(3, 2, 1, 0), [(0, 1), (0, 0), (0, 0), (0, 0)])
    own = write_bart(tmp_path / "t", places.reshape(3, SAMPLES, SPOKES, *(1,) * 7, 2))
    scan = opened(path, trajectory=str(own))
    assert len(scan.header.frames) == 2
    check(scan)
    check(scan, kspace[1], frames[1], index=1)


@pytest.mark.parametrize(
    ("name", "angles"),
    [
        ("radial", np.arange(SPOKES) * np.pi / SPOKES),
        ("radial_360", np.arange(SPOKES) * 2 * np.pi / SPOKES),
        ("golden", np.deg2rad(np.arange(SPOKES) * 111.24612)),
        ("tiny_golden_7", np.deg2rad(np.arange(SPOKES) * 23.62814)),
    ],
)
def test_trajectories_by_name(tmp_path, name, angles):
    path = write_hdf5(tmp_path / "scan.h5", kspace=KSPACE)
    scan = opened(path, trajectory=name, matrix=MATRIX)
    check(scan, places=radial(torch.from_numpy(angles), SAMPLES, MATRIX))
    assert any(f"made as told: {name}" in note for note in scan.header.notes)
    assert opened(path, trajectory=name).header.matrix == (SAMPLES, SAMPLES)


def nan(x):
    x = x.copy()
    x.reshape(-1)[5] = np.nan
    return x


def outlying(x):
    """One place far away from all others."""
    x = x.copy()
    x[3, 4] = 20 * np.abs(x).max()
    return x


def turned(x):
    """Places along three axes."""
    return np.concatenate([x, x[..., :1] * np.linspace(-1, 1, SPOKES)[:, None, None]], -1)


@pytest.mark.parametrize(
    ("kspace", "places", "found"),
    [
        (KSPACE, nan(T), r"'trajectory' holds 1 values that are not finite"),
        (KSPACE, np.where(T[3, 4, 0] == T, 1e12, T), r"above 1e\+09"),
        (
            KSPACE,
            np.where(T[3, 4, 0] == T, 1e5, T),
            r"reaches to 1e\+05 in 4 places, 95% of all lie within",
        ),
        (KSPACE, 0 * T, "does not vary along both"),
        (KSPACE, T[:, :-1], r"do not fit together.*reading\.axes"),
        (KSPACE, T[:-1], r"do not fit together.*reading\.axes"),
        (KSPACE, T.reshape(-1, 2), "is a list of 640 places"),
        (KSPACE, T[..., 0], "an axis of 2 coordinates"),
        (KSPACE, T / 8, r"unit of the trajectory is not clear.*reading\.trajectory_unit"),
        (KSPACE, T * 50, r"unit of the trajectory is not clear.*reading\.trajectory_unit"),
        (KSPACE, turned(T), "three axes of k-space"),
        (KSPACE, outlying(T), "reaches to 160 in 1 places"),
        (KSPACE, outlying(T / MATRIX), "reaches to 10 in 1 places"),
        (0 * KSPACE, T, "zero everywhere"),
        (nan(KSPACE), T, "not finite"),
        (np.abs(KSPACE), T, "complex"),
    ],
)
def test_what_is_refused(tmp_path, kspace, places, found):
    path = write_hdf5(tmp_path / "scan.h5", kspace=kspace, trajectory=places)
    with pytest.raises(RawDataError, match=found) as error:
        opened(path)[0]
    assert str(path) in str(error.value)


def test_options_that_cannot_be(tmp_path):
    path = write_hdf5(tmp_path / "scan.h5", kspace=KSPACE, trajectory=T)
    for reading, found in (
        ({"trajectory": "gold"}, r"gold: no such file.*golden"),
        ({"trajectory_unit": "1/m"}, "needs the field of view"),
        (
            {"trajectory_unit": "pixel", "matrix": 4096},
            r"makes an image of .* expected at most 4096",
        ),
        ({"center": 3}, "reading.center does not apply"),
    ):
        with pytest.raises(RawDataError, match=found):
            opened(path, **reading)
    for wrong in ({"trajectory_unit": "furlong"}, {"matrix": 0}, {"matrix": 100000}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            ReadOptions(**wrong)


def test_density_in_a_third_column(tmp_path):
    density = PLACES.norm(dim=-1, keepdim=True).numpy()
    stored = np.concatenate([T, density], -1)
    scan = opened(write_hdf5(tmp_path / "scan.h5", kspace=KSPACE, trajectory=stored))
    check(scan)
    assert any("density compensation" in note for note in scan.header.notes)


def test_dead_coils_are_named(tmp_path):
    kspace = KSPACE.copy()
    kspace[1] = 0
    scan = opened(write_hdf5(tmp_path / "scan.h5", kspace=kspace, trajectory=T))
    assert scan.header.coils == COILS
    assert any("Coil 1 (counted from 0) is exactly zero" in note for note in scan.header.notes)
