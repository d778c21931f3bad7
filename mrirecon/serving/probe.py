"""Whether a server answers, asked without importing what computes: it is asked every minute."""

import socket
import struct
import time

from mrirecon.errors import MriReconError
from mrirecon.raw.messages import CONFIG_FILE_BYTES, MessageId

CONNECTING = 10.0
"""Seconds to wait for a connection at most."""
ENDED = "end of the session"


def connected(host: str, port: int, timeout: float) -> socket.socket:
    """Return a connection to a server.

    Args:
        host: Name or address of the server.
        port: Port that it listens on.
        timeout: Time to wait, in seconds.

    Raises:
        MriReconError: When there is none.
    """
    try:
        return socket.create_connection((host, port), min(timeout, CONNECTING))
    except (OSError, OverflowError, UnicodeError) as error:
        raise MriReconError(
            f"host={host} port={port}: no server can be reached ({error}); is it running "
            "(mrirecon serve), and listening on this address?"
        ) from error


def probe(host: str, port: int, timeout: float) -> str:
    """Ask a server whether it lives: a configuration and the end of the session, no readouts.

    Args:
        host: Name or address of the server.
        port: Port that it listens on.
        timeout: Time to wait for an answer, in seconds.

    Returns:
        What it answers: the kind of a message, or that it ends the session without one, as some do.

    Raises:
        MriReconError: When it does not answer, or with something else than MRD version 1.
    """
    name = b"default".ljust(CONFIG_FILE_BYTES, b"\0")
    asked = struct.pack("<H", MessageId.CONFIG_FILE) + name + struct.pack("<H", MessageId.CLOSE)
    place, deadline = f"host={host} port={port}", time.monotonic() + timeout
    answer = b""
    with connected(host, port, timeout) as connection:
        try:
            connection.sendall(asked)
            while len(answer) < 2:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                if not (piece := connection.recv(2 - len(answer))):
                    break
                answer += piece
        except OSError as error:
            raise MriReconError(
                f"{place}: the server does not answer within {timeout:g} s ({error})"
            ) from error
    if not answer:
        return ENDED
    number = int.from_bytes(answer, "little")
    if len(answer) < 2 or number not in MessageId._value2member_map_:
        raise MriReconError(
            f"{place}: the server answers with bytes {answer.hex(' ')}, expected a message of MRD "
            "version 1; does another program listen there?"
        )
    return MessageId(number).name
