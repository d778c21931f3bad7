"""Headers that leave something out, or tell it in another way than usual.

The files hold the k-space of two Gaussian blobs seen by four coils, in closed form, so that what is
right does not depend on how the program reads them.
"""

from dataclasses import dataclass, field, replace

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.inference import reconstruct_scan
from mrirecon.raw.mrd_records import ACQUISITION, ACQUISITION_HEADER, AcquisitionFlag, flag_mask
from mrirecon.raw.resampling import resampled
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled

FOV = 192.0
BLOBS = ((20.0, -30.0, 1.0, 9.0), (-25.0, 15.0, 0.7, 12.0))  # x, y, strength, width in mm
COILS = ((90.0, 80.0), (-90.0, 70.0), (80.0, -90.0), (-70.0, -80.0))
CALIBRATION = (AcquisitionFlag.PARALLEL_CALIBRATION,)
REVERSED = (AcquisitionFlag.REVERSE,)


def signal(kx, ky, coils=4):
    """The k-space at frequencies in cycles per mm: blobs times coils' Gaussians are Gaussians."""
    out = np.zeros((coils, *np.broadcast_shapes(kx.shape, ky.shape)), complex)
    for coil, (cx, cy) in enumerate(COILS[:coils]):
        for x, y, strength, width in BLOBS:
            a, b = 1 / width**2, 1 / 110.0**2
            mx, my = (a * x + b * cx) / (a + b), (a * y + b * cy) / (a + b)
            away = a * b / (a + b) * ((x - cx) ** 2 + (y - cy) ** 2) / 2
            decay = np.exp(-2 * np.pi**2 * (kx**2 + ky**2) / (a + b))
            area = 2 * np.pi / (a + b)
            out[coil] += (
                strength * np.exp(-away) * area * decay * np.exp(-2j * np.pi * (kx * mx + ky * my))
            )
    return out


@dataclass
class Space:
    """An encoding; ``view`` and ``matrix`` are (x, y, z)."""

    matrix: tuple = (64, 32, 1)
    view: tuple = (2 * FOV, FOV, 5.0)
    recon_matrix: tuple = (32, 32, 1)
    recon_view: tuple = (FOV, FOV, 5.0)
    center: int | None = 16
    limits: dict = field(default_factory=dict)
    calibration: str = "separate"

    def xml(self):
        def size(name, value):
            return f"<{name}>" + "".join(
                f"<{a}>{v}</{a}>" for a, v in zip("xyz", value, strict=True)
            ) + f"</{name}>"  # fmt: skip

        limits = {"kspace_encoding_step_1": (0, self.matrix[1] - 1, self.center)} | self.limits
        text = "".join(
            f"<{n}><minimum>{a}</minimum><maximum>{b}</maximum><center>{c}</center></{n}>"
            for n, (a, b, c) in limits.items()
            if c is not None
        )
        encoded = size("matrixSize", self.matrix) + size("fieldOfView_mm", self.view)
        recon = size("matrixSize", self.recon_matrix) + size("fieldOfView_mm", self.recon_view)
        return (
            f"<encoding><encodedSpace>{encoded}</encodedSpace><reconSpace>{recon}</reconSpace>"
            f"<trajectory>cartesian</trajectory><encodingLimits>{text}</encodingLimits>"
            f"<parallelImaging><calibrationMode>{self.calibration}</calibrationMode>"
            "</parallelImaging></encoding>"
        )


@dataclass
class File:
    """An ISMRMRD file in the making."""

    spaces: list = field(default_factory=lambda: [Space()])
    echo_times: tuple = ()
    vendor: str = "GE"
    rows: list = field(default_factory=list)

    def line(self, line, space=0, *, center=None, samples=None, gain=1.0, flags=(), start=None,
             view_y=None, **changes):  # fmt: skip
        """Append the line that encodes ``line - center`` along y; ``changes`` are head fields."""
        here = self.spaces[space]
        count = here.matrix[0] if samples is None else samples
        first = -(count // 2) if start is None else start
        kx = np.arange(first, first + count) / here.view[0]
        center = here.center if center is None else center
        values = gain * signal(kx, np.array((line - center) / (view_y or here.view[1])))
        head = np.zeros((), ACQUISITION_HEADER)
        head["version"], head["active_channels"] = 1, 4
        head["number_of_samples"], head["center_sample"] = count, -first
        if AcquisitionFlag.REVERSE in flags:
            values, head["center_sample"] = values[:, ::-1], count - 1 + first
        head["flags"], head["encoding_space_ref"] = flag_mask(*flags), space
        head["scan_counter"], head["sample_time_us"] = len(self.rows), 5.0
        head["read_dir"], head["phase_dir"], head["slice_dir"] = np.eye(3)
        head["idx"]["kspace_encode_step_1"] = line
        for name, value in changes.items():
            target = head if name in ACQUISITION_HEADER.names else head["idx"]
            target[name] = value
        self.rows.append((head, np.ascontiguousarray(values, np.complex64)))
        return self

    def lines(self, lines, space=0, **options):
        for line in lines:
            self.line(line, space, **options)
        return self

    def write(self, path):
        table = np.zeros(len(self.rows), ACQUISITION)
        for record, (head, values) in zip(table, self.rows, strict=True):
            record["head"], record["traj"] = head, np.zeros(0, np.float32)
            record["data"] = values.reshape(-1).view(np.float32)
        times = "".join(f"<TE>{time}</TE>" for time in self.echo_times)
        xml = (
            '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><acquisitionSystemInformation>'
            f"<systemVendor>{self.vendor}</systemVendor></acquisitionSystemInformation>"
            f"{''.join(space.xml() for space in self.spaces)}"
            f"<sequenceParameters>{times}</sequenceParameters></ismrmrdHeader>"
        )
        with h5py.File(path, "w") as file:
            group = file.create_group("dataset")
            group.create_dataset("xml", data=[xml], dtype=h5py.string_dtype())
            group.create_dataset("data", data=table)
        return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def told(scan, words):
    return any(words in note for note in scan.header.notes)


def image(scan):
    return reconstruct_scan(scan, ZeroFilled(), lambda sample: sample)


# --- reference lines with an encoding of their own ------------------------------------------------

REFERENCES = {
    "own centre": (Space((48, 24, 1), center=12), {}, None),
    "own centre, image's numbers": (Space((48, 32, 1), center=16), {"first": 4}, None),
    "larger matrix": (Space((96, 48, 1), center=24), {"first": 12}, None),
    "no centre told": (Space((48, 24, 1), center=None), {"true": 12}, None),
    "centre told in the image's numbers": (
        Space((48, 24, 1), center=16), {"true": 12}, "their middle, 12",
    ),
    "image's encoding, own numbers": (None, {"true": 12}, "their middle, 12"),
    "view in metres": (Space((48, 24, 1), (0.384, 0.192, 0.005), center=12), {}, "as metres"),
    "larger view": (
        Space((72, 36, 1), (3 * FOV, 1.5 * FOV, 5.0), center=18), {"count": 36}, "resampled",
    ),
    "smaller view, no oversampling": (
        Space((30, 20, 1), (1.25 * FOV, 0.9 * FOV, 5.0), center=10), {"count": 20}, "resampled",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_lines_lie_where_their_own_encoding_says(name, path):
    """The calibration data are the image's k-space around its centre."""
    space, options, words = REFERENCES[name]
    spaces = [Space()] + ([space] if space else [])
    file = File(spaces).lines(range(0, 32, 2))
    number, first = len(spaces) - 1, options.get("first", 0)
    true = options.get("true", space.center if space else None)
    view = None
    if name == "view in metres":  # the signal is in mm
        file.spaces[1] = replace(space, view=(2 * FOV, FOV, 5.0))
    for line in range(first, first + options.get("count", 24)):
        samples = 48 if space is None else space.matrix[0]
        file.line(line, number, center=true, samples=samples, flags=CALIBRATION, view_y=view)
    if space:
        file.spaces[1] = space
    scan = open_scan(file.write(path))
    found = scan[0].calibration
    h, w = found.shape[-2:]
    assert h >= 15 and w >= 17
    kx = (np.arange(h) - h // 2)[:, None] / FOV
    ky = (np.arange(w) - w // 2) / FOV
    right = signal(kx, ky)
    inner = slice(h // 2 - 7, h // 2 + 8), slice(w // 2 - 7, w // 2 + 8)
    error = np.abs(found.numpy() - scale(found, right) * right)[:, *inner].max()
    tolerance = 0.03 if words == "resampled" else 2e-3
    assert error < tolerance * np.abs(found.numpy()).max()
    assert words is None or told(scan, words)


def test_reference_lines_before_the_first_of_partial_fourier_are_kept(path):
    """The image begins six lines before its centre, the reference lines twelve."""
    image_space = Space(center=6, limits={"kspace_encoding_step_1": (0, 21, 6)})
    file = File([image_space, Space((64, 24, 1), center=12)]).lines(range(0, 22, 2))
    scan = open_scan(file.lines(range(24), 1, flags=CALIBRATION).write(path))
    block = scan[0].calibration
    assert block.shape[-2:] == (32, 24)
    kx, ky = (np.arange(32) - 16)[:, None] / FOV, (np.arange(24) - 12) / FOV
    right, inner = signal(kx, ky), slice(9, 24)
    error = np.abs(block.numpy() - scale(block, right) * right)[:, inner].max()
    assert error < 2e-3 * np.abs(block.numpy()).max()
    assert not told(scan, "left out")


@pytest.mark.parametrize("mode", ["separate", "embedded"])
@pytest.mark.parametrize("shared", [False, True])
def test_reference_lines_with_numbers_of_their_own_leave_the_image_alone(mode, shared, path):
    """Lines 4 to 27 are numbered from 0; some lines of the image serve both purposes, or none."""
    both = (AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING,) if shared else ()
    file = File([Space(calibration=mode)])
    for line in range(0, 32, 2):
        file.line(line, flags=both if 4 <= line < 28 else ())
    scan = open_scan(file.lines(range(24), center=12, flags=CALIBRATION).write(path))
    assert told(scan, "their middle, 12") and told(scan, "hold another") == (mode == "embedded")
    sample = scan[0]
    assert sample.mask[0].nonzero().flatten().tolist() == list(range(0, 32, 2))
    kx, ky = ((np.arange(32) - 16) / FOV for _ in range(2))
    right = signal(kx[:, None], ky)
    factor = scale(sample.kspace, right)
    for found, columns in (
        (sample.kspace.numpy()[..., ::2], right[..., ::2]),
        (sample.calibration.numpy(), right[..., 4:28]),
    ):
        error = np.abs(found - factor * columns)[:, 9:24].max()
        assert error < 2e-3 * np.abs(factor * right).max()


@pytest.mark.parametrize("gain", [1.0, 1.3, 1j])
def test_embedded_lines_that_repeat_lines_of_the_image_are_averaged_when_alike(gain, path):
    file = File([Space(calibration="embedded")]).lines(range(0, 32, 2))
    scan = open_scan(file.lines(range(8, 24), gain=gain, flags=CALIBRATION).write(path))
    assert told(scan, "16 embedded calibration lines were merged") == (gain != 1j)
    assert told(scan, "100% of the energy differs") == (gain == 1j)


def test_reference_lines_beyond_the_image_are_told(path):
    file = File([Space(), Space((64, 40, 1), center=20)]).lines(range(0, 32, 2))
    scan = open_scan(file.lines(range(40), 1, flags=CALIBRATION).write(path))
    assert scan[0].calibration.shape[-1] == 32
    assert told(scan, "8 of 40 reference lines lie beyond the image's 32 lines and were left out")


def scale(found, right):
    """The factor between the two: removal of oversampling keeps noise, not values."""
    h, w = right.shape[-2:]
    return abs(found[0, h // 2, w // 2].item() / right[0, h // 2, w // 2])


def test_samples_at_other_distances_are_interpolated():
    """Of an object within both fields of view the samples are those that one would measure."""
    old = np.arange(-40, 40) / 240.0
    for view in (160.0, 240.0, 300.0):
        found = resampled(
            torch.from_numpy(signal(old, np.zeros(1), 1)).to(torch.complex64), -40, 240.0 / view
        )[0].numpy()
        new = (np.arange(len(found)) - len(found) // 2) / view
        right = signal(new, np.zeros(1), 1)[0]
        inner = np.abs(new) < 0.8 * old.max()
        assert np.abs(found - right)[inner].max() < 2e-3 * np.abs(right).max()


def test_reference_lines_without_an_encoding_are_refused(path):
    file = File().lines(range(0, 32, 2)).lines(range(8, 24), flags=CALIBRATION)
    for head, _ in file.rows[16:]:
        head["encoding_space_ref"] = 3
    with pytest.raises(RawDataError, match="reference lines use encoding 3"):
        open_scan(file.write(path))


def test_reference_slices_are_matched_by_position(path):
    file = File()
    for number, place in enumerate((0.0, 6.0)):
        file.lines(range(0, 32, 2), slice=number, position=[0, 0, place])
    for number, place in enumerate((6.0, 0.0)):
        gain = 1 + place
        file.lines(range(4, 28), flags=CALIBRATION, slice=number, position=[0, 0, place], gain=gain)
    scan = open_scan(file.write(path))
    assert told(scan, "matched by position")
    near, far = (scan[i].calibration.abs().max() for i in (0, 1))
    assert float(far / near) == pytest.approx(7, rel=1e-3)
    for head, _ in file.rows[32:]:
        head["position"][0] += 20
    assert told(open_scan(file.write(path)), "20.9 mm beside")


# --- counters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("places", [(0.0, 10.0), (10.0, 0.0), (0.0, 4.0, 2.0)])
def test_slices_without_a_counter_are_told_by_position(places, interleaved, path):
    file = File()
    steps = [(line, place) for place in places for line in range(32)]
    for line, place in sorted(steps, key=lambda s: s[0]) if interleaved else steps:
        file.line(line, position=[0, 0, place], gain=1 + place)
    scan = open_scan(file.write(path))
    assert len(scan) == len(places) and told(scan, "counted by position")
    assert [p[2] for p in scan.header.geometry.positions] == sorted(places)
    peaks = np.array([scan[i].kspace.abs().max().item() for i in range(len(places))])
    np.testing.assert_allclose(
        peaks / peaks[0], [(1 + p) / (1 + min(places)) for p in sorted(places)], rtol=1e-4
    )


def test_slices_are_also_told_by_orientation(path):
    file = File().lines(range(32)).lines(range(32), read_dir=[0, 0, 1], slice_dir=[-1, 0, 0])
    scan = open_scan(file.write(path))
    assert len(scan) == 2 and len(scan.header.stacks) == 2


def test_reference_lines_follow_slices_that_are_told_by_position(path):
    file = File()
    for place in (0.0, 10.0):
        file.lines(range(0, 32, 2), position=[0, 0, place])
        file.lines(range(4, 28), flags=CALIBRATION, position=[0, 0, place], gain=1 + place)
    scan = open_scan(file.write(path))
    near, far = (scan[i].calibration.abs().max() for i in (0, 1))
    assert float(far / near) == pytest.approx(11, rel=1e-3)


@pytest.mark.parametrize("how", ["within", "repetition", "average"])
def test_motion_makes_no_slices(how, path):
    file = File()
    if how == "within":
        file.lines(range(16)).lines(range(16, 32), position=[0, 0, 2])
    else:
        file.lines(range(32)).lines(range(32), position=[0, 0, 2], **{how: 1})
    scan = open_scan(file.write(path))
    assert scan.header.slices == 1 and told(scan, "motion correction")


def test_positions_that_are_neither_are_refused(path):
    file = File().lines(range(32)).lines(range(10), position=[0, 0, 9])
    file.lines(range(40, 60), position=[0, 0, 9])
    file.spaces[0] = Space((64, 64, 1), center=16)
    with pytest.raises(RawDataError, match=r"2 positions, at which .* acquired again"):
        open_scan(file.write(path))


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("source", ["echo times", "limits"])
def test_echoes_without_a_counter_are_told_by_order(source, outer, path):
    limits = {"contrast": (0, 2, 0)} if source == "limits" else {}
    times = (10, 20, 30) if source == "echo times" else ()
    file = File([Space(limits=limits)], times)
    steps = [(line, echo) for echo in range(3) for line in range(32)]
    for line, echo in steps if outer else sorted(steps, key=lambda s: s[0]):
        file.line(line, gain=3.0 - echo)
    scan = open_scan(file.write(path))
    assert [frame.contrast for frame in scan.header.frames] == [0, 1, 2]
    assert told(scan, "the order of acquisition")
    peaks = [scan[i].kspace.abs().max().item() for i in range(3)]
    np.testing.assert_allclose(np.array(peaks) / peaks[2], [3, 2, 1], rtol=1e-5)


def test_repetitions_without_a_counter_too(path):
    file = File([Space(limits={"repetition": (0, 1, 0)})]).lines(range(32)).lines(range(32), gain=2)
    scan = open_scan(file.write(path))
    assert [frame.repetition for frame in scan.header.frames] == [0, 1]


@pytest.mark.parametrize(
    ("times", "limits", "words"),
    [
        (6, {}, r"3 echoes \(TE 10, 20, 30 ms\)"),
        (3, {"repetition": (0, 2, 0)}, "3 echoes .* and 3 repetitions"),
        (3, {"average": (0, 2, 0)}, "3 echoes .* and 3 averages"),
    ],
)
def test_what_order_does_not_tell_is_refused(times, limits, words, path):
    file = File([Space(limits=limits)], (10, 20, 30))
    for _ in range(times):
        file.lines(range(32))
    with pytest.raises(RawDataError, match=words):
        open_scan(file.write(path))


@pytest.mark.parametrize("count", [1, 2])
def test_averages_stay_averages(count, path):
    """A list of echo times alone makes no echoes of what the average counter tells apart."""
    file = File(echo_times=(10, 20))
    for average in range(count):
        file.lines(range(32), average=average)
    assert len(open_scan(file.write(path))) == 1


def slab(file, counter):
    """A slab of 8 partitions, told apart by ``counter``."""
    for number in range(8):
        gain = np.exp(-0.5 * ((number - 4) / 0.8) ** 2)
        file.lines(range(32), **{counter: number}, gain=gain)
    file.spaces[0] = Space((64, 32, 8), (2 * FOV, FOV, 40.0), (32, 32, 8), (FOV, FOV, 40.0))
    return file


@pytest.mark.parametrize("limits", [{}, {"kspace_encoding_step_2": (0, 7, 4)}])
def test_partitions_counted_as_slices_are_partitions(limits, path):
    file = slab(File(), "slice")
    file.spaces[0].limits = limits
    other = slab(File(), "kspace_encode_step_2")
    other.spaces[0].limits = {"kspace_encoding_step_2": (0, 7, 4)}
    scan = open_scan(file.write(path))
    assert scan.header.volumetric and told(scan, "taken as partitions")
    right = open_scan(other.write(path.with_name("b.h5")))
    torch.testing.assert_close(scan[10].kspace, right[10].kspace)
    assert scan.header.voxel == right.header.voxel


def test_slices_of_a_slab_that_the_header_does_not_know_are_told(path):
    file = File()
    for number in range(16):
        file.lines(range(32), slice=number, gain=np.exp(-0.5 * ((number - 8) / 0.8) ** 2))
    scan = open_scan(file.write(path))
    assert not scan.header.volumetric and told(scan, "energy is that of partitions")


@pytest.mark.parametrize("counters", [("kspace_encode_step_2",), ("slice", "kspace_encode_step_2")])
def test_slices_counted_as_partitions_are_slices(counters, path):
    file = File()
    for number in range(5):
        counted = dict.fromkeys(counters, number)
        file.lines(range(32), position=[0, 0, 6.0 * number], gain=1 + number, **counted)
    scan = open_scan(file.write(path))
    assert not scan.header.volumetric and len(scan) == 5 and told(scan, "slices of a 2-D scan")
    peaks = np.array([scan[i].kspace.abs().max().item() for i in range(5)])
    np.testing.assert_allclose(peaks / peaks[0], [1, 2, 3, 4, 5], rtol=1e-4)


def test_both_counters_of_a_slab_are_partitions(path):
    file = slab(File(), "slice")
    for head, _ in file.rows:
        head["idx"]["kspace_encode_step_2"] = head["idx"]["slice"]
    scan = open_scan(file.write(path))
    assert scan.header.volumetric and scan.header.slices == 32


# --- readouts and lines beyond the grid -----------------------------------------------------------


@pytest.mark.parametrize("samples, start", [(64, -32), (48, -20), (44, -18)])
@pytest.mark.parametrize("meaning", ["order of acquisition", "turned around"])
@pytest.mark.parametrize("alone", [False, True])
def test_the_centre_of_reversed_echoes_is_decided_by_the_data(samples, start, meaning, alone, path):
    """Whatever centre the file tells, a reversed echo is the mirror image of a straight one."""
    if alone and start != -32:
        pytest.skip("an echo that reaches further on one side is not its own mirror image")
    file = File()
    if not alone:
        file.lines(range(32), samples=samples, start=start)
    file.lines(range(32), samples=samples, start=start, flags=REVERSED, contrast=1)
    for head, _ in file.rows:
        if meaning == "turned around" and head["flags"]:
            head["center_sample"] = samples - 1 - head["center_sample"]
    scan = open_scan(file.write(path))
    assert scan.header.grid == (32, 32) and scan.header.voxel == (6, 6, 5)
    assert told(scan, "as it is after they were turned") == (meaning == "turned around")
    kx, ky = (np.arange(32) - 16)[:, None] / FOV, (np.arange(32) - 16) / FOV
    for sample in scan:
        right = signal(kx, ky) * sample.mask.numpy()
        inner = np.abs(sample.kspace.numpy() / scale(sample.kspace, right) - right)
        assert inner[:, 10:22].max() < 0.02 * np.abs(right).max()


@pytest.mark.parametrize("told_center", [32, 31])
def test_an_even_readout_with_the_centre_on_either_side_keeps_the_voxel(told_center, path):
    file = File()
    for row in range(32):
        file.line(row, start=-told_center)
    header = open_scan(file.write(path)).header
    assert header.voxel == (6, 6, 5) and header.matrix == (32, 32)


@pytest.mark.parametrize(
    ("lines", "center", "grid"), [(40, 20, 40), (41, 20, 41), (37, 16, 41), (36, 20, 40)]
)
def test_lines_beyond_the_matrix_make_a_larger_grid_of_the_same_view(lines, center, grid, path):
    file = File([Space(center=center)]).lines(range(lines))
    scan = open_scan(file.write(path))
    assert scan.header.grid == (32, grid) and told(scan, f"span {lines}: the grid has {grid}")
    assert scan.header.voxel == pytest.approx((6, 6, 5)) and scan.header.matrix == (32, 32)
    regular = image(open_scan(File().lines(range(32)).write(path.with_name("b.h5"))))
    difference = image(scan) / image(scan).max() - regular / regular.max()
    assert difference.abs().max() < 0.02


@pytest.mark.parametrize("volume", [False, True])
def test_a_matrix_of_the_lines_that_partial_fourier_measured_is_not_believed(volume, path):
    """The header counts the 20 lines, or partitions, that were acquired; the image has 32."""
    axis, name = (2, "partitions") if volume else (1, "lines")
    here, counter = Space(center=4 if axis == 1 else 16), f"kspace_encoding_step_{axis}"
    matrix = [64, 32, 1]
    matrix[axis] = 20
    here = replace(here, matrix=tuple(matrix), limits={counter: (0, 19, 4)})
    if volume:
        here = replace(here, view=(2 * FOV, FOV, FOV), recon_view=(FOV,) * 3,
                       recon_matrix=(32,) * 3)  # fmt: skip
    file = File([here])
    for number in range(20):
        lines = range(32) if volume else [number]
        step = {"kspace_encode_step_2": number} if volume else {}
        file.lines(lines, gain=1 / (1 + abs(number - 4)) if volume else 1.0, **step)
    scan = open_scan(file.write(path))
    assert told(scan, f"20 {name}, as many as were acquired of partial Fourier with k = 0 at 4")
    assert scan.header.grid == (32, 32)
    assert scan.header.voxel == pytest.approx((6, 6, 6 if volume else 5))
    measured = scan[16 if volume else 0].mask.any(0).nonzero().flatten().tolist()
    assert measured == list(range(12, 32))


@pytest.mark.parametrize("last", [31, 30])
def test_a_header_without_matrix_has_the_lines_that_its_limits_tell(last, path):
    file = File().lines(range(last + 1))
    file.spaces = [Space(matrix=(0, 0, 1), recon_matrix=(0, 0, 1),
                         limits={"kspace_encoding_step_1": (0, 31, 16)})]  # fmt: skip
    scan = open_scan(file.write(path))
    assert scan.header.grid == (32, 32) and told(scan, "no encoded matrix: 32 lines")


def test_a_centre_far_from_the_lines_is_still_refused(path):
    with pytest.raises(RawDataError, match="lie outside"):
        open_scan(File([Space(center=0)]).lines(range(40)).write(path))
    scan = open_scan(path, ReadOptions(center=20))
    assert scan.header.grid == (32, 40)


# --- fields of view -------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("which", ["view", "recon_view", "both", "thickness kept", "x only"])
def test_fields_of_view_in_other_units(which, factor, path):
    space = Space()
    for name in ("view", "recon_view"):
        if which in (name, "both", "thickness kept", "x only"):
            value = [v * factor for v in getattr(space, name)]
            if which == "thickness kept":
                value[2] = 5.0
            if which == "x only":
                value[1:] = [FOV, 5.0]
            setattr(space, name, tuple(value))
    scan = open_scan(File([space]).lines(range(32)).write(path))
    assert scan.header.voxel == pytest.approx((6, 6, 5)) and scan.header.matrix == (32, 32)
    assert told(scan, "metres" if factor == 1e-3 else "micrometres")


@pytest.mark.parametrize(("x", "y"), [(1e-6, 2e-6), (5e8, 5e8)])
def test_impossible_fields_of_view_are_not_believed(x, y, path):
    space = Space(view=(x, y, 5.0), recon_view=(x, y, 5.0))
    scan = open_scan(File([space]).lines(range(32)).write(path))
    assert scan.header.voxel is None and told(scan, "impossible along x and y and was ignored")
    assert scan.header.matrix == (32, 32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recon_view": (19.2, 19.2, 5.0)}, "contradict each other"),
        ({"recon_view": (FOV, 10 * FOV, 5.0)}, "192 mm encoded and 1920 mm reconstructed"),
    ],
)
def test_views_that_contradict_each_other_are_refused(changes, words, path):
    with pytest.raises(RawDataError, match=words):
        open_scan(File([Space(**changes)]).lines(range(32)).write(path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"view": (FOV, FOV, 5.0)}, "of the same field of view"),
        ({"recon_matrix": (32, 4, 1), "recon_view": (FOV, FOV, 5.0)}, "48 mm: do its matrix"),
        ({"recon_view": (FOV, 300.0, 5.0)}, "along y, 192 mm, is smaller"),
    ],
)
def test_views_and_matrices_that_do_not_fit_are_told(changes, words, path):
    assert told(open_scan(File([Space(**changes)]).lines(range(32)).write(path)), words)


@pytest.mark.parametrize("view", [(40.0, 20.0, 0.5), (1200.0, 600.0, 8.0), (8.0, 4.0, 0.1)])
def test_mice_and_giants_are_believed(view, path):
    space = Space(view=view, recon_view=(view[0] / 2, *view[1:]))
    scan = open_scan(File([space]).lines(range(32)).write(path))
    assert not told(scan, "impossible")
    assert scan.header.voxel == pytest.approx((view[0] / 64, view[1] / 32, view[2]))
