"""The images of one session, made as its readouts become complete."""

import threading
from collections.abc import Callable
from pathlib import Path

from mrirecon import writers
from mrirecon.errors import RawDataError
from mrirecon.pipeline import Made, Method, Request, assessed, run
from mrirecon.raw.acquired_scan import AcquiredScan, Measurement
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.readouts import Readouts
from mrirecon.raw.trajectory_grid import TrajectoryGrid
from mrirecon.raw.whitening import NoiseScan, noise_scan
from mrirecon.serving.collector import Collector, Key, Part, Unit
from mrirecon.serving.images import ImageChoice, Outlet, Send
from mrirecon.serving.noise import NoiseStore
from mrirecon.serving.regular import irregular, unit_of

FORMAT = "MRD session"
Tell = Callable[[str, str], None]
"""Tells the client something: three letters that say how bad it is, and a sentence."""


class Imaging:
    """Makes the images of one measurement with one method.

    It goes the same way as a file: readouts become a Scan, and the Scan goes through the pipeline.
    What cannot be decided before all readouts are there is left to the end.

    Args:
        header: Header of the measurement.
        method: Method that reconstructs.
        choice: Type of the images that are sent.
        send: Function that sends the body of an IMAGE message.
        tell: Function that tells the client something.
        noise: Noise scans of earlier sessions, and of this one.
        judged: Whether :meth:`judge` will be asked for.

    Attributes:
        collector: What gathers the readouts.
        outlet: What sends the images.
    """

    def __init__(
        self,
        header: MeasurementHeader,
        method: Method,
        choice: ImageChoice,
        send: Send,
        tell: Tell,
        noise: NoiseStore,
        judged: bool = False,
    ) -> None:
        fitted = method.adaptation is not None
        self.collector = Collector(header, unit_of(method.reconstructor, header, fitted=fitted))
        self.outlet = Outlet(choice, header, send)
        if self.collector.unit is Unit.SCAN:
            tell("DBG", f"{method.name} needs all readouts: images are made at the end")
        self._header, self._method, self._tell, self._store = header, method, tell, noise
        self._request = Request(phase=choice.pixels == "complex64")
        self._noise: NoiseScan | None = None
        self._noise_readouts = 0
        self._grid: Grid | TrajectoryGrid | None = None
        self._made: set[Key] = set()
        self._judged = judged
        self._brightest: tuple[float, AcquiredScan, Made] | None = None

    def reconstruct(self, part: Part, lock: threading.Lock, *, streamed: bool) -> int:
        """Make the images of a part and send them; or let them wait for the end.

        Args:
            part: Readouts that are complete.
            lock: Lock that is held while the collector is used.
            streamed: Whether more readouts may come.

        Returns:
            Bytes of readouts that the collector has taken back.

        Raises:
            RawDataError: When the readouts cannot be understood or reconstructed.
        """
        with lock:
            unit = self.collector.unit
            if streamed and unit is Unit.SCAN:
                # an earlier part was irregular: this one comes again, with all others
                return self.collector.hold(part)
        scan = self._scan(part.readouts, lock)
        if streamed and (reason := irregular(scan, part, unit, self._grid)):
            with lock:
                kept = self.collector.hold(part)
            self._tell("DBG", f"images are made when all readouts are there: {reason}")
            return kept
        self._grid = scan.acquisition.grid
        made = run(scan, self._method, self._request)
        for text in (*scan.header.notes, *made.notes):
            self._tell("DBG", text)
        for text in made.warnings:
            self._tell("WRN", text)
        if self._made.intersection(part.keys):
            self._tell("WRN", "more readouts came after an image had been sent: it is sent again")
        earlier = {one for one in self._made for key in part.keys if one.precedes(key)}
        self._made = (self._made - earlier) | set(part.keys)
        self.outlet.add(scan, made.results, whole=unit is not Unit.SLICE)
        if self._judged:
            brightness = max(float(one.volume.mean()) for one in made.results)
            if self._brightest is None or brightness > self._brightest[0]:
                self._brightest = (brightness, scan, made)
        return 0

    def finish(self, lock: threading.Lock) -> None:
        """Make what has not been made, and send what was held.

        Raises:
            RawDataError: When readouts cannot be understood or reconstructed.
        """
        with lock:
            parts = self.collector.finish()
        found = self._own_noise(lock)
        if not self.collector.images:
            if found is None:
                raise RawDataError(f"none of the {self.collector.count} readouts is a line of an "
                                   "image or noise; nothing can be made of them")  # fmt: skip
            self._tell("DBG", "the noise scan is kept for the next measurements of these coils")
            return
        for part in parts:
            self.reconstruct(part, lock, streamed=False)
        self.outlet.finish()
        if self.collector.lost:
            self._tell("WRN", f"{self.collector.lost} readouts came after a later repetition of "
                       "their image and are in none")  # fmt: skip
        if self.outlet.clipped:
            text = (
                f"{self.outlet.clipped} pixels are brighter than the scale of their series allows"
            )
            self._tell("WRN", f"{text} and are 4095; give a smaller scale, or images=float32")

    def judge(self, page: Path) -> None:
        """Look closely at the brightest part, write its quality page, and tell what it warns of.

        Args:
            page: Path of the page, which does not exist.

        Raises:
            MriReconError: When the page cannot be made or written.
        """
        if self._brightest is None:
            return
        _, scan, made = self._brightest
        result = assessed(scan, made.results[0], made.method, made.seconds)
        for warning in result.quality.warnings if result.quality else ():
            self._tell("WRN", warning)
        writers.write_qc(page, result)

    def _scan(self, readouts: Readouts, lock: threading.Lock) -> AcquiredScan:
        noise = self._own_noise(lock)
        if not self._noise_readouts:
            noise = self._store.find(self._header)
        measurement = Measurement("session", self._header, readouts.heads)
        name = self._header.protocol or "session"
        return AcquiredScan(name, FORMAT, measurement, readouts.select, noise=noise)

    def _own_noise(self, lock: threading.Lock) -> NoiseScan | None:
        """Return the noise scan of this session, and keep it for others; None when it has none."""
        with lock:
            noise = self.collector.noise(self._noise_readouts)
        if noise is not None:
            self._noise_readouts = len(noise)
            try:
                labels = self._header.coil_labels
                self._noise = noise_scan(noise, labels, "the same session")
                self._store.keep(self._noise, self._header)
            except RawDataError as error:
                self._noise = None
                self._tell("WRN", f"k-space is not whitened: {error}")
        return self._noise
