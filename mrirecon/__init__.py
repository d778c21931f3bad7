"""Accelerated MRI: from undersampled multi-coil k-space to an image you can trust."""

__version__ = "0.1.0"
