"""Builds what turns every file into a volume, from the configuration and the checkpoint."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import torch
import yaml
from omegaconf import DictConfig

from mrirecon.adaptation import Adaptation, check_adaptable
from mrirecon.building import build_callable, build_node
from mrirecon.commands.adoption import CHOICES, adopted, sized
from mrirecon.commands.base import overrides, refuse_idle
from mrirecon.config import plain
from mrirecon.errors import ConfigError
from mrirecon.loading import check_size, load_weights, packaged_weights, public_recipe
from mrirecon.pipeline import Method, ensemble_of
from mrirecon.privacy import identified
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.partial_fourier import PartialFourier
from mrirecon.reconstructors.learned.guarded import guarded, unguarded
from mrirecon.sampling import SamplingPattern
from mrirecon.training.checkpoint import read_checkpoint

GROUPS = (*CHOICES, "sampling", "partial_fourier", "fallback", "reading", "adaptation")


def build_method(
    config: DictConfig,
    checkpoint_path: str | None,
    device: torch.device,
    trust: Collection[str] = (),
    learned: bool = True,
) -> Method:
    """Build the reconstructor and the preprocessing that its input expects.

    Args:
        config: The composed configuration.
        checkpoint_path: Path of the weights, which may bring the model along; None for none.
        device: Torch device that computes.
        trust: Packages whose classes the checkpoint may name.
        learned: Whether a network has to have learned something, to be of use.

    Raises:
        ConfigError: When the configuration or the checkpoint does not fit.
    """
    tree = {str(key): plain(config[key], str(key)) for key in config}
    checkpoint = read_checkpoint(checkpoint_path) if checkpoint_path else None
    domain = checkpoint.domain if checkpoint else None
    if checkpoint and checkpoint.recipe:
        # never a part of the configuration, where its words could mean something
        tree |= adopted(checkpoint.recipe, str(checkpoint_path), tree, trust)
        check_size(tree["model"], checkpoint, str(checkpoint_path))
    else:
        refuse_idle(config, "sensitivity", "model")
    if checkpoint and not checkpoint.recipe:
        tree["model"] = sized(tree["model"], checkpoint, str(checkpoint_path))
        if checkpoint.adapted and not any(re.match(r"\+*preprocessing\b", o) for o in overrides()):
            tree["preprocessing"] = public_recipe(checkpoint).preprocessing
        if checkpoint.note:
            print(f"note: {checkpoint.note}")
    adaptation = None
    if tree.get("adaptation") is not None:
        adaptation = build_node(tree["adaptation"], Adaptation, "adaptation")
        torch.manual_seed(adaptation.seed)  # weights that it may start from
    reconstructor = build_node(tree["model"], Reconstructor, "model")
    if adaptation:
        check_adaptable(reconstructor)
    if checkpoint:
        load_weights(reconstructor, checkpoint, str(checkpoint_path))
    elif reconstructor.weights:
        checkpoint_path, domain = packaged_weights(reconstructor)
    elif learned and reconstructor.trainable and not adaptation:
        raise ConfigError(
            f"{type(reconstructor).__name__} is a learned method and needs checkpoint=FILE; "
            "train one with `mrirecon train`, fit it to each scan with adaptation=zs_ssl, or "
            "choose model=cg_sense"
        )
    fallback = None
    if tree["fallback"] is not None:
        fallback = build_node(tree["fallback"], Reconstructor, "fallback")
    if adaptation and fallback:
        raise ConfigError(
            "fallback: a network that is fitted to the scan has learned from it and leaves no "
            "range; use either fallback or adaptation"
        )
    if not adaptation:
        reconstructor = guarded(reconstructor, domain, str(checkpoint_path), fallback)
    if tree["partial_fourier"] is not None:
        reconstructor = _with_partial_fourier(tree["partial_fourier"], reconstructor)
    transform = build_callable(tree["preprocessing"], "preprocessing")
    sampling = None
    if tree["sampling"] is not None:
        sampling = build_node(tree["sampling"], SamplingPattern, "sampling")
    return Method(
        reconstructor.to(device),
        transform,
        sampling,
        device,
        yaml.safe_dump(tree, sort_keys=False, allow_unicode=True),
        identified(checkpoint_path) if checkpoint_path else "",
        adaptation,
    )


def build_methods(
    config: DictConfig,
    checkpoints: Sequence[str],
    device: torch.device,
    trust: Collection[str] = (),
) -> Method:
    """Build the method, or an ensemble of one for each checkpoint; see :func:`build_method`.

    Raises:
        ConfigError: When the members of an ensemble cannot work side by side.
    """
    return ensemble_of([build_method(config, one, device, trust) for one in checkpoints or (None,)])


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
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):  # torch knows many more, of which none is tried
        raise ConfigError(f"device: {name!r} cannot be used; use auto, cpu, cuda or cuda:1")
    if name.partition(":")[0] == "cuda" and (reason := no_gpu()):
        raise ConfigError(f"device: {name} cannot be used: {reason}; device=auto or cpu needs none")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device: {name!r} cannot be used ({str(error).splitlines()[0]}); use auto, cpu or cuda"
        ) from error


def no_gpu() -> str:
    """Say why torch has no GPU and what to do; empty when it has one."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"torch {torch.__version__} was installed without support of GPUs; install one with it "
            "(see pytorch.org)"
        )
    return "torch finds no GPU; check that nvidia-smi lists it and CUDA_VISIBLE_DEVICES names it"


def _with_partial_fourier(node: dict[str, Any], reconstructor: Reconstructor) -> Reconstructor:
    if reconstructor.trainable:
        raise ConfigError(
            f"partial_fourier: {type(unguarded(reconstructor)).__name__} is told what was not "
            "measured and fills it in itself; use partial_fourier with classical methods"
        )
    return build_node(node, PartialFourier, "partial_fourier", reconstructor=reconstructor)
