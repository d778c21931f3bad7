"""Sessions that go wrong in every way: ``python -m tests.serving.fuzz 2000`` runs so many.

After each of them an honest client must get its images; nothing may hang, and memory must not grow.
"""

import logging
import os
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.messages import MessageId
from mrirecon.serving.limits import Limits
from tests.serving.scanner import messages_of, served, session
from tests.serving.test_equal_images import echoes, repetitions, separate_reference, slices, volume

LONGEST = 20.0
"""Seconds that a session may take; the bounds of the server are far below."""
FILES = [
    slices((0,)),
    slices(flags=False),
    echoes((0, 1)),
    repetitions(),
    volume(),
    separate_reference(),
]
HONEST = list(messages_of(slices((0,))))


def probe(_rng):
    return b""


def early(rng):
    """Everything up to some byte."""
    stream = whole(rng)
    return stream[: rng.integers(len(stream))]


def whole(rng):
    file = FILES[rng.integers(len(FILES))]
    settings = ["", '{"parameters": {"config": "x"}}', "{", "[" * 5000][rng.integers(4)]
    return joined(messages_of(file, ["default", "x" * 2000, ""][rng.integers(3)], settings))


def joined(messages):
    return b"".join(struct.pack("<H", number) + body for number, body in messages)


def flipped(rng):
    """Some bits, anywhere."""
    stream = np.frombuffer(whole(rng), np.uint8).copy()
    places = rng.integers(len(stream), size=rng.integers(1, 20))
    stream[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    return stream.tobytes()


def flipped_heads(rng):
    """Some bits in the first bytes of messages of every kind."""
    messages = list(messages_of(FILES[rng.integers(len(FILES))], "default", "{}"))
    for _ in range(rng.integers(1, 6)):
        one = rng.integers(len(messages))
        number, body = messages[one]
        changed = bytearray(body)
        if changed:
            place = rng.integers(min(len(changed), 400))
            changed[place] ^= 1 << rng.integers(8)
        messages[one] = (number, bytes(changed))
    return joined(messages)


def lying(rng):
    """A length that is not true."""
    messages = list(messages_of(FILES[rng.integers(len(FILES))]))
    kind = rng.integers(4)
    if kind == 0:
        text = [MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.TEXT][rng.integers(3)]
        bad = (text, struct.pack("<I", rng.integers(2**32)) + b"<x>")
    elif kind == 1:
        head = messages[5][1][:340]
        changed = bytearray(head)
        changed[34:36] = struct.pack("<H", rng.integers(2**16))  # number of samples
        changed[38:40] = struct.pack("<H", rng.integers(2**16))  # channels
        bad = (MessageId.ACQUISITION, bytes(changed) + b"\1" * rng.integers(5000))
    elif kind == 2:
        bad = (MessageId.IMAGE, rng.bytes(198 + 8))
    else:
        bad = (MessageId.WAVEFORM, rng.bytes(40))
    messages.insert(rng.integers(len(messages)), bad)
    return joined(messages)


def unknown(rng):
    messages = list(messages_of(FILES[rng.integers(len(FILES))]))
    stream = joined(messages[: rng.integers(len(messages))])
    return stream + struct.pack("<H", rng.integers(2**16)) + rng.bytes(rng.integers(300))


def shuffled(rng):
    """Messages in another order, some twice, some not at all."""
    messages = list(messages_of(FILES[rng.integers(len(FILES))], "default", "{}"))
    picked = rng.integers(len(messages), size=len(messages))
    return joined(messages[one] for one in picked)


def counters(rng):
    """Readouts whose headers hold anything."""
    messages = list(messages_of(FILES[rng.integers(len(FILES))]))
    for one, (number, body) in enumerate(messages):
        if number == MessageId.ACQUISITION and rng.random() < 0.3:
            changed = bytearray(body)
            place = (2, 168, 182, 242, 250)[rng.integers(5)] + int(rng.integers(30))
            changed[place : place + 2] = rng.bytes(2)
            changed[34:40] = body[34:40]  # the lengths stay true
            changed[176:178] = body[176:178]
            messages[one] = (number, bytes(changed[: len(body)]))
    return joined(messages)


def noise(rng):
    return rng.bytes(rng.integers(1, 5000))


KINDS = (probe, early, whole, flipped, flipped_heads, lying, unknown, shuffled, counters, noise)


def misbehave(server, kind, rng):
    """Send something bad, perhaps without reading, and leave in one of several ways."""
    manner = rng.integers(4)
    client = socket.create_connection(server.address)
    client.settimeout(LONGEST)
    reader = None
    if manner < 2:  # reads meanwhile
        reader = threading.Thread(target=drain, args=(client,))
        reader.start()
    with suppress(OSError):  # the server may have let it go
        client.sendall(kind(rng))
        if manner == 1:
            client.shutdown(socket.SHUT_WR)
    if manner == 3:  # leaves without a farewell
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if reader and manner == 0:
        with suppress(OSError):  # a socket that is read from must not be closed yet
            client.shutdown(socket.SHUT_RDWR)
    if reader:
        reader.join()
    client.close()


def drain(client):
    with suppress(OSError):
        while client.recv(2**16):
            pass


def memory():
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def fuzz(count, seed=0):
    """Run so many sessions; returns the longest time, and memory after a tenth and at the end."""
    rng, slowest, early_memory = np.random.default_rng(seed), 0.0, 0.0
    logging.getLogger("mrirecon.serving").setLevel(logging.CRITICAL)
    with served(limits=Limits(memory=64, idle=1, stalled=0.5), sessions=64) as server:
        for number in range(count):
            kind, state = KINDS[number % len(KINDS)], rng.bit_generator.state
            started = time.monotonic()
            try:
                misbehave(server, kind, rng)
                answer = session(server, HONEST)
            except (OSError, RawDataError) as error:
                raise AssertionError(f"{kind.__name__}, {state}: {error}") from error
            slowest = max(slowest, time.monotonic() - started)
            told = f"{kind.__name__} of session {number}, {state}: {answer.texts}"
            assert answer.closed and len(answer.images) == 1, told
            assert slowest < LONGEST, told
            if number == count // 10:
                early_memory = memory()
    return slowest, early_memory, memory()


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    begun = time.monotonic()
    longest, before, after = fuzz(wanted)
    print(
        f"{wanted} sessions in {time.monotonic() - begun:.0f} s, the longest {longest:.1f} s; "
        f"memory {before:.0f} MB after a tenth, {after:.0f} MB at the end; "
        f"{threading.active_count()} threads"
    )
