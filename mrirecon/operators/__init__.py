"""Linear operators and their algebra."""

from mrirecon.operators.base import LinearOperator
from mrirecon.operators.differences import FiniteDifference, SymmetrizedGradient
from mrirecon.operators.normal import SenseNormal, adjoint_image, sense_normal
from mrirecon.operators.sense import Coils, Fourier, Sampling, Weights, least_squares, sense
from mrirecon.operators.wavelet import Wavelet
from mrirecon.operators.weighting import data_weights, noise_variance, penalty_share

__all__ = [
    "Coils",
    "FiniteDifference",
    "Fourier",
    "LinearOperator",
    "Sampling",
    "SenseNormal",
    "SymmetrizedGradient",
    "Wavelet",
    "Weights",
    "adjoint_image",
    "data_weights",
    "least_squares",
    "noise_variance",
    "penalty_share",
    "sense",
    "sense_normal",
]
