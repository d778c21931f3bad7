"""Raw files to Scans: :func:`open_scan` recognises a file by its content."""

from mrirecon.readers.base import FileScan
from mrirecon.readers.registry import READERS, known_readers, open_scan

__all__ = ["READERS", "FileScan", "known_readers", "open_scan"]
