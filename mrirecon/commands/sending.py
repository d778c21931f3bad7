"""A file of single readouts to a server, and the images that come back into files."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from mrirecon.commands.outputs import Outputs, chosen_existing
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.commands.send import REAL, Settings
from mrirecon.config import build
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.files import Existing, output_folder
from mrirecon.pipeline import with_signal
from mrirecon.privacy import Disclosure, recorded
from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.acquisition import SIEMENS_TICK
from mrirecon.raw.header_text import header_text
from mrirecon.raw.readouts import Index, Readouts, classify
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.readers.acquisitions import AcquisitionScan
from mrirecon.readers.naming import scan_name
from mrirecon.reconstruction import Provenance, Reconstruction, chosen_series
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.selection import Selection
from mrirecon.serving.client import Client, Order, Pause
from mrirecon.serving.images import Image
from mrirecon.serving.probe import connected
from mrirecon.serving.received import method_of, volumes
from mrirecon.terminal import draws_bars
from mrirecon.writers import WRITERS

AT_ONCE = 64
"""Readouts that are read together."""
NOT_MADE = ("qc",)
"""Formats that tell what only the server knows."""


def send_file(config: DictConfig, settings: Settings) -> None:
    """Send a file, and write what comes back.

    Raises:
        ConfigError: When a choice cannot be.
        MriReconError: When the file cannot be read, the server refuses it or leaves, or an output
            would replace something.
    """
    existing, disclosure = _choices(settings)
    folder, file = output_folder(str(settings.output)), Path(str(settings.input)).expanduser()
    scan = _opened(file, build(config.reading, ReadOptions, "reading"))
    outputs = Outputs(folder, settings.formats, [file], existing)
    expected = chosen_series(scan.header, Selection())
    if not any(outputs.todo(file, expected).values()):
        print(f"{scan.header.name}: all outputs are there")
        return
    images = exchanged(scan, settings)
    raw = with_signal(scan, range(len(scan)))
    sampled = sampled_plane_of(raw).description()  # the server was sent all of it
    made = Provenance(
        "",
        method_of(images),
        told_command(disclosure, file.name),
        acceleration=sampled.acceleration,
        pattern=sampled.pattern,
        acs=sampled.acs,
    )
    header, made = recorded(scan.header, raw, made, file, disclosure)
    received = volumes(images, header, made)
    for remark in received.remarks:
        print(f"  note: {remark}", file=sys.stderr)
    phase = any(one.complex_volume is not None for one in received.series)
    _write(Outputs(folder, settings.formats, [file], existing, phase=phase), file, received.series)


def _choices(settings: Settings) -> tuple[Existing, Disclosure]:
    known = [name for name in WRITERS if name not in NOT_MADE]
    if wrong := [name for name in settings.formats if name not in known] or not settings.formats:
        got = wrong[0] if isinstance(wrong, list) else "nothing"
        raise ConfigError(f"formats: expected some of {', '.join(known)}, got {got}")
    try:
        existing = chosen_existing(settings.existing, settings.overwrite)
        return existing, chosen_disclosure(settings.provenance)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _opened(file: Path, reading: ReadOptions) -> AcquisitionScan:
    """Open a file of single readouts; whatever else it is cannot be sent."""
    if idle := [name for name in reading.chosen() if name != "measurement"]:
        raise ConfigError(
            f"reading.{idle[0]} is a choice of whoever reconstructs, and is not sent; leave it out"
        )
    scan = open_scan(file, reading)
    if not isinstance(scan, AcquisitionScan):
        known = ", ".join(one.format for one in AcquisitionScan.formats)
        raise RawDataError(
            f"{file}: {scan.header.format} holds k-space that is sorted already, and no readouts "
            f"that a scanner could have sent; expected one of {known}"
        )
    if not scan.cartesian:
        raise RawDataError(
            f"{file}: holds readouts along a trajectory, which a server does not reconstruct, "
            "expected lines on a Cartesian grid; reconstruct the file: mrirecon reconstruct "
            f"input={file}"
        )
    return scan


class _Part(NamedTuple):
    """Readouts of one measurement of a file."""

    scan: AcquisitionScan
    measurement: Measurement
    numbers: Index


def _sessions(scan: AcquisitionScan) -> list[list[_Part]]:
    """Return what is sent in each session, the images in the last one.

    Noise of another measurement of the file comes first: in the same session when the coils are the
    same, else in one of its own, as scanners have it.
    """
    measurement = scan.measurement()
    main = _Part(scan, measurement, np.arange(len(measurement.heads)))
    if measurement.noise is None:
        return [[main]]
    noise = _noise_of(scan)
    if noise is None:
        tell(f"note: {measurement.noise.origin} is not sent: it cannot be read alone")
        return [[main]]
    coils = [
        (one.measurement.header.coil_labels, set(one.measurement.heads["active_channels"].tolist()))
        for one in (noise, main)
    ]
    return [[noise, main]] if coils[0] == coils[1] else [[noise], [main]]


def _noise_of(scan: AcquisitionScan) -> _Part | None:
    """Return the last noise readouts of the other measurements of a file."""
    last = None
    for number in itertools.count():
        other = scan.told_to_read(number)
        try:
            found = other.measurement()
        except RawDataError:  # there are no more
            return last
        if len(numbers := classify(found.heads, None).noise):
            last = _Part(other, found, numbers)
    return last


def exchanged(scan: AcquisitionScan, settings: Settings) -> list[Image]:
    """Send the readouts of a file, with noise of its other measurements first.

    Returns:
        The images of the last session.
    """
    images: list[Image] = []
    for session in _sessions(scan):
        *_, last = session
        header = last.measurement.xml or header_text(last.measurement.header)
        order = Order(header, settings.config, settings.settings)
        pause = _pause(settings, last.measurement.header.vendor)
        count = sum(len(one.numbers) for one in session)
        what = "readouts" if last.scan is scan else "readouts of noise"
        print(f"{scan.header.name}: {count} {what} to {settings.host}:{settings.port}", flush=True)
        connection = connected(settings.host, settings.port, settings.patience)
        client = Client(connection, settings.patience, settings.memory, tell)
        images = client.exchange(order, _readouts(session, count), pause)
    return images


def _readouts(session: list[_Part], count: int) -> Iterator[Readouts]:
    with tqdm(total=count, unit="readout", leave=False, disable=not draws_bars()) as bar:
        for part in session:
            for start in range(0, len(part.numbers), AT_ONCE):
                numbers = part.numbers[start : start + AT_ONCE]
                yield part.scan.fetch(part.measurement, numbers)
                bar.update(len(numbers))


def tell(text: str) -> None:
    """Show what the server says, above a progress bar if there is one."""
    tqdm.write(f"  {text}", file=sys.stderr)


def _pause(settings: Settings, vendor: str | None) -> Pause | None:
    if settings.pace == REAL:
        if "siemens" not in (vendor or "").lower():
            raise ConfigError(
                f"pace={REAL}: the unit of time stamps is known for Siemens only, and the vendor "
                f"is {vendor or 'unknown'}; give seconds between readouts"
            )
        return _measured_pause
    seconds = float(settings.pace)
    return (lambda before, after: seconds) if seconds else None  # noqa: ARG005


def _measured_pause(before: np.void, after: np.void) -> float:
    ticks = int(after["acquisition_time_stamp"]) - int(before["acquisition_time_stamp"])
    return max(0, ticks) * SIEMENS_TICK


def _write(outputs: Outputs, file: Path, series: list[Reconstruction]) -> None:
    """Write all series, after it is known that each of them can be."""
    todo = outputs.todo(file, [one.suffix for one in series])
    written: list[Path] = []
    for one in series:
        for name in todo[one.suffix]:
            outputs.write(name, file, one)
            written += outputs.images(name, file, one.suffix)
    names = ", ".join(scan_name(path, outputs.folder) for path in written)
    print(f"  wrote {names} to {outputs.folder}" if names else "  all outputs are there")
