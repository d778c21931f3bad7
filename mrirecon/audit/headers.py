"""Headers that contradict themselves or the data."""

from collections.abc import Iterator

import torch

from mrirecon.audit.finding import Kind, Level, Seen
from mrirecon.audit.planes import Plane
from mrirecon.image import center_fit
from mrirecon.scan import ScanHeader

HEADER = Kind(
    "inconsistent header",
    "The header contradicts itself or the data: it belongs to another scan, or was made up.",
    "Convert the file again from the scanner's own, and check what the header says.",
)
TARGET = Kind(
    "foreign reference",
    "The reference image in the file was not made of its k-space, so that scores against it mean "
    "something else.",
    "Make the reference anew from k-space.",
)
GYROMAGNETIC = {"1H": 42.577, "2H": 6.536, "13C": 10.708, "19F": 40.078, "23Na": 11.262,
                "31P": 17.235, "129Xe": 11.777}  # fmt: skip
"""Larmor frequency in MHz per tesla (CODATA)."""
TOLERANCE = 0.05
"""Relative deviation of the frequency that rounded field strengths explain: scanners of 2.89 T are
sold, and told, as 3 T."""
TIMES = (0.01, 60_000.0)
"""Milliseconds between which repetition times lie."""
VOXEL, VIEW = (0.02, 30.0), (5.0, 1200.0)
"""Millimetres between which voxels in plane, and fields of view, lie."""
FIELD = (0.001, 21.2)
"""Tesla between which scanners have their field."""
ALIKE = 0.9
"""Correlation of the reference with the image of k-space below which they are not alike."""


def find(header: ScanHeader) -> Iterator[Seen]:
    """Compare what the header of a file says with itself."""
    for reason in (*_times(header), *_physics(header), *_sizes(header)):
        yield Seen(HEADER, Level.SUSPICION, reason)


def find_target(plane: Plane) -> Iterator[Seen]:
    """Compare the reference of a file with the image of its k-space, where that is complete."""
    if plane.target is None or not plane.complete:
        return
    image = center_fit(plane.magnitude, plane.target.shape)
    one, other = (values - values.mean() for values in (image, plane.target))
    correlation = float((one * other).sum() / (one.norm() * other.norm()).clamp_min(1e-30))
    if correlation < ALIKE and bool(torch.isfinite(plane.target).all()):
        yield Seen(
            TARGET,
            Level.SUSPICION,
            f"The reference image correlates with the root-sum-of-squares of k-space by "
            f"{correlation:.2f} only.",
        )


def _times(header: ScanHeader) -> Iterator[str]:
    sequence = header.sequence
    repetition = sequence.repetition_time
    if repetition is not None and not TIMES[0] <= repetition <= TIMES[1]:
        yield f"TR is {repetition:g} ms, expected {TIMES[0]:g} to {TIMES[1]:g} ms."
    echoes = header.echo_times or (() if sequence.echo_time is None else (sequence.echo_time,))
    for echo in echoes:
        if repetition is not None and repetition > 0 and echo > repetition:
            yield f"TE ({echo:g} ms) is longer than TR ({repetition:g} ms)."
            break
    if any(echo < 0 for echo in echoes):
        yield f"TE is negative: {min(echoes):g} ms."
    if header.echo_times and list(header.echo_times) != sorted(header.echo_times):
        yield f"The echo times do not rise: {', '.join(f'{e:g}' for e in header.echo_times)} ms."
    angle = sequence.flip_angle
    if angle is not None and not 0 < angle <= 360:
        yield f"The flip angle is {angle:g} degrees, expected more than 0 and at most 360."


def _physics(header: ScanHeader) -> Iterator[str]:
    field, frequency = header.sequence.field_strength, header.sequence.imaging_frequency
    if field is not None and not FIELD[0] <= field <= FIELD[1]:
        yield f"The field strength is {field:g} T, expected {FIELD[0]:g} to {FIELD[1]:g} T."
    if not field or not frequency:
        return
    ratio = frequency / field
    if all(abs(ratio / known - 1) > TOLERANCE for known in GYROMAGNETIC.values()):
        yield (
            f"The imaging frequency ({frequency:g} MHz) does not belong to the field strength "
            f"({field:g} T): {ratio:.1f} MHz/T, protons have {GYROMAGNETIC['1H']:.1f}."
        )


def _sizes(header: ScanHeader) -> Iterator[str]:
    if header.voxel is not None:
        for size, count, axis in zip(header.voxel, header.matrix, "yx", strict=False):
            if not VOXEL[0] <= size <= VOXEL[1]:
                yield f"Voxels are {size:g} mm along {axis}, expected {VOXEL[0]:g} to {VOXEL[1]:g}."
                return
            if not VIEW[0] <= size * count <= VIEW[1]:
                yield (
                    f"The field of view is {size * count:g} mm along {axis}, expected {VIEW[0]:g} "
                    f"to {VIEW[1]:g} mm."
                )
                return
