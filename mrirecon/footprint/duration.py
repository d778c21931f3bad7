"""How long images will take, told by how long smaller ones took."""

import time

import torch

from mrirecon.footprint.predicted import on_cpu
from mrirecon.footprint.small_sample import Grid, scaled, shrunk
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.types import Sample

SMALL, LARGE = 96, 160
"""Widths of the grids that are tried; up to the second nothing is extrapolated."""


def of_images(reconstructor: Reconstructor, sample: Sample, canvas: Grid) -> float:
    """Return the seconds that the images of a batch take on this CPU, about.

    What a method does is done on two small grids, after once for what only the first time takes;
    beyond them time grows with the number of pixels.

    Args:
        reconstructor: Method; it is copied to the CPU.
        sample: A batch of one slice, or of all frames of it for a joint method.
        canvas: Size to which coil images are interpolated.
    """
    model, sample = on_cpu(reconstructor).eval(), sample.to("cpu")
    h, w = sample.grid
    grids = [(min(h, SMALL), min(w, SMALL)), (min(h, LARGE), min(w, LARGE))]
    if h * w <= LARGE**2:
        grids = [(h, w)]
    problems = [(shrunk(sample, grid), scaled(canvas, sample.grid, grid)) for grid in grids]
    with torch.random.fork_rng(devices=()), torch.inference_mode():
        model.on_canvas(*problems[0])
        seconds = []
        for problem in problems:
            started = time.perf_counter()
            model.on_canvas(*problem)
            seconds.append(time.perf_counter() - started)
    if len(grids) == 1:
        return seconds[0]
    few, many = (a * b for a, b in grids)
    each = max(0.0, seconds[1] - seconds[0]) / (many - few)
    return seconds[1] + each * (h * w - many)
