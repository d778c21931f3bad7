"""Signal equations: from tissue parameters and sequence timing to transverse magnetisation."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mrirecon.scan import SequenceParameters
from mrirecon.simulation.tissues import INDEX, TissueTable, tissue_table

Signal = Float64[np.ndarray, "tissue"]


class Contrast(ABC):
    """A pulse sequence: gives each tissue its signal; negative after an incomplete inversion."""

    label: str

    @property
    def dephasing_time(self) -> float:
        """Time in ms over which off-resonance adds phase; a spin echo refocuses all but a rest."""
        return 2.0

    @abstractmethod
    def signal(self, tissues: TissueTable) -> Signal:
        """Return the steady-state transverse magnetisation of each tissue, relative to water's."""

    @abstractmethod
    def sequence(self, field_strength: float) -> SequenceParameters:
        """Return the timing as a scan header tells it."""


@dataclass(frozen=True)
class SpinEcho(Contrast):
    r"""Spin echo with a 90° excitation.

    :math:`S = \rho\,(1 - 2e^{-(TR - TE/2)/T_1} + e^{-TR/T_1})\,e^{-TE/T_2}`
    (Hendrick et al., Magn Reson Imaging 2:193, 1984).

    Attributes:
        repetition_time: Repetition time in ms.
        echo_time: Echo time in ms.
        label: Short lower-case name used in file names, for instance ``t2``.
    """

    repetition_time: float
    echo_time: float
    label: str = "se"

    def signal(self, tissues: TissueTable) -> Signal:
        """Evaluate the class's equation."""
        recovery = (
            1.0
            - 2.0 * np.exp(-(self.repetition_time - self.echo_time / 2) / tissues.t1)
            + np.exp(-self.repetition_time / tissues.t1)
        )
        return tissues.density * recovery * np.exp(-self.echo_time / tissues.t2)

    def sequence(self, field_strength: float) -> SequenceParameters:
        """Return the timing as a scan header tells it."""
        return SequenceParameters(
            self.repetition_time, self.echo_time, None, 90.0, float(field_strength)
        )


@dataclass(frozen=True)
class InversionRecovery(Contrast):
    r"""Spin echo after a 180° inversion; FLAIR when ``inversion_time`` nulls fluid.

    :math:`S = \rho\,(1 - 2e^{-TI/T_1} + 2e^{-(TR - TE/2)/T_1} - e^{-TR/T_1})\,e^{-TE/T_2}`
    (Hajnal et al., J Comput Assist Tomogr 16:841, 1992, for FLAIR). Signed, as phase-sensitive
    reconstruction would show it.

    Attributes:
        repetition_time: Repetition time in ms.
        echo_time: Echo time in ms.
        inversion_time: Inversion time in ms.
        label: Short lower-case name used in file names.
    """

    repetition_time: float
    echo_time: float
    inversion_time: float
    label: str = "ir"

    @classmethod
    def nulling(
        cls, t1: float, repetition_time: float, echo_time: float, label: str = "ir"
    ) -> "InversionRecovery":
        """Choose the inversion time at which a tissue of ``t1`` (ms) gives no signal."""
        late = 2 * np.exp(-(repetition_time - echo_time / 2) / t1) - np.exp(-repetition_time / t1)
        return cls(repetition_time, echo_time, float(t1 * np.log(2.0 / (1.0 + late))), label)

    def signal(self, tissues: TissueTable) -> Signal:
        """Evaluate the class's equation."""
        recovery = (
            1.0
            - 2.0 * np.exp(-self.inversion_time / tissues.t1)
            + 2.0 * np.exp(-(self.repetition_time - self.echo_time / 2) / tissues.t1)
            - np.exp(-self.repetition_time / tissues.t1)
        )
        return tissues.density * recovery * np.exp(-self.echo_time / tissues.t2)

    def sequence(self, field_strength: float) -> SequenceParameters:
        """Return the timing as a scan header tells it."""
        return SequenceParameters(
            self.repetition_time, self.echo_time, self.inversion_time, 90.0, float(field_strength)
        )


@dataclass(frozen=True)
class GradientEcho(Contrast):
    r"""Spoiled gradient echo.

    :math:`S = \rho\,\sin\alpha\,\frac{1 - E_1}{1 - E_1\cos\alpha}\,e^{-TE/T_2^*}` with
    :math:`E_1 = e^{-TR/T_1}` (Ernst and Anderson, Rev Sci Instrum 37:93, 1966); largest at
    :math:`\cos\alpha = E_1`.

    Attributes:
        repetition_time: Repetition time in ms.
        echo_time: Echo time in ms.
        flip_angle: Flip angle in degrees.
        label: Short lower-case name used in file names.
    """

    repetition_time: float
    echo_time: float
    flip_angle: float
    label: str = "gre"

    @property
    def dephasing_time(self) -> float:
        """The echo time."""
        return self.echo_time

    def signal(self, tissues: TissueTable) -> Signal:
        """Evaluate the class's equation."""
        e1 = np.exp(-self.repetition_time / tissues.t1)
        flip = np.deg2rad(self.flip_angle)
        steady = np.sin(flip) * (1.0 - e1) / (1.0 - e1 * np.cos(flip))
        return tissues.density * steady * np.exp(-self.echo_time / tissues.t2_star)

    def sequence(self, field_strength: float) -> SequenceParameters:
        """Return the timing as a scan header tells it."""
        return SequenceParameters(
            self.repetition_time, self.echo_time, None, self.flip_angle, float(field_strength)
        )


@dataclass(frozen=True)
class BalancedSteadyState(Contrast):
    r"""Balanced steady-state free precession on resonance, whose echo lies midway in TR.

    :math:`S = \rho\,\sin\alpha\,\frac{1 - E_1}{1 - (E_1 - E_2)\cos\alpha - E_1 E_2}\,e^{-TE/T_2}`
    with :math:`E_i = e^{-TR/T_i}` (Scheffler and Lehnhardt, Eur Radiol 13:2409, 2003). Blood is
    bright in it, as cine images of the heart show it.

    Attributes:
        repetition_time: Repetition time in ms.
        flip_angle: Flip angle in degrees.
        label: Short lower-case name used in file names.
    """

    repetition_time: float
    flip_angle: float
    label: str = "bssfp"

    @property
    def echo_time(self) -> float:
        """Half the repetition time."""
        return self.repetition_time / 2

    def signal(self, tissues: TissueTable) -> Signal:
        """Evaluate the class's equation."""
        e1, e2 = (np.exp(-self.repetition_time / t) for t in (tissues.t1, tissues.t2))
        flip = np.deg2rad(self.flip_angle)
        steady = np.sin(flip) * (1.0 - e1) / (1.0 - (e1 - e2) * np.cos(flip) - e1 * e2)
        return tissues.density * steady * np.exp(-self.echo_time / tissues.t2)

    def sequence(self, field_strength: float) -> SequenceParameters:
        """Return the timing as a scan header tells it."""
        return SequenceParameters(
            self.repetition_time, self.echo_time, None, self.flip_angle, float(field_strength)
        )


_FLUID_T1 = float(tissue_table(3.0).t1[INDEX["csf"]])

CONTRASTS: dict[str, Contrast] = {
    contrast.label: contrast
    for contrast in (
        SpinEcho(550.0, 12.0, "t1"),
        SpinEcho(4500.0, 95.0, "t2"),
        SpinEcho(3200.0, 18.0, "pd"),
        InversionRecovery.nulling(_FLUID_T1, 9000.0, 110.0, "flair"),
        GradientEcho(450.0, 20.0, 22.0, "gre"),
        GradientEcho(12.0, 3.0, 18.0, "spgr"),
        BalancedSteadyState(3.2, 50.0),
    )
}
"""Clinical examples by label: ``t1, t2, pd, flair, gre`` (T2*-weighted), ``spgr`` (T1),
``bssfp``."""
