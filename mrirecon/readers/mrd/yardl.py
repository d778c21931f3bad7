"""Streams in yardl's binary encoding, read by the schema that they carry.

Such a stream begins with a mark, the version of the encoding and the schema of its protocol as
JSON, which tells how every value that follows is written: streams of all versions of a protocol are
read alike, and what is of no interest is walked over. A length that the rest of the stream cannot
hold is refused before anything is made of it.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

from mrirecon.errors import RawDataError
from mrirecon.readers.mrd.cursor import Cursor
from mrirecon.readers.mrd.yardl_kinds import Kind, chosen
from mrirecon.readers.mrd.yardl_schema import Schema

MAGIC = b"yardl"
ENCODING = 1
"""Version of the encoding."""
LARGEST_SCHEMA = 2**22
"""Bytes of a schema; that of MRD has less than a hundredth of it."""


class Protocol:
    """A stream of a protocol of two steps: a header, which may be missing, and a stream of items.

    Attributes:
        header: The header, a mapping by the names of the schema; None when there is none.
        closed: Whether the items came to their marked end.
        rest: Number of bytes after it.

    Raises:
        RawDataError: When the stream is damaged, or of another protocol or encoding.
    """

    def __init__(self, cursor: Cursor, name: str) -> None:
        self._cursor = cursor
        header, self._item = _steps(cursor, name)
        self.header = header.read(cursor, True)
        self.closed, self.rest = False, 0

    def items(self, wanted: str) -> Iterator[tuple[str, Any]]:
        """Walk through the items: their tags, and what they are where that is the ``wanted`` one.

        Raises:
            RawDataError: When the stream ends within an item, or is damaged.
        """
        cursor = self._cursor
        while cursor.left:
            count = cursor.length(self._item.least)
            if not count:
                self.closed, self.rest = True, cursor.left
                return
            for _ in range(count):
                tag, kind = chosen(cursor, self._item.cases)
                keep = tag.lower() == wanted
                yield tag, kind.read(cursor, keep) if kind else None
                cursor.release()


def _steps(cursor: Cursor, name: str) -> tuple[Kind, Kind]:
    """Read what comes before the first value; returns the kinds of the header and of the items."""
    if cursor.take(len(MAGIC)) != MAGIC:
        raise RawDataError(f"the stream does not begin with {MAGIC!r}; it is none of yardl")
    (version,) = struct.unpack("<i", cursor.take(4))
    if version != ENCODING:
        raise RawDataError(
            f"the stream is of version {version} of yardl's encoding, expected {ENCODING}"
        )
    size = cursor.length(1)
    if size > LARGEST_SCHEMA:
        raise RawDataError(f"its schema has {size} bytes, expected at most {LARGEST_SCHEMA}")
    try:
        told = json.loads(cursor.take(size))
        found = str(told["protocol"]["name"])
        steps = {str(step["name"]): step["type"] for step in told["protocol"]["sequence"]}
        types = Schema(told["types"])
        ours = found == name and list(steps) == ["header", "data"]
        kinds = [types.kind(steps[one]) for one in steps] if ours else []
        if ours and not kinds[1].cases:
            raise ValueError("items that are no union")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RawDataError(
            f"the schema of the stream cannot be understood ({type(error).__name__}: "
            f"{str(error)[:80]}): it is damaged; send or copy it again"
        ) from error
    if not ours:
        raise RawDataError(
            f"the stream is of the protocol {found} ({', '.join(steps)}), expected {name} (header, "
            "data): it holds no readouts; give the stream of the scanner"
        )
    return kinds[0], kinds[1]
