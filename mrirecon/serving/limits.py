"""What one client may ask of a server: every announced length is checked before memory is taken."""

from dataclasses import dataclass

from mrirecon.arguments import check_at_least
from mrirecon.raw.header import LARGEST_XML
from mrirecon.raw.messages import MessageId

MB = 2**20
LONGEST_TEXT = MB
"""Bytes of a configuration or of settings; those of scanners have less than a hundredth of it."""
LONGEST_MESSAGE = 64 * MB
"""Bytes of one readout or image; a readout of 4096 samples and 128 channels has 4 MB."""


@dataclass(frozen=True)
class Limits:
    """Bounds on one session.

    Attributes:
        memory: Megabytes (2^20 bytes) of readouts and images that a session may hold.
        idle: Seconds without a message after which a session ends.
        stalled: Seconds after which it ends when the client stops within a message, or does not
            read images although it has sent all.
    """

    memory: float = 4096.0
    idle: float = 600.0
    stalled: float = 30.0

    def __post_init__(self) -> None:
        check_at_least(1, memory=self.memory)
        check_at_least(0.1, idle=self.idle, stalled=self.stalled)

    def longest(self, message: MessageId) -> int:
        """Return the largest number of bytes that the body of a message may have."""
        if message == MessageId.HEADER:
            return LARGEST_XML
        if message in (MessageId.CONFIG_TEXT, MessageId.TEXT):
            return LONGEST_TEXT
        return min(LONGEST_MESSAGE, int(self.memory * MB))
