"""Other scans out of a measured one: python benchmarks/measured_variants.py FILE FOLDER.

Real scans that are free to use are few. This writes variants of one in the layout of fastMRI:
complex white noise added until the signal-to-noise ratio is a half and a quarter of what it was,
fewer virtual coils (the first principal components of the calibration data), and a smaller matrix
(the centre of k-space). Each has its own full data as its reference, noise included.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch

from mrirecon.data.coil_compression import CompressCoils
from mrirecon.errors import MriReconError
from mrirecon.files import atomic
from mrirecon.fourier import ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.readers import open_scan
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.types import Sample


def noisier(sample: Sample, factor: float, seed: int = 0) -> torch.Tensor:
    """Return k-space with white noise added, whose noise is ``factor`` times what it was."""
    added = float(noise_std(sample)) * (factor**2 - 1) ** 0.5
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((*sample.kspace.shape, 2), generator=generator)
    return sample.kspace + added * torch.view_as_complex(noise) * sample.mask


def compressed(sample: Sample, coils: int) -> torch.Tensor:
    """Return k-space of virtual coils."""
    return CompressCoils(coils)(sample).kspace


def smaller(sample: Sample, size: int) -> torch.Tensor:
    """Return the central ``size`` x ``size`` samples: a lower resolution."""
    return center_fit(sample.kspace, (size, size))


def write(path: Path, slices: Sequence[torch.Tensor], source: str, note: str) -> None:
    """Write k-space in the layout of fastMRI's files; nothing that exists is replaced."""
    kspace = torch.stack(list(slices))
    rss = root_sum_of_squares(ifft(kspace)).numpy()
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file["kspace"] = kspace.numpy().astype(np.complex64)
        file["reconstruction_rss"] = rss
        file.attrs.update(max=rss.max(), norm=np.linalg.norm(rss), source=source, note=note)


def main() -> None:
    """Write all variants of a file."""
    parser = argparse.ArgumentParser(description="Variants of a fully sampled scan.")
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices", nargs="+", type=int)
    parser.add_argument("--noise", nargs="*", type=float, default=[2, 4], help="factors")
    parser.add_argument("--coils", nargs="*", type=int, default=[2, 3])
    parser.add_argument("--sizes", nargs="*", type=int, default=[192, 128])
    options = parser.parse_args()
    try:
        scan = open_scan(options.file)
        planes = [scan[i] for i in options.slices or range(len(scan))]
        variants = {f"noise{n:g}": [noisier(s, n, i) for i, s in enumerate(planes)]
                    for n in options.noise}  # fmt: skip
        variants |= {f"coils{n}": [compressed(s, n) for s in planes] for n in options.coils}
        variants |= {f"size{n}": [smaller(s, n) for s in planes] for n in options.sizes}
        for name, slices in variants.items():
            path = options.folder / f"{options.file.stem}_{name}.h5"
            write(path, slices, options.file.name, name)
            print(path)
    except MriReconError as error:
        sys.exit(f"measured_variants.py: {error}")


if __name__ == "__main__":
    main()
