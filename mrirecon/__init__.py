"""Accelerated MRI: from undersampled multi-coil k-space to an image you can trust.

What ``import mrirecon as mr`` offers stands in ``__init__.pyi``, and is imported when it is first
used: files and arrays in, images out, methods, sampling patterns, metrics. Threads of libraries
that are loaded from here on sleep while they wait, unless the environment chooses otherwise.
"""

import lazy_loader

from mrirecon.threads import prepare_unless_late

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
prepare_unless_late()
