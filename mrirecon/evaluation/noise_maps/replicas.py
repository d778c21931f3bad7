"""Noise, SNR and g-factor maps of any reconstructor by pseudo-replicas.

Robson et al., Magn Reson Med 60:895, 2008.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor
from tqdm import trange

from mrirecon.added_noise import noise_amplitude
from mrirecon.errors import ShapeError
from mrirecon.operators import central_kspace
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sampling.calibration import centered_slice
from mrirecon.sensitivity.base import calibration_extent
from mrirecon.types import Image, Sample


@dataclass(frozen=True)
class Replicas:
    """What noise does to a reconstruction.

    Attributes:
        image: Reconstructed without additional noise.
        deviation: Standard deviation of the noise in the image, per real component, in units of
            the noise of a whitened k-space sample: 1 for a fully sampled coil combination.
        unit: Standard deviation of whitened noise in the units of ``image``.
        acceleration: Positions divided by measured positions.
    """

    image: Image
    deviation: Float32[Tensor, "*b h w"]
    unit: Float32[Tensor, "*b 1 1"]
    acceleration: Float32[Tensor, "*b 1 1"]

    @property
    def snr(self) -> Float32[Tensor, "*b h w"]:
        """Magnitude divided by noise; 0 where the method leaves neither."""
        noise = self.deviation * self.unit
        return torch.where(noise > 0, self.image.abs() / torch.where(noise > 0, noise, 1.0), 0.0)

    @property
    def g_factor(self) -> Float32[Tensor, "*b h w"]:
        """Noise beyond what the shorter measuring time explains; 1 where there is no more."""
        return self.deviation / self.acceleration.sqrt()


@torch.no_grad()
def pseudo_replicas(
    reconstructor: Reconstructor,
    sample: Sample,
    *,
    replicas: int = 100,
    seed: int = 0,
    calibrate: bool = True,
    progress: bool = False,
) -> Replicas:
    r"""Add white noise to measured k-space again and again, and see what becomes of it.

    Each pixel's deviation has a relative error of about :math:`1/(2\sqrt n)` for a complex image
    and :math:`1/\sqrt{2n}` for a magnitude. Noise is drawn for each member of a batch alike, so
    members do not depend on one another; for the frames of a joint method independently. What the
    noise of neighbouring slices adds, for a method that sees them, is not counted.

    Args:
        reconstructor: Reconstructor of any kind; for a nonlinear one the result holds for this
            image and noise level.
        sample: Whitened Sample, noise of unit variance per real component before ``sample.scale``,
            unless ``sample.noise`` tells.
        replicas: Number of noisy reconstructions.
        seed: Seed of the noise.
        calibrate: Whether the calibration sees the noise too, as another measurement's would. When
            False, k-space without additional noise is handed over as ``sample.calibration``, so
            that maps and kernels stay as they are.
        progress: Whether to show a progress bar.
    """
    if replicas < 2:
        raise ValueError(f"replicas must be at least 2, got {replicas}")
    reconstructor = reconstructor.eval()
    unit = _unit(sample)
    amplitude = noise_amplitude(sample, unit[..., 0, 0])
    if not calibrate:
        sample = _with_fixed_calibration(sample)
    image = reconstructor(sample)
    generator = torch.Generator().manual_seed(seed)
    mean, squares = torch.zeros_like(image), torch.zeros_like(image.real)
    for index in trange(replicas, desc="replicas", leave=False, disable=not progress):
        shape = sample.kspace.shape if reconstructor.joint else sample.kspace.shape[-3:]
        drawn = torch.randn(*shape, 2, generator=generator)
        noise = torch.view_as_complex(drawn).to(image.device) * amplitude.unsqueeze(-3)
        replica = reconstructor(sample.replace(kspace=sample.kspace + noise))
        difference = replica - mean  # Welford's update of mean and variance
        mean = mean + difference / (index + 1)
        squares = squares + (difference * (replica - mean).conj()).real
    components = 1 + (image.imag != 0).flatten(-2).any(-1).to(torch.float32)[..., None, None]
    share = sample.mask.float().mean((-2, -1), keepdim=True).expand_as(unit)
    return Replicas(
        image=image,
        deviation=(squares / (components * (replicas - 1))).sqrt() / unit,
        unit=unit,
        acceleration=share.clamp_min(1e-9).reciprocal(),
    )


def _unit(sample: Sample) -> Float32[Tensor, "*b 1 1"]:
    """Standard deviation of the noise in each real component of k-space."""
    if sample.noise is not None:
        return sample.noise[..., None, None]
    if sample.scale is not None:
        return sample.scale[..., None, None].reciprocal()
    return torch.ones(*sample.kspace.shape[:-3], 1, 1, device=sample.kspace.device)


def _with_fixed_calibration(sample: Sample) -> Sample:
    """Hand the fully sampled centre over as a reference scan, which gets no additional noise."""
    if sample.calibration is not None:
        return sample
    extents = {tuple(extent) for extent in calibration_extent(sample).reshape(-1, 2).tolist()}
    if len(extents) > 1:
        raise ShapeError(
            f"calibrate=False needs equal calibration areas in a batch, got {sorted(extents)}; "
            "pass the members one by one"
        )
    extent = extents.pop()
    if 0 in extent:  # there is nothing to keep, which the estimator itself will say
        return sample
    rows, columns = map(centered_slice, sample.grid, extent)
    near = sample.neighbors
    return sample.replace(
        calibration=(
            sample.kspace[..., rows, columns]
            if sample.cartesian
            else central_kspace(sample, extent)
        ),
        neighbors=near and _with_fixed_calibration(near),
    )
