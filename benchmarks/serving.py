"""Time from the last readout of a frame to its image at the client of `mrirecon serve`.

    python benchmarks/serving.py                 (some minutes on one core)
    python benchmarks/serving.py --frames 20 --methods cg_sense --clients 5

A server of its own is started. One client sends single-slice frames, 128 x 128 with 8 coils, and
waits for the image of each before it sends the next; the time that `mrirecon reconstruct` takes for
the same slice stands beside it. Then many clients send 8 slices each at once; the peak memory of
the server is compared with what its settings promise. The table goes to
``benchmarks/results/serving.json`` with --store.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from table import RESULTS

from mrirecon.commands.method_words import build_by_words
from mrirecon.pipeline import run
from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.header import Limits, parse_header
from mrirecon.raw.header_text import header_text
from mrirecon.raw.messages import MessageId
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.readouts import Readouts, flagged
from mrirecon.readers import open_scan
from mrirecon.sampling import EquispacedLines
from mrirecon.serving.client import Client, Order
from mrirecon.serving.limits import Limits as Bounds
from mrirecon.serving.wire import Wire, name_body, text_body
from mrirecon.simulation import AcquisitionOptions, Prescription, SimulationProtocol
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.simulation.simulated_scan import simulated_scans

ACS = 24
TOTAL, MEMORY = 64, 32
"""Megabytes that the server may hold, and that one session may."""
SLICES = 8
"""Slices that each of many clients sends."""


@dataclass(frozen=True)
class Row:
    """Latency of one method at one acceleration; times in ms."""

    method: str
    acceleration: int
    median: float
    p95: float
    reconstruct: float
    with_reading: float
    frames: int


def scanned(folder: Path, acceleration: int, slices: int) -> Path:
    """Write the raw file of a simulated person."""
    protocol = SimulationProtocol(prescription=Prescription(slices=slices))
    (scan,) = simulated_scans(0, 1, protocol, ["t2"])
    path = folder / f"r{acceleration}_{slices}.h5"
    sampling = EquispacedLines(acceleration=acceleration, acs=ACS)
    write_ismrmrd(path, scan, AcquisitionOptions(sampling=sampling))
    return path


def measured(path: Path) -> tuple[Measurement, Readouts]:
    """Return all readouts of a file."""
    scan = open_scan(path)
    found = scan.measurement()
    return found, scan.fetch(found, np.arange(len(found.heads)))


class Running:
    """A server in a process of its own."""

    def __init__(self, methods: list[str]) -> None:
        words = [f"config.{name}={{model: {name}}}" for name in methods]
        limits = [f"total={TOTAL}", f"memory={MEMORY}", "sessions=64"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mrirecon.cli", "serve", "port=0", "images=float32",
             *words, *limits],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"serving on (.*):(\d+);", line)
        if not found:
            sys.exit(f"the server did not start: {line}")
        self.address = (found[1], int(found[2]))

    @property
    def peak(self) -> float:
        """Peak of the resident memory so far, in units of 2^20 bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def latencies(address: tuple[str, int], method: str, path: Path, frames: int) -> list[float]:
    """Send the slice of a file as the repetitions of one measurement; returns seconds."""
    found, readouts = measured(path)
    header = parse_header(found.xml)
    encoding = header.encodings[0]
    limits = {**encoding.limits, "repetition": Limits(0, frames - 1, 0), "phase": Limits(0, 0, 0)}
    text = header_text(replace(header, encodings=(replace(encoding, limits=limits),)))
    noise = flagged(readouts.heads, AcquisitionFlag.NOISE_MEASUREMENT)
    wire = Wire(socket.create_connection(address), Bounds(idle=120, stalled=60))
    wire.send(MessageId.CONFIG_FILE, name_body(method))
    wire.send(MessageId.HEADER, text_body(text))
    send(wire, readouts.select(np.flatnonzero(noise)), 0)
    lines, spent = readouts.select(np.flatnonzero(~noise)), []
    for frame in range(frames):
        send(wire, lines, frame)
        started = time.perf_counter()
        while (message := wire.receive()) is not None and message.id != MessageId.IMAGE:
            if message.text.startswith("ERR"):
                sys.exit(message.text)
        spent.append(time.perf_counter() - started)
    wire.send(MessageId.CLOSE)
    wire.close()
    return spent


def send(wire: Wire, readouts: Readouts, repetition: int) -> None:
    for head, samples in zip(readouts.heads, readouts.samples, strict=True):
        own = head.copy()
        own["idx"]["repetition"] = repetition
        wire.send(MessageId.ACQUISITION, own.tobytes(), samples.tobytes())


def reconstructed(path: Path, name: str, repeats: int = 10) -> tuple[float, float]:
    """Return what `mrirecon reconstruct` takes for a slice, in seconds, imports and files apart.

    Returns:
        The reconstruction alone, and with opening the file and reading.
    """
    method = build_by_words((f"model={name}",), torch.device("cpu"), [])
    alone, whole = [], []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        made = run(open_scan(path), method)
        whole.append(time.perf_counter() - started)
        alone.append(made.results[0].provenance.seconds_per_plane)
    return statistics.median(alone[1:]), statistics.median(whole[1:])  # the first one warms up


def crowd(address: tuple[str, int], path: Path, clients: int) -> tuple[int, float]:
    """Let many clients send a file at once; returns images, and seconds until all had them."""
    found, readouts = measured(path)
    images: list[int] = []

    def one() -> None:
        client = Client(socket.create_connection(address), 600, 256, lambda _: None)
        images.append(len(client.exchange(Order(found.xml), [readouts])))

    threads = [threading.Thread(target=one) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(images), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--methods", nargs="+", default=["cg_sense", "grappa", "pretrained"])
    parser.add_argument("--accelerations", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    rows = []
    running = Running(chosen.methods)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            print("method      R   median ms   95 %   reconstruct ms   with reading ms")
            for acceleration in chosen.accelerations:
                path = scanned(folder, acceleration, 1)
                for method in chosen.methods:
                    spent = latencies(running.address, method, path, chosen.frames)
                    median, p95 = (1e3 * float(np.percentile(spent, q)) for q in (50, 95))
                    alone, whole = (1e3 * one for one in reconstructed(path, method))
                    row = Row(method, acceleration, median, p95, alone, whole, chosen.frames)
                    rows.append(row)
                    print(f"{method:<11} {acceleration} {median:10.1f} {p95:8.1f} {alone:16.1f} "
                        f"{whole:14.1f}",
                          flush=True)  # fmt: skip
            before = running.peak
            images, seconds = crowd(running.address, scanned(folder, 2, SLICES), chosen.clients)
            after, bound = running.peak, before + TOTAL + MEMORY
    finally:
        running.stop()
    print(f"{chosen.clients} clients at once: {images} of {chosen.clients * SLICES} images in "
          f"{seconds:.1f} s; peak {before:.0f} MB before, {after:.0f} MB after, bound "
          f"{bound:.0f} MB; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    if chosen.store:
        told = {"rows": [asdict(row) for row in rows], "clients": chosen.clients,
                "images": images, "peak_before": before, "peak": after, "bound": bound,
                "load": os.getloadavg()[0]}  # fmt: skip
        (RESULTS / "serving.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
