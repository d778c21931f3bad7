"""What the quality study compares: methods of equal size, and the conditions they are tested in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrirecon.sampling import EquispacedFractionLines, PoissonDisc, RandomLines, SamplingPattern
from mrirecon.simulation.simulated_scan import SimulatedScan, simulated_scans
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol

TRAINED_AT = "R = 4"
KERNEL = 4  # of ESPIRiT, because few lines are in the centre
CONTRASTS = ("t1", "t2", "flair", "pd")
FIRST = {"train": 1000, "val": 100, "test": 500}  # no subject is in two sets
PARAMETERS = 150_000  # of every trained network, within a tenth


@dataclass(frozen=True)
class Scale:
    """How large the study is; two studies of different scale are never mixed.

    Attributes:
        size: Pixels along each side.
        slices: Per patient.
        patients: To train on.
        val: Patients that checkpoints, learning rates and the wavelets' weight are chosen by.
        test: Patients that nothing is chosen by.
        epochs: Passes over the training slices, one slice a step.
        rates: Learning rates to choose from; a single one is taken as it is.
        sweep: Share of the slices in the runs that the learning rate is chosen by.
    """

    size: int = 80
    slices: int = 4
    patients: int = 240
    val: int = 8
    test: int = 10
    epochs: int = 2
    rates: tuple[float, ...] = (1e-3, 4e-3)
    sweep: float = 0.25

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return self.epochs * self.patients * self.slices

    def batches(self, share: float) -> int:
        """Return the updates of an epoch with a share of the slices."""
        return max(1, round(share * self.patients * self.slices))

    @property
    def center(self) -> int:
        """Central lines that are always measured: 8 %, or the 8 that ESPIRiT needs."""
        return max(8, round(0.08 * self.size))

    def protocol(self) -> SimulationProtocol:
        """Return the protocol that the networks are trained with."""
        stack = Prescription(matrix=(self.size, self.size), slices=self.slices)
        return SimulationProtocol(prescription=stack, coils=8, snr=30.0)


@dataclass(frozen=True)
class Method:
    """A network, as overrides of ``mrirecon train``.

    Attributes:
        label: Its name in the tables.
        overrides: What differs from :func:`common`.
        rate_of: The method whose learning rate it takes; None chooses its own.
        maps: Whether it uses coil sensitivities.
        phased: Whether these carry the phase of the object.
    """

    label: str
    overrides: tuple[str, ...]
    rate_of: str | None = None
    maps: bool = True
    phased: bool = True


SHARED_MAPS = "model.sensitivity=${sensitivity}"  # ESPIRiT, so that no budget goes into maps
_VARNET = (
    "model=varnet", SHARED_MAPS, "model.combination=sense", "model.cascades=5", "model.channels=8",
    "model.pools=2",
)  # fmt: skip
_MODL = (
    # untied: one denoiser of this size for all iterations would take five times as long
    "model=modl", "model.iterations=5", "model.tied=false", "model.regularizer.channels=33",
)  # fmt: skip
_ADAPTIVE = ("model=adaptive_cs_net", "model.scales=[3,3,3,3,3]", "model.channels=8")
_NO_STEP = (
    # a weight this large leaves nothing of the data: the layer returns its input
    "model.consistency._target_=mrirecon.reconstructors.ProximalStep",
    "model.consistency.weight=1e6",
)
_UNET = ("model=unet", "model.channels=9", "model.pools=3")
METHODS = (
    Method("U-Net", _UNET, maps=False),
    Method("VarNet", _VARNET),
    Method("MoDL", _MODL),
    Method("Adaptive-CS-Net", _ADAPTIVE),
    Method("Adaptive-CS-Net, no data", (*_ADAPTIVE, "model.priors=[phase,background]")),
    Method("MoDL, no data", (*_MODL, *_NO_STEP)),
    Method("VarNet, SSDU", (*_VARNET, "objective=ssdu"), "VarNet"),
    Method("VarNet, plain maps", _VARNET, "VarNet", phased=False),
    Method(
        "VarNet, mixed R",
        # the fractions are not used, the number of central lines is; but there is one for each
        (*_VARNET, "sampling.acceleration=[2,4,6,8]", "sampling.center_fraction=[0.1,0.1,0.1,0.1]"),
        "VarNet",
    ),
    Method(
        "vSHARP",
        ("model=vsharp", SHARED_MAPS, "model.iterations=4", "model.regularizer.channels=7",
         "model.regularizer.pools=2"),
    ),
    Method(
        "RecurrentVarNet",
        ("model=recurrent_varnet", SHARED_MAPS, "model.combination=sense", "model.iterations=5",
         "model.channels=20", "model.layers=3"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """Something to test under.

    Attributes:
        label: Its name in the tables.
        pattern: Draws one fixed mask per patient.
        protocol: How the patients are scanned.
        contrasts: Which take turns.
    """

    label: str
    pattern: SamplingPattern
    protocol: SimulationProtocol
    contrasts: Sequence[str] = CONTRASTS

    def scans(self, subjects: str, count: int) -> list[SimulatedScan]:
        """Return the scans of a set: always the same people, whatever the condition."""
        return simulated_scans(FIRST[subjects], count, self.protocol, self.contrasts)


def conditions(scale: Scale) -> list[Condition]:
    """Return what the networks were trained for, other accelerations, and other data."""
    usual = scale.protocol()
    lines = {R: EquispacedFractionLines(R, acs=scale.center) for R in (2, 4, 6, 8)}
    disc = PoissonDisc(4.0, (scale.center, scale.center))
    sagittal = replace(usual.prescription, orientation="sagittal", center=(25.0, 0.0, 14.0))
    return [
        *(Condition(f"R = {R}", pattern, usual) for R, pattern in lines.items()),
        Condition("T2* contrast", lines[4], usual, ("gre",)),
        Condition("SNR 10", lines[4], replace(usual, snr=10.0)),
        Condition("4 coils", lines[4], replace(usual, coils=4)),
        Condition("random lines", RandomLines(4, acs=scale.center), usual),
        Condition("Poisson disc", disc, usual),
        Condition("sagittal", lines[4], replace(usual, prescription=sagittal)),
    ]


def sensitivity(folder: Path, phased: bool = True) -> list[str]:
    """Return the overrides of the methods with maps, which are cached in a folder.

    Args:
        folder: Where they lie.
        phased: Whether they carry the phase of the object, so that images are nearly real.
    """
    node = "sensitivity.sensitivity" if phased else "sensitivity"
    choice = ["sensitivity=cached"]
    if phased:
        choice = ["sensitivity=phased", "sensitivity@sensitivity.sensitivity=cached"]
    return [*choice, f"{node}.sensitivity.kernel={KERNEL}", f"{node}.folder='{folder}'"]


def common(scale: Scale, share: float, rate: float, folder: Path) -> list[str]:
    """Return the overrides of ``mrirecon train`` that all methods share.

    Args:
        scale: Of the study.
        share: Of the training slices, drawn anew in every epoch.
        rate: Learning rate; it rises over the first 15 % of the steps.
        folder: Where the simulated scans are stored.

    A training scan has one mask, as it has one in reality: a new mask in every epoch would show
    self-supervision the whole of k-space in the end.
    """
    return [
        "simulation=demo",
        f"simulation.prescription.matrix=[{scale.size},{scale.size}]",
        f"simulation.prescription.slices={scale.slices}",
        f"simulation.coils={scale.protocol().coils}",
        f"simulation.snr={scale.protocol().snr}",
        "sampling=equispaced_fraction",
        "sampling.acceleration=4",
        f"sampling.acs={scale.center}",
        "data=simulated",
        "data/transforms@data.train.transform=evaluate",
        "data.workers=0",
        "data.train.cache=true",
        "data.val.cache=true",
        "data.train.scans._target_=quality_scans.stored_scans",
        "data.val.scans._target_=quality_scans.stored_scans",
        f"+data.train.scans.folder='{folder}'",
        f"+data.val.scans.folder='{folder}'",
        f"data.train.scans.first={FIRST['train']}",
        f"data.train.scans.count={scale.patients}",
        f"data.val.scans.first={FIRST['val']}",
        f"data.val.scans.count={scale.val}",
        "objective=ssim_l1",
        "optimizer=adamw",
        f"optimizer.lr={rate}",
        "scheduler=warmup_cosine",
        f"scheduler.warmup_epochs={0.15 * scale.epochs:g}",
        f"trainer.max_epochs={scale.epochs}",
        f"+trainer.limit_train_batches={scale.batches(share)}",
        "trainer.accelerator=cpu",
        "+trainer.enable_progress_bar=false",
        "callbacks.early_stopping=null",
        "callbacks.pictures=null",
        "logger=none",
    ]
