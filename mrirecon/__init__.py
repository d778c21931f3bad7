"""Accelerated MRI: from undersampled multi-coil k-space to an image you can trust.

What ``import mrirecon as mr`` offers stands in ``__init__.pyi``, and is imported when it is first
used: files and arrays in, images out, methods, sampling patterns, metrics.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
