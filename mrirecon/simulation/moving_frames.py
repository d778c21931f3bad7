"""The frames of a moving object: when each is measured, and how the object moves meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrirecon.errors import ConfigError
from mrirecon.scan import Frame
from mrirecon.simulation.motion import Motion

COUNTERS = ("repetition", "phase")


@dataclass(frozen=True)
class MovingFrames:
    """A series of frames, the first of them of the object at rest.

    Attributes:
        motions: Motions, the outermost first: breathing carries a heart that beats.
        count: Number of frames.
        interval: Time from one frame to the next, in ms.
        counter: What counts the frames: ``repetition``, as in real time, or ``phase``, of the heart
            or of breathing.
        states: How often the object moves while a frame is measured. With 1 each frame shows the
            object as it is in the middle of the frame's interval. With more the readouts of a
            frame, in their order, are shared evenly by as many states of the object.
    """

    motions: Sequence[Motion] = ()
    count: int = 16
    interval: float = 50.0
    counter: str = "repetition"
    states: int = 1

    def __post_init__(self) -> None:
        if self.counter not in COUNTERS:
            raise ConfigError(f"counter is {self.counter!r}; expected one of {', '.join(COUNTERS)}")
        if self.count < 1 or self.states < 1:
            raise ConfigError(
                f"count is {self.count}, states is {self.states}; expected at least 1 of each"
            )
        if not self.interval > 0:
            raise ConfigError(f"interval is {self.interval}; expected a time in ms above zero")

    def frames(self) -> tuple[Frame, ...]:
        """Return the counters of each frame."""
        return tuple(Frame(**{self.counter: number}) for number in range(self.count))

    def time(self, frame: int) -> float:
        """Return the middle of the interval of a frame, in ms."""
        return frame * self.interval

    def times(self, frame: int) -> tuple[float, ...]:
        """Return when the object is looked at while a frame is measured, in ms."""
        shares = [(state + 0.5) / self.states - 0.5 for state in range(self.states)]
        return tuple(self.time(frame) + share * self.interval for share in shares)
