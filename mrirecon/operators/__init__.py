"""Linear operators and their algebra."""

from mrirecon.operators.base import LinearOperator
from mrirecon.operators.sense import Coils, Fourier, Sampling, Weights, least_squares, sense

__all__ = ["Coils", "Fourier", "LinearOperator", "Sampling", "Weights", "least_squares", "sense"]
