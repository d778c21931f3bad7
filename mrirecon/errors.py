"""The exceptions that mrirecon raises on purpose, so that a caller can tell them from bugs.

Every message names the thing, what was found, what was expected and what to do next.
"""


class MriReconError(Exception):
    """Base of every error that mrirecon raises on purpose."""


class ShapeError(MriReconError, ValueError):
    """Two arrays that must share axes do not."""


class ConfigError(MriReconError, ValueError):
    """A configuration cannot be built; the message names every wrong key at once."""


class RawDataError(MriReconError, ValueError):
    """A raw file is unreadable or is not what its reader expects."""


class OutputError(MriReconError, OSError):
    """An output cannot be written, for instance because it exists already."""


class DownloadError(MriReconError, RuntimeError):
    """A file cannot be fetched, or is another one than the one that was meant."""
