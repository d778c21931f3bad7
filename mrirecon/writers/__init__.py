"""Volumes into files; each writer takes ``(path, reconstruction, overwrite=...)``.

What is exported stands in ``__init__.pyi``, and is imported when it is first used: a server that
sends images needs none of the packages that pictures and DICOM files are made with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
