"""Memory of the C library: what one thread has freed should serve the others."""

import ctypes
from contextlib import suppress

ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's ``mallopt``."""


def share_arenas(count: int = 2) -> None:
    """Let all threads take memory from the same few places.

    By default glibc gives threads places of their own, which keep what was freed in them: a server
    with many sessions would grow by their largest needs. Other C libraries do not have the setting.

    Args:
        count: Number of places.
    """
    with suppress(AttributeError, OSError):  # no glibc
        ctypes.CDLL(None).mallopt(ARENA_MAX, count)
