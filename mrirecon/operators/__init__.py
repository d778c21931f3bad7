"""Linear operators and their algebra."""

from mrirecon.operators.areas import areas, with_areas
from mrirecon.operators.base import LinearOperator
from mrirecon.operators.circulant import CirculantInverse
from mrirecon.operators.density import iterated_density, radial_density
from mrirecon.operators.differences import (
    FiniteDifference,
    SymmetrizedGradient,
    TemporalDifference,
)
from mrirecon.operators.gridding import (
    cartesian_kspace,
    central_kspace,
    coil_images,
    coil_samples,
)
from mrirecon.operators.nonuniform import NonUniformFourier
from mrirecon.operators.normal import SenseNormal, adjoint_image, sense_normal
from mrirecon.operators.sense import Coils, Fourier, Sampling, Weights, least_squares, sense
from mrirecon.operators.wavelet import Wavelet
from mrirecon.operators.weighting import data_weights, noise_variance, penalty_share

__all__ = [
    "CirculantInverse",
    "Coils",
    "FiniteDifference",
    "Fourier",
    "LinearOperator",
    "NonUniformFourier",
    "Sampling",
    "SenseNormal",
    "SymmetrizedGradient",
    "TemporalDifference",
    "Wavelet",
    "Weights",
    "adjoint_image",
    "areas",
    "cartesian_kspace",
    "central_kspace",
    "coil_images",
    "coil_samples",
    "data_weights",
    "iterated_density",
    "least_squares",
    "noise_variance",
    "penalty_share",
    "radial_density",
    "sense",
    "sense_normal",
    "with_areas",
]
