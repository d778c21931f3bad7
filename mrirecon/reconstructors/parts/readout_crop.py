"""A smaller field of view along the readout, which is fully sampled."""

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.sampling.extents import limited
from mrirecon.types import Sample


def cut_readout(sample: Sample, size: int) -> Sample:
    """Return k-space of the central rows of the image, on a grid of as many rows.

    That is possible where whole readouts were measured, and all samples of one alike. Other
    Samples, smaller ones and those with a reference scan on a grid of its own come back unchanged.

    Args:
        sample: One slice or a batch.
        size: Number of rows of the image to keep.
    """
    h, w = sample.kspace.shape[-2:]
    rows = {one.shape[-2] for one in (sample.mask, sample.weights) if one is not None}
    if size >= h or rows != {1} or sample.calibration is not None:
        return sample
    kspace = fft(center_fit(ifft(sample.kspace, (-2,)), (size, w)), (-2,))
    acs = None if sample.acs is None else limited(sample.acs, (size, w))
    maps = None if sample.maps is None else center_fit(sample.maps, (size, w))
    return sample.replace(kspace=kspace, acs=acs, maps=maps)
