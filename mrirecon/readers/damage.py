"""Exceptions that Python's and SciPy's readers raise when a file is damaged."""

import struct
import zlib
from tokenize import TokenError
from zipfile import BadZipFile

DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError, struct.error, zlib.error, BadZipFile, TokenError,
)  # fmt: skip
"""For ``except`` around a single call of such a reader, never around code of our own."""
