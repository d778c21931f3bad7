"""Images of a session equal those of the same readouts in a file."""

import numpy as np
import pytest

from mrirecon.pipeline import run
from mrirecon.raw.header import parse_header
from mrirecon.raw.mrd_records import AcquisitionFlag as Flag
from mrirecon.readers import open_scan
from mrirecon.serving.collector import Collector, Unit
from mrirecon.writers.mrd import mrd_images
from tests.readers.mrd_files import XML, MrdFile
from tests.serving.scanner import FLOATS, cg_sense, messages_of, served, session, zero_filled

COUNTERS = ("contrast", "set", "phase", "repetition")
COVARIANCE = np.array([[2.0, 0.5 + 0.4j], [0.5 - 0.4j, 1.0]])


def ended(file, *flags):
    """Flag the last readout."""
    for flag in flags or (Flag.LAST_IN_SLICE,):
        file.heads[-1]["flags"] |= np.uint64(flag.mask)
    return file


def slices(order=(0, 1, 2), flags=True, **options):
    file = MrdFile((3, 2, 16, 12), **options).noise(COVARIANCE)
    for slice_ in order:
        file.lines(slice_=slice_)
        if flags:
            ended(file)
    return file


def interleaved():
    """Slices take turns, line by line."""
    file = MrdFile((3, 2, 16, 12)).noise(COVARIANCE)
    for row in range(12):
        for slice_ in (2, 0, 1):
            file.line(row, slice_)
            if row == 11:
                ended(file)
    return file


def echoes(flagged):
    """Two echoes of each line; the end is flagged in one of them, or in both."""
    file = MrdFile((2, 2, 16, 12))
    for slice_ in range(2):
        for row in range(12):
            for contrast in range(2):
                file.line(row, slice_, gain=1 + contrast, contrast=contrast)
                if row == 11 and contrast in flagged:
                    ended(file)
    return file


def repetitions(flags=True, count=3):
    file = MrdFile((2, 2, 16, 12)).noise(COVARIANCE)
    for repetition in range(count):
        for slice_ in range(2):
            file.lines(slice_=slice_, gain=1 + repetition, repetition=repetition)
            if flags:
                ended(file)
    return file


def averages(flagged_each):
    """Two averages; some scanners flag the end of each, and the header does not tell them."""
    file = MrdFile((1, 2, 16, 12)).noise(COVARIANCE)
    for average in range(2):
        file.lines(gain=1 + average, average=average)
        if flagged_each or average == 1:
            ended(file)
    return file


def separate_reference():
    file = MrdFile((2, 2, 16, 32), xml={"calibration": "separate"})
    for slice_ in range(2):
        for row in range(8, 24):
            file.line(row, slice_, flags=(Flag.PARALLEL_CALIBRATION,))
    for repetition in range(2):
        for slice_ in range(2):
            file.lines(range(0, 32, 2), slice_, repetition=repetition)
            ended(file)
    return file


def embedded_reference():
    file = MrdFile((2, 2, 16, 32))
    for slice_ in range(2):
        for row in sorted({*range(0, 32, 2), *range(8, 24)}):
            flags = (Flag.PARALLEL_CALIBRATION,) if row % 2 else ()
            file.line(row, slice_, flags=flags)
        ended(file)
    return file


def averaged_over_time():
    """Frames take different lines and have no centre of their own."""
    file = MrdFile((1, 2, 16, 32))
    for repetition in range(4):
        file.lines(range(repetition % 2, 32, 2), repetition=repetition)
        ended(file)
    return file


def uncounted_slices():
    """All slices have the same counter and differ by their positions."""
    file = MrdFile((3, 2, 16, 12))
    for slice_ in range(3):
        first = len(file.heads)
        file.lines(slice_=slice_)
        for head in file.heads[first:]:
            head["idx"]["slice"] = 0
        ended(file)
    return file


def volume(flags=True):
    file = MrdFile((6, 2, 16, 12))
    file.xml["calibration"] = "embedded"
    for repetition in range(2):
        for partition in range(6):
            file.lines(slice_=partition, repetition=repetition)
            for head in file.heads[-12:]:
                head["idx"]["slice"], head["idx"]["kspace_encode_step_2"] = 0, partition
                head["position"] = (1.0, 2.0, 3.0)
        if flags:
            ended(file, Flag.LAST_IN_SLICE, Flag.LAST_IN_REPETITION)
    return file


def partial_fourier():
    file = MrdFile((2, 2, 16, 32))
    for slice_ in range(2):
        file.lines(range(10, 32), slice_, keep=slice(6, None))
        ended(file)
    return file


def aborted():
    """The last slice lacks half of its lines."""
    file = slices((0, 1))
    return file.lines(range(6), slice_=2)


CASES = {
    "slices": slices(),
    "turned around": slices((2, 1, 0)),
    "no flags": slices(flags=False),
    "interleaved": interleaved(),
    "echoes, first flagged": echoes((0,)),
    "echoes, both flagged": echoes((0, 1)),
    "echoes, last flagged": echoes((1,)),
    "repetitions": repetitions(),
    "repetitions, no flags": repetitions(flags=False),
    "averages": averages(flagged_each=False),
    "averages, each flagged": averages(flagged_each=True),
    "separate reference": separate_reference(),
    "embedded reference": embedded_reference(),
    "averaged over time": averaged_over_time(),
    "uncounted slices": uncounted_slices(),
    "volume": volume(),
    "volume, no flags": volume(flags=False),
    "partial Fourier": partial_fourier(),
    "aborted": aborted(),
    "Siemens": slices(xml={"vendor": "SIEMENS"}),
}


def place(head):
    return (*(int(head[name]) for name in COUNTERS), *np.round(head["position"], 2).tolist())


def of_file(path, method):
    found = {}
    for result in run(open_scan(path), method).results:
        images = mrd_images(result)
        for head, pixels in zip(images.heads, images.data, strict=True):
            found[place(head)] = head, pixels[0, 0]
    return found


CALIBRATED = ("separate reference", "embedded reference", "averaged over time")


@pytest.mark.parametrize(
    ("build", "name"),
    [(zero_filled, name) for name in CASES] + [(cg_sense, name) for name in CALIBRATED],
)
def test_images_equal_those_of_a_file(build, name, tmp_path):
    file = CASES[name]
    expected = of_file(file.write(tmp_path / "scan.h5"), build())
    with served(FLOATS, build=build) as server:
        answer = session(server, messages_of(file))
    assert answer.closed and not answer.told("ERR"), answer.texts
    found = {place(head): (head, pixels) for head, _, pixels in answer.images}
    assert found.keys() == expected.keys()
    for key, (head, pixels) in expected.items():
        own, values = found[key]
        np.testing.assert_allclose(values, pixels, rtol=0, atol=1e-6 * np.abs(pixels).max())
        for field in ("position", "read_dir", "phase_dir", "slice_dir", "field_of_view"):
            np.testing.assert_allclose(own[field], head[field], atol=1e-4)


def test_what_came_out_before_is_taken_back_when_all_must_wait():
    """Readouts may come faster than the first part of them is understood."""
    file = volume()
    collector = Collector(parse_header(XML.format(**file.xml)), Unit.SLICE)
    readouts = [
        (head[()], np.asarray(samples, np.complex64).reshape(2, -1))
        for head, samples in zip(file.heads, file.data, strict=True)
    ]
    parts = [part for head, samples in readouts for part in collector.add(head, samples)]
    assert len(parts) > 1 and collector.images < len(parts)  # some have been forgotten
    assert collector.hold(parts[0]) > 0
    for part in parts[1:]:
        collector.hold(part)
    (whole,) = collector.finish()
    assert len(whole.readouts.heads) == len(readouts) and not collector.lost
    assert collector.held == whole.size
