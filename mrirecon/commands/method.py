"""Builds what turns every file into a volume, from the configuration and the checkpoint."""

from dataclasses import asdict, dataclass

import torch
from omegaconf import DictConfig, OmegaConf

from mrirecon.adaptation import Adaptation, check_adaptable
from mrirecon.commands.base import overrides, refuse_idle
from mrirecon.config import build, build_function, check_targets
from mrirecon.data.transforms import Compose, Undersample
from mrirecon.errors import ConfigError
from mrirecon.reading import Reading
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.partial_fourier import PartialFourier
from mrirecon.reconstructors.weights import strip_prefixes
from mrirecon.sampling import SamplingPattern
from mrirecon.training.checkpoint import Checkpoint, read_checkpoint
from mrirecon.types import Transform

CHOICES = ("model", "preprocessing", "sensitivity")
"""Groups that a checkpoint of ours decides."""
GROUPS = (*CHOICES, "sampling", "partial_fourier", "reading", "adaptation")


@dataclass(frozen=True)
class Method:
    """What turns every file into a volume, and how it was made.

    Attributes:
        reconstructor: On ``device``.
        transform: Undersampling, if asked for, and preprocessing.
        config: The configuration that both were built from, as YAML.
        device: Where to compute.
        undersamples: Whether the transform takes measured samples away.
        reading: What to override of what the files say.
        checkpoint: Path of the weights; empty for a classical method, and for one that starts from
            random ones.
        adaptation: Fits the reconstructor to each scan, or None.
    """

    reconstructor: Reconstructor
    transform: Transform
    config: str
    device: torch.device
    undersamples: bool
    reading: Reading
    checkpoint: str = ""
    adaptation: Adaptation | None = None

    @property
    def name(self) -> str:
        """Class of the reconstructor, and whether it is fitted to each scan."""
        name = type(self.reconstructor).__name__
        return f"{name} fitted to the scan" if self.adaptation else name


def build_method(config: DictConfig, checkpoint_path: str | None, device: torch.device) -> Method:
    """Build the reconstructor and the preprocessing that its input expects.

    Raises:
        ConfigError: When the configuration or the checkpoint does not fit.
    """
    config = config.copy()
    checkpoint = read_checkpoint(checkpoint_path) if checkpoint_path else None
    if checkpoint and checkpoint.recipe:
        _refuse_other_choices(str(checkpoint_path))
        for key, node in asdict(checkpoint.recipe).items():
            check_targets(node, f"{checkpoint_path}: {key}")
            config[key] = node
    else:
        refuse_idle(config, "sensitivity", "model")
    adaptation = None
    if config.adaptation is not None:
        adaptation = build(config.adaptation, Adaptation, "adaptation")
        torch.manual_seed(adaptation.seed)  # weights that it may start from
    reconstructor = build(config.model, Reconstructor, "model")
    if adaptation:
        check_adaptable(reconstructor)
    if checkpoint:
        _load_weights(reconstructor, checkpoint, str(checkpoint_path))
    elif reconstructor.trainable and not adaptation:
        raise ConfigError(
            f"{type(reconstructor).__name__} is a learned method and needs checkpoint=FILE; "
            "train one with `mrirecon train`, fit it to each scan with adaptation=zs_ssl, or "
            "choose model=cg_sense"
        )
    if config.partial_fourier is not None:
        reconstructor = _with_partial_fourier(config, reconstructor)
    transform = build_function(config.preprocessing, "preprocessing")
    if config.sampling is not None:
        pattern = build(config.sampling, SamplingPattern, "sampling")
        transform = Compose([Undersample(pattern), transform])
    return Method(
        reconstructor.to(device),
        transform,
        OmegaConf.to_yaml(config, resolve=True),
        device,
        config.sampling is not None,
        build(config.reading, Reading, "reading"),
        checkpoint_path or "",
        adaptation,
    )


def find_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is the GPU if there is one.

    Raises:
        ConfigError: When there is no such device.
    """
    if name.partition(":")[0] == "mps":
        raise ConfigError(
            "device: mps (Apple's GPU) lacks complex and double-precision numbers, which k-space "
            "and its solvers need; use device=cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device: {name!r} cannot be used ({str(error).splitlines()[0]}); use auto, cpu or cuda"
        ) from error


def _with_partial_fourier(config: DictConfig, reconstructor: Reconstructor) -> Reconstructor:
    if reconstructor.trainable:
        raise ConfigError(
            f"partial_fourier: {type(reconstructor).__name__} is told what was not measured "
            "and fills it in itself; use partial_fourier with classical methods"
        )
    return build(
        config.partial_fourier, PartialFourier, "partial_fourier", reconstructor=reconstructor
    )


def _refuse_other_choices(checkpoint: str) -> None:
    """A checkpoint of ours brings its model and preprocessing; nothing else may be asked for."""
    chosen = [
        override
        for override in overrides()
        # a group of networks is put into the model: regularizer@model.regularizer=...
        if any(
            place.split(".")[0] in CHOICES
            for place in override.lstrip("+~").partition("=")[0].split("@")
        )
    ]
    if chosen:
        raise ConfigError(
            f"{checkpoint} brings its own model and preprocessing; "
            f"leave out {' '.join(override.lstrip('+') for override in chosen)}"
        )


def _load_weights(reconstructor: Reconstructor, checkpoint: Checkpoint, path: str) -> None:
    try:
        named = checkpoint.weights if checkpoint.recipe else strip_prefixes(checkpoint.weights)
        reconstructor.load_state_dict(named)
    except (RuntimeError, ConfigError) as error:
        lines = "\n".join(str(error).splitlines()[:6])
        raise ConfigError(
            f"checkpoint: {path} does not fit {type(reconstructor).__name__}; "
            f"weights without a recipe need the model= they were trained with.\n{lines}"
        ) from error
