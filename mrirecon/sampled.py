"""How a scan was sampled, in words and numbers that hold for all of its planes."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from mrirecon.sampling import Coverage
from mrirecon.sampling.sampled_plane import CartesianPlane, SampledPlane, Sampling, one_sided

LISTED = 3
"""At most so many different patterns are named."""


@dataclass
class ScanSampling:
    """Collects how the planes of a scan were sampled, one after the other.

    Attributes:
        coverage: How much of k-space.
        kinds: The first plane of each pattern, from 0, and how it was sampled.
    """

    coverage: Coverage = field(default_factory=Coverage)
    kinds: list[tuple[int, Sampling]] = field(default_factory=list)
    _planes: int = 0
    _partial: Bool[np.ndarray, "h w"] | None = None
    _last: SampledPlane | None = None

    def add(self, plane: SampledPlane) -> bool:
        """Look at the next plane; tell whether it holds signal."""
        number = self._planes
        self._planes += 1
        self.coverage.add(plane)
        if not plane.signal:
            return False
        if self._last is None or not plane.alike(self._last):
            found = plane.description()
            if found.one_sided and isinstance(plane, CartesianPlane):
                mask = plane.whole_mask
                self._partial = mask if self._partial is None else self._partial | mask
            if all(found != kind for _, kind in self.kinds):
                self.kinds.append((number, found))
        self._last = plane
        return True

    def sampling(self, plane: SampledPlane) -> Sampling:
        """Return what holds for the scan; ``plane`` stands for one without any signal."""
        kinds = [kind for _, kind in self.kinds] or [plane.description()]
        references = [kind.reference for kind in kinds if kind.reference is not None]
        shares = np.array([kind.partial_fourier for kind in kinds]).min(0)
        return replace(
            kinds[0],
            pattern=self._pattern(kinds),
            acs=min((kind.acs for kind in kinds), key=_rank),
            reference=min(references, key=_rank) if len(references) == len(kinds) else None,
            partial_fourier=(float(shares[0]), float(shares[1])),
            one_sided=self._lacks_a_side(),
            acceleration=self.coverage.acceleration,
            accelerations=self.coverage.range,
            empty=tuple(self.coverage.empty),
            told=self.coverage.text(),
        )

    def _lacks_a_side(self) -> bool:
        """Tell whether partial Fourier left out a side of some planes.

        It leaves out the same one of all; random lines of a frame that happen to reach further on
        one side reach further on the other side in other frames.
        """
        if self._partial is None:
            return False
        return any(one_sided(np.asarray(self._partial.any(axis))) for axis in (0, 1))

    def _pattern(self, kinds: list[Sampling]) -> str:
        first: dict[str, int] = {}
        for number, kind in self.kinds:
            first.setdefault(kind.pattern, number + 1)
        if len(first) < 2:
            return kinds[0].pattern
        named = [f"{pattern} (plane {plane})" for pattern, plane in first.items()]
        return "; ".join([*named[:LISTED], *(["…"] if len(named) > LISTED else [])])


def _rank(block: tuple[int, int]) -> tuple[int, int]:
    return min(block), block[0] * block[1]
