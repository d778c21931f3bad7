"""NRMSE of classical methods on a full scan, for ``mrirecon compare SCAN``.

Each slice is undersampled, reconstructed with the shipped defaults and compared with the
root-sum-of-squares of the full data, inside the object as ESPIRiT of the full data sees it. The
sensitivities come from the centre of the undersampled data.
"""

from pathlib import Path

import torch

from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import RawDataError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.readers import open_scan
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.l1_wavelet import L1Wavelet
from mrirecon.reconstructors.classical.sigpy import SigpyL1Wavelet, SigpySense, SigpyTotalVariation
from mrirecon.reconstructors.classical.tgv import Tgv
from mrirecon.reconstructors.classical.total_variation import TotalVariation
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sampling import EquispacedLines, PoissonDisc, SamplingPattern
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.types import Sample


def methods() -> dict[str, Reconstructor]:
    """Every classical method with its defaults, and sigpy's."""
    given = GivenMaps()
    return {
        "zero-filled": ZeroFilled(),
        "CG-SENSE": CgSense(given),
        "L1-wavelet": L1Wavelet(given),
        "TV": TotalVariation(given),
        "TGV": Tgv(given),
        "sigpy SENSE": SigpySense(given),
        "sigpy L1": SigpyL1Wavelet(given),
        "sigpy TV": SigpyTotalVariation(given),
    }


def patterns() -> dict[str, SamplingPattern]:
    """Regular lines with 24 of calibration, and Poisson disc."""
    regular = {f"uniform {rate}": EquispacedLines(rate, acs=24) for rate in (2, 3, 4)}
    return {**regular, **{f"Poisson {rate}": PoissonDisc(float(rate)) for rate in (2, 3, 4)}}


def score(model: Reconstructor, sample: Sample, target: torch.Tensor) -> float:
    """NRMSE inside the object, magnitudes against magnitudes."""
    inside = target > 0
    scale = 1.0 if sample.scale is None else sample.scale[:, None, None]
    image = model(sample).abs() * scale * inside
    return float((image - target).norm() / target.norm())


@torch.inference_mode()
def compare_scan(path: Path, index: int) -> None:
    """Print one table row per sampling pattern.

    Args:
        path: Path of a fully sampled raw file.
        index: Number of the slice.

    Raises:
        RawDataError: When the slice is not there, or not fully sampled.
    """
    scan = open_scan(path)
    if not 0 <= index < len(scan):
        raise RawDataError(f"--slice: {path} has slices 0 to {len(scan) - 1}, not {index}")
    full = scan[index]
    if not full.mask.all() or not full.cartesian:
        raise RawDataError(
            f"{path}: slice {index} is not fully sampled on the Cartesian grid, so there is "
            "nothing to compare with; give a fully sampled file"
        )
    object_mask = (Espirit()(collate([full])) != 0).any(-3)
    target = root_sum_of_squares(ifft(collate([full]).kspace)) * object_mask
    models = methods()
    print(f"NRMSE inside the object (0 is perfect), {path.name}, slice {index}")
    print(f"{'sampling':<12}{'R':>6}" + "".join(f"{name:>13}" for name in models))
    for name, pattern in patterns().items():
        sample = collate([Compose([Undersample(pattern), Normalize()])(full)])
        sample = sample.replace(maps=Espirit()(sample))
        h, w = sample.kspace.shape[-2:]
        rate = 1 / float(sample.mask.expand(1, h, w).float().mean())
        scores = [score(model, sample, target) for model in models.values()]
        columns = "".join(f"{value:>13.4f}" for value in scores)
        print(f"{name:<12}{rate:>6.2f}{columns}", flush=True)
