"""Several images of the same scan, and what makes them differ."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.scan import Scan
from mrirecon.types import Sample
from mrirecon.uncertainty.ensemble import Ensemble
from mrirecon.uncertainty.noisy_scan import NoisyScan, noise_is_known

Source = Literal["ensemble", "replicas", "random"]
SOURCES: tuple[Source, ...] = get_args(Source)
LEAST = 2
SEEDS = 1_000_003
"""Seeds of one run lie this far from those of another."""


@dataclass(frozen=True)
class Spread:
    """Asks for the mean and the standard deviation of several images of the same scan.

    With ``"ensemble"`` each is that of one of several checkpoints: what training leaves open. With
    ``"replicas"`` noise like that of the measurement is added again (Robson et al., Magn Reson Med
    60:895, 2008): what another measurement of the same object would change. The noise itself comes
    on top of what the image has already, so the mean is that of noisier images, and the image
    itself is still the one without additional noise. With ``"random"`` the method makes its random
    choices anew: what these leave open, which is little. None of the three knows of an error that
    all images share, so a standard deviation is no bound of the error; ``mrirecon calibrate`` makes
    one of it.

    Attributes:
        samples: Number of images.
        source: Name of what makes them differ; None takes an ensemble where there is one, else
            replicas.
        seed: Seed of the noise or of the choices.

    Raises:
        ConfigError: When there are fewer than two, or there is no such source.
    """

    samples: int
    source: Source | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < LEAST:
            raise ConfigError(
                f"samples: expected at least {LEAST} images, of which there is a standard "
                f"deviation, got {self.samples}"
            )
        if self.source not in (None, *SOURCES):
            raise ConfigError(f"spread: expected one of {', '.join(SOURCES)}, got {self.source!r}")
        if self.seed < 0:
            raise ConfigError(f"seed: expected 0 or a positive number, got {self.seed}")

    def of(self, reconstructor: Reconstructor) -> "Spread":
        """Return what there will be for a method.

        Raises:
            ConfigError: When this method cannot be varied so, or an ensemble has another size.
        """
        ensemble = isinstance(reconstructor, Ensemble)
        source = self.source or ("ensemble" if ensemble else "replicas")
        if source == "ensemble":
            if not isinstance(reconstructor, Ensemble):
                raise ConfigError(
                    "spread=ensemble needs several checkpoints: checkpoint=[FILE,FILE,...]"
                )
            if self.samples != len(reconstructor.members):
                raise ConfigError(
                    f"samples: the ensemble has {len(reconstructor.members)} checkpoints and makes "
                    f"as many images, not {self.samples}; leave samples out, or add "
                    "spread=replicas"
                )
        if source == "random":
            redrawn(reconstructor, 0)
        return replace(self, source=source)

    def told(self, sample: Sample) -> str:
        """Say what the mean and standard deviation are of.

        Args:
            sample: A plane of the scan.
        """
        if self.source == "ensemble":
            return f"{self.samples} checkpoints, one image each"
        if self.source == "random":
            return (
                f"{self.samples} images with other random choices of the method (seed {self.seed})"
            )
        level = "measured" if noise_is_known(sample) else "estimated from k-space"
        return f"{self.samples} pseudo-replicas of the noise, {level} (seed {self.seed})"

    def drawn(
        self, scan: Scan, reconstructor: Reconstructor
    ) -> Iterator[tuple[Scan, Reconstructor]]:
        """Yield the scan and the method of each image."""
        for number in range(self.samples):
            if isinstance(reconstructor, Ensemble) and self.source == "ensemble":
                yield scan, reconstructor.each[number]
            elif self.source == "random":
                yield scan, redrawn(reconstructor, self.seed * SEEDS + number + 1)
            else:
                yield NoisyScan(scan, self.seed, number), reconstructor


def redrawn(reconstructor: Reconstructor, seed: int) -> Reconstructor:
    """Return a copy of a method that makes other random choices.

    Raises:
        ConfigError: When it makes none.
    """
    found = copy.deepcopy(reconstructor)
    parts = [m for m in found.modules() if isinstance(m, Reconstructor) and m.chooses]
    if not parts:
        name = type(unguarded(reconstructor)).__name__
        raise ConfigError(
            f"spread=random: {name} makes no random choices; take spread=replicas, or one of "
            "model=l1_wavelet, locally_low_rank and pnp"
        )
    for part in parts:
        part.seed = seed
    return found
