"""A place in a stream of yardl's binary encoding, which never moves beyond the end."""

import mmap

import numpy as np

from mrirecon.errors import RawDataError

LONGEST = 10
"""Bytes of the longest integer, of 64 bits."""
AT_ONCE = 2**20
"""Bytes that are looked at together where many integers are walked over."""

MAPPED = 2**26
"""Bytes of a mapped file that may stay in memory after they were read."""


class Cursor:
    """Reads one value after the other.

    Every method raises RawDataError when the stream ends too early.

    Attributes:
        stream: The whole stream.
        place: Byte that is read next.
    """

    def __init__(self, stream: bytes | mmap.mmap) -> None:
        self.stream, self.place = stream, 0
        self._released = 0

    @property
    def left(self) -> int:
        """Number of bytes that are left."""
        return len(self.stream) - self.place

    def skip(self, count: int) -> int:
        """Move over so many bytes; returns where they begin."""
        start = self.place
        if count > self.left:
            raise RawDataError(
                f"the stream tells of {count} bytes at byte {start}, but only {self.left} are "
                "left: it is truncated or damaged; send or copy it again"
            )
        self.place += count
        return start

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        start = self.skip(count)
        return self.stream[start : self.place]

    def byte(self) -> int:
        """Return the next byte."""
        return self.stream[self.skip(1)]

    def unsigned(self) -> int:
        """Return an integer of which each byte holds seven bits, the lowest ones first."""
        stream, start, value = self.stream, self.place, 0
        try:
            for number in range(LONGEST):
                byte = stream[start + number]
                value |= (byte & 0x7F) << (7 * number)
                if byte < 0x80:
                    self.place = start + number + 1
                    return value
        except IndexError:
            self.skip(self.left + 1)
        raise RawDataError(
            f"the integer at byte {start} has more than {LONGEST} bytes: the stream is damaged; "
            "send or copy it again"
        )

    def signed(self) -> int:
        """Return an integer whose lowest bit is the sign."""
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def length(self, least: int) -> int:
        """Return a number of values, of at least so many bytes each, that may still come."""
        start, count = self.place, self.unsigned()
        self.check(count * least, start)
        return count

    def check(self, needed: int, start: int) -> None:
        """Refuse what was announced at ``start`` and needs more bytes than are left."""
        if needed > self.left:
            raise RawDataError(
                f"byte {start} of the stream announces at least {needed} bytes, but only "
                f"{self.left} follow: it is truncated or damaged; send or copy it again"
            )

    def release(self) -> None:
        """Give back the memory of what lies behind, of which there is much in a mapped file."""
        if self.place - self._released >= MAPPED and isinstance(self.stream, mmap.mmap):
            self._released = self.place - self.place % mmap.PAGESIZE
            self.stream.madvise(mmap.MADV_DONTNEED, 0, self._released)

    def skip_integers(self, count: int) -> None:
        """Move over so many integers."""
        while count:
            size = min(AT_ONCE, LONGEST * count, self.left)
            ends = np.flatnonzero(np.frombuffer(self.stream, np.uint8, size, self.place) < 0x80)
            if not len(ends):
                self.skip(self.left + 1)
            used = min(count, len(ends))
            self.place += int(ends[used - 1]) + 1
            count -= used
