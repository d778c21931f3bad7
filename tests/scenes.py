"""Small Samples and scans that many tests need."""

import torch

from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.sampling import EquispacedLines
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.types import Sample

PATTERN = EquispacedLines(2, acs=12)


def scan(subject=0, matrix=(40, 36), slices=2, coils=4, snr=30.0, with_maps=False) -> SimulatedScan:
    prescription = Prescription(matrix=matrix, slices=slices)
    return SimulatedScan(
        subject, SimulationProtocol(prescription=prescription, coils=coils, snr=snr), with_maps
    )


def undersampled(simulated: SimulatedScan, index: int = 0) -> Sample:
    return Compose([Undersample(PATTERN), Normalize()])(simulated[index])


def batch(simulated: SimulatedScan | None = None, **changes) -> Sample:
    simulated = simulated or scan(with_maps=True)
    samples = collate([undersampled(simulated, i) for i in range(len(simulated))])
    return samples.replace(**changes)


def empty(sample: Sample) -> Sample:
    """The same Sample with nothing in it, as at the edge of a stack."""
    return sample.replace(
        kspace=torch.zeros_like(sample.kspace),
        maps=None if sample.maps is None else torch.zeros_like(sample.maps),
    )


def unmeasured(sample: Sample) -> Sample:
    """The same Sample when the scanner left this slice out, as readers yield it."""
    mask = torch.zeros_like(sample.mask)
    return empty(sample).replace(mask=mask, acs=torch.zeros(2, dtype=torch.int64))


def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether tensors are the same to the last bit; what a file does not tell is NaN."""
    return one.shape == other.shape and bool(torch.equal(one.nan_to_num(-1), other.nan_to_num(-1)))
