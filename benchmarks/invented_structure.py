"""How well sFRC finds small spots in reconstructions: python benchmarks/invented_structure.py [N].

Slices of N simulated brains (4), 8 coils, 192 x 192, equispaced lines of acceleration 2 and 4 and
the whole k-space, by CG-SENSE and by L1-wavelet. Spots 3 to 6 pixels wide are added to the image
(invented), or to the reference (missing), at places of the object drawn by chance, as high as
PSNR changes by less than 0.1 dB, and by no more than 0.3 of the maximum. ``AUC`` compares patches
whose centre is at most 4 pixels away from a spot with those that hold nothing of it; ``found`` is
the share of spots near which a patch is above the threshold, ``alarms`` that of the other patches.
"""

import sys

import numpy as np
import torch

import mrirecon
from mrirecon.metrics import PATCH, scan_rings
from mrirecon.reconstructors import CgSense, L1Wavelet
from mrirecon.sampling import EquispacedLines
from mrirecon.sensitivity import Espirit
from mrirecon.simulation import Prescription, SimulationProtocol, simulated_scans

SPOTS = 20
"""Spots of each kind for each slice."""
ALLOWED = 0.09
"""Change of PSNR in dB at most."""


def spot(reference: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the centre of a spot in the object, and the spot of unit height."""
    near = torch.nn.functional.avg_pool2d(
        (reference > 0.15 * reference.max()).double()[None], 9, 1, 4
    )[0]
    places = (near > 0.9).nonzero()
    center = places[torch.randint(len(places), (), generator=rng)]
    width, sign = 3 + 3 * torch.rand((), generator=rng), torch.rand((), generator=rng).round()
    y, x = (torch.arange(n) for n in reference.shape)
    inside = (y[:, None] - center[0]) ** 2 + (x - center[1]) ** 2 <= (width / 2) ** 2
    return center, inside.double() * (2 * sign - 1)


def height(error: torch.Tensor, shape: torch.Tensor, most: float) -> float:
    """Return how high a spot may be that is added to an error."""
    found = most
    while True:
        ratio = (error + found * shape).square().sum() / error.square().sum()
        if abs(10 * float(ratio.log10())) < ALLOWED:
            return found
        found *= 0.8


def study(
    image: torch.Tensor, reference: torch.Tensor, invented: bool, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, bool, float]:
    """Return scores at a spot and away from it, whether it was found, and the share of alarms."""
    center, shape = spot(reference, rng)
    shape = shape if invented else -shape
    high = height(image - reference, shape, 0.3 * float(reference.max()))
    pair = (image + high * shape, reference) if invented else (image, reference - high * shape)
    scan = scan_rings(*pair)
    rows, columns = scan.centers()
    far = torch.maximum((rows - center[0]).abs()[:, None], (columns - center[1]).abs())
    near, away = ((far <= 4) & scan.shows_object, (far > PATCH) & scan.shows_object)
    found = bool(scan.suspicious[near].any())
    return scan.scores[near], scan.scores[away], found, float(scan.suspicious[away].double().mean())


def area_under_curve(changed: torch.Tensor, unchanged: torch.Tensor) -> float:
    """Return how often a changed patch scores higher than an unchanged one; ties count half."""
    ordered = unchanged.sort().values
    below, upto = (torch.searchsorted(ordered, changed, right=r).double() for r in (False, True))
    return float((below + upto).mean() / 2 / len(ordered))


def main() -> None:
    """Print one line for each method, acceleration and kind of change."""
    brains = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    protocol = SimulationProtocol(prescription=Prescription(matrix=(192, 192), slices=2), coils=8)
    for name, method in (("CG-SENSE", CgSense(Espirit())), ("L1-wavelet", L1Wavelet(Espirit()))):
        for acceleration in (1, 2, 4):
            sampling = EquispacedLines(acceleration) if acceleration > 1 else None
            made = []
            for scan in simulated_scans(0, brains, protocol):
                images = np.asarray(mrirecon.reconstruct(scan, method, sampling=sampling))
                made += [
                    (torch.from_numpy(image).double(), scan.target(number).double())
                    for number, image in enumerate(np.abs(images))
                ]
            for invented in (True, False):
                rng = torch.Generator().manual_seed(0)
                found = [study(*p, invented, rng) for p in made for _ in range(SPOTS)]
                near, away, hits, alarms = zip(*found, strict=True)
                auc = area_under_curve(torch.cat(near), torch.cat(away))
                print(
                    f"{name:10} R={acceleration} {'invented' if invented else 'missing':8} "
                    f"AUC {auc:.4f}  found {sum(hits) / len(hits):.1%}  "
                    f"alarms {sum(alarms) / len(alarms):.2%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
