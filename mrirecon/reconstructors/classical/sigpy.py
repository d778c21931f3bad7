"""The iterative reconstructions of sigpy (Ong and Lustig, ISMRM 2019) as trusted baselines.

They need ``pip install sigpy``, run on the CPU, one slice after the other, and are not
differentiable. The step sizes are given, as maps of unit norm allow, because sigpy estimates them
from a random start.
"""

from abc import abstractmethod
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex64, Float32

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.errors import MriReconError
from mrirecon.operators import data_weights, penalty_share
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.reconstructors.parts.variation import balance
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class MissingPackageError(MriReconError, ImportError):
    """An optional package is needed and not installed."""


class SigpyApp(Reconstructor):
    r"""Common to all: k-space divided by its scale, one slice at a time.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight :math:`\lambda` of the penalty, with the meaning that it has in the
            method of the same name of mrirecon.
        iterations: Number of steps; sigpy takes them all.
    """

    def __init__(
        self, sensitivity: SensitivityEstimator, regularization: float, iterations: int
    ) -> None:
        super().__init__()
        check_not_negative(regularization=regularization)
        check_at_least(1, iterations=iterations)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations

    @torch.no_grad()
    def forward(self, sample: Sample) -> Image:
        """Return the complex image.

        Raises:
            MissingPackageError: When sigpy is not installed.
        """
        apps = _sigpy()
        maps, scale = self.sensitivity(sample), data_scale(sample)
        batch, (h, w) = sample.kspace.shape[:-3], sample.kspace.shape[-2:]
        kspace = (sample.kspace / scale.unsqueeze(-3)).reshape(-1, *sample.kspace.shape[-3:])
        weights = data_weights(sample).expand(*batch, h, w).reshape(-1, h, w)
        members = zip(kspace, maps.reshape(kspace.shape), weights, strict=True)
        share = torch.as_tensor(penalty_share(sample)).expand(*batch, 1, 1).flatten().tolist()
        images = [
            self._image(apps, part, *(t.resolve_conj().cpu().numpy().copy() for t in member))
            if member[0].any() and member[1].any()
            else np.zeros((h, w), np.complex64)
            for member, part in zip(members, share, strict=True)
        ]
        stacked = torch.from_numpy(np.stack(images)).to(sample.kspace)
        return stacked.reshape(*batch, h, w) * scale

    def _image(
        self,
        apps: ModuleType,
        share: float,
        kspace: Complex64[np.ndarray, "coil h w"],
        maps: Complex64[np.ndarray, "coil h w"],
        weights: Float32[np.ndarray, "h w"],
    ) -> Complex64[np.ndarray, "h w"]:
        app = self.app(apps)(
            kspace, maps, lamda=share * self.regularization, weights=weights,
            max_iter=self.iterations, show_pbar=False,
        )  # fmt: skip
        image: np.ndarray = app.run()
        return image.astype(np.complex64)

    @abstractmethod
    def app(self, apps: ModuleType) -> Any:
        """Return the app, with the options set that not all apps share."""


class SigpySense(SigpyApp):
    """``sigpy.mri.app.SenseRecon``: conjugate gradients for the problem of CG-SENSE."""

    def __init__(
        self, sensitivity: SensitivityEstimator, regularization: float = 3e-3, iterations: int = 30
    ) -> None:
        super().__init__(sensitivity, regularization, iterations)

    def app(self, apps: ModuleType) -> Any:
        """Return the app."""
        return apps.SenseRecon


class SigpyL1Wavelet(SigpyApp):
    """``sigpy.mri.app.L1WaveletRecon``: FISTA, without cycle spinning.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight of the wavelet term, with the meaning that it has in
            :class:`~mrirecon.reconstructors.L1Wavelet`.
        iterations: Number of steps.
        wavelet: Name that PyWavelets knows.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 1e-3,
        iterations: int = 100,
        wavelet: str = "db4",
    ) -> None:
        super().__init__(sensitivity, regularization, iterations)
        self.wavelet = wavelet

    def app(self, apps: ModuleType) -> Any:
        """Return the app."""
        return partial(apps.L1WaveletRecon, wave_name=self.wavelet, alpha=1.0)


SIGMA = 0.2
"""Dual step of total variation, of which 100 steps come within 1e-3 of the solution; with 1 they
miss it by several percent. Smaller weights need smaller ones, as the dual does not grow larger."""


class SigpyTotalVariation(SigpyApp):
    """``sigpy.mri.app.TotalVariationRecon``: primal-dual, with the anisotropic norm."""

    def __init__(
        self, sensitivity: SensitivityEstimator, regularization: float = 1e-3, iterations: int = 100
    ) -> None:
        super().__init__(sensitivity, regularization, iterations)

    def app(self, apps: ModuleType) -> Any:
        """Return the app."""
        sigma = SIGMA * balance(2 * self.regularization)
        return partial(apps.TotalVariationRecon, tau=1 / (9 * sigma), sigma=sigma)


def _sigpy() -> ModuleType:
    try:
        import sigpy.mri.app
    except ImportError as error:
        raise MissingPackageError(
            "this baseline runs sigpy, which is not installed; pip install sigpy"
        ) from error
    return sigpy.mri.app
