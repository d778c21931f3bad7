r"""The k-space that a variational network carries from step to step, without holding it.

With :math:`E = FS`, measured data :math:`y`, step lengths :math:`\eta` and corrections :math:`D`,

.. math:: k \leftarrow k - \eta W (k - y) - E D, \qquad k_0 = y \text{ or } E x_0

Only :math:`E^H k` enters the next step, and the coil images :math:`F^H k` the result. A method
begins with :meth:`KspaceState.of_data`, or goes :meth:`~KspaceState.at` an image from there, and
makes steps; how much of the k-space has to be held for them is the matter of this file.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from jaxtyping import Complex64, Float32
from torch import Tensor, nn

from mrirecon.fourier import fft, ifft
from mrirecon.image import squared_magnitude
from mrirecon.operators import SenseNormal, sense_normal
from mrirecon.operators.normal import combine
from mrirecon.reconstructors.parts.data_consistency import LearnedStep
from mrirecon.reconstructors.parts.kspace_consistency import KspaceConsistency
from mrirecon.types import Image, KSpace, Maps, Sample

CoilImages = Complex64[Tensor, "*b coil h w"]
StepLength = Float32[Tensor, "..."]


class KspaceState(ABC):
    """The k-space :math:`k` between two steps."""

    @staticmethod
    def of_data(sample: Sample, maps: Maps, explicit: bool = False) -> "KspaceState":
        """Begin at the measured k-space.

        Args:
            sample: Sample with the measured k-space.
            maps: Coil sensitivities :math:`S` of :math:`E`.
            explicit: Whether a step will need the k-space itself, and not only a length.
        """
        if explicit:
            return Explicit(sample.kspace, sample, maps)
        known = Measured.of(sample.kspace, sense_normal(sample, maps))
        return (Projected if sample.weights is None else Weighted)(known)

    @abstractmethod
    def at(self, x: Image) -> "KspaceState":
        """Return the state whose k-space is that of an image, :math:`E x`."""

    @abstractmethod
    def image(self) -> Image:
        """Return :math:`E^H k`."""

    @abstractmethod
    def coil_images(self) -> CoilImages:
        """Return :math:`F^H k`."""

    @abstractmethod
    def step(self, consistency: StepLength | KspaceConsistency, correction: Image) -> "KspaceState":
        r"""Return :math:`k - \eta W (k - y) - E D`, or :math:`C(k) - E D`.

        Args:
            consistency: The length :math:`\eta`, or :math:`C`, if the state is explicit.
            correction: The correction :math:`D`, an image that is taken away.
        """


@dataclass(frozen=True)
class Measured:
    """What all steps have in common.

    Attributes:
        coil_images: Coil images :math:`F^H y` of the measured k-space.
        image: Coil combination :math:`E^H y` of the measured k-space.
        normal: The normal operator :math:`E^H W E`.
        energy: Energy :math:`S^H S` of the maps at every pixel; one where they are normalized.
    """

    coil_images: CoilImages
    image: Image
    normal: SenseNormal
    energy: Float32[Tensor, "*b h w"]

    @classmethod
    def of(cls, kspace: KSpace, normal: SenseNormal) -> "Measured":
        """Transform the measured k-space."""
        coil_images = ifft(kspace)
        energy = squared_magnitude(normal.maps, (-3,))
        return cls(coil_images, combine(normal.maps, coil_images), normal, energy)


@dataclass(frozen=True)
class Projected(KspaceState):
    r"""State for a mask :math:`W = M`: two images instead of the k-space of all coils.

    As :math:`M^2 = M` and :math:`M y = y`, the steps stay in the form

    .. math:: k = c\,y + E p + M E q, \qquad c \leftarrow c + \eta (1 - c), \qquad
              p \leftarrow p - D, \qquad q \leftarrow (1 - \eta) q - \eta p

    Attributes:
        measured: What was measured; here the steps begin, :math:`c = 1`.
        p: The sum of the corrections, from :math:`x_0` on; None is zero.
        q: What data consistency made of them; None is zero.
        c: How much of the measured data is in it; None is one, and stays so.
    """

    measured: Measured
    p: Image | None = None
    q: Image | None = None
    c: Float32[Tensor, "..."] | None = None

    def at(self, x: Image) -> "Projected":
        return Projected(self.measured, p=x, c=self.measured.energy.new_zeros(()))

    def image(self) -> Image:
        image = self.measured.image if self.c is None else self.c * self.measured.image
        if self.p is not None:
            image = image + self.measured.energy * self.p
        return image if self.q is None else image + self.measured.normal(self.q)

    def step(self, length: StepLength, correction: Image) -> "Projected":  # type: ignore[override]
        if self.p is None:  # the first length cannot matter, but its gradient has to be there
            return replace(self, p=0 * length - correction)
        q = -length * self.p
        return replace(
            self,
            p=self.p - correction,
            q=q if self.q is None else (1 - length) * self.q + q,
            c=None if self.c is None else self.c + length * (1 - self.c),
        )

    def coil_images(self) -> CoilImages:
        maps, images = self.measured.normal.maps, self.measured.coil_images
        if self.c is not None:
            images = self.c * images
        if self.p is not None:
            images = images + maps * self.p.unsqueeze(-3)
        if self.q is not None:
            images = images + self.measured.normal.filter(maps * self.q.unsqueeze(-3))
        return images


@dataclass(frozen=True)
class Weighted(KspaceState):
    """State for any weights: the coil images of what the steps have added.

    Attributes:
        measured: The measured data, where the steps begin.
        added: Coil images :math:`F^H (k - y)` of what was added; None is zero.
    """

    measured: Measured
    added: CoilImages | None = None

    def at(self, x: Image) -> "Weighted":
        known = self.measured
        return Weighted(known, known.normal.maps * x.unsqueeze(-3) - known.coil_images)

    def image(self) -> Image:
        if self.added is None:
            return self.measured.image
        return self.measured.image + combine(self.measured.normal.maps, self.added)

    def step(self, length: StepLength, correction: Image) -> "Weighted":  # type: ignore[override]
        maps, consistent = self.measured.normal.maps, 0 * length
        if self.added is not None:
            consistent = self.added - length * self.measured.normal.filter(self.added)
        return replace(self, added=consistent - maps * correction.unsqueeze(-3))

    def coil_images(self) -> CoilImages:
        images = self.measured.coil_images
        return images if self.added is None else images + self.added


@dataclass(frozen=True)
class Explicit(KspaceState):
    r"""The k-space itself, for any step towards the data, :math:`k \leftarrow C(k) - E D`.

    Attributes:
        kspace: The k-space :math:`k` itself.
        sample: Sample with the measured k-space.
        maps: Coil sensitivities :math:`S` of :math:`E`.
    """

    kspace: KSpace
    sample: Sample
    maps: Maps

    def at(self, x: Image) -> "Explicit":
        return replace(self, kspace=fft(self.maps * x.unsqueeze(-3)))

    def image(self) -> Image:
        return combine(self.maps, self.coil_images())

    def step(self, consistency: KspaceConsistency, correction: Image) -> "Explicit":  # type: ignore[override]
        kspace = consistency(self.kspace, self.sample)
        return replace(self, kspace=kspace - fft(self.maps * correction.unsqueeze(-3)))

    def coil_images(self) -> CoilImages:
        return ifft(self.kspace)


class StateStep(LearnedStep):
    r"""One step with a learned length :math:`\eta`.

    Args:
        step: Step length :math:`\eta` before training.
    """

    def forward(self, state: KspaceState, correction: Image) -> KspaceState:
        """Return the state after the step."""
        return state.step(self.step, correction)


class ExplicitStep(nn.Module):
    """One step with a data consistency of choice.

    Args:
        consistency: Maps a k-space and the Sample to the next k-space.
    """

    def __init__(self, consistency: KspaceConsistency) -> None:
        super().__init__()
        self.consistency = consistency

    def forward(self, state: KspaceState, correction: Image) -> KspaceState:
        """Return the state after the step."""
        return state.step(self.consistency, correction)
