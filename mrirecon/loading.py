"""From a checkpoint to the method that it holds, without a trainer and without a configuration."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from mrirecon.building import build_callable, build_node
from mrirecon.errors import ConfigError
from mrirecon.recipes import check_targets
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.toolkits.fastmri import PREPROCESSING
from mrirecon.training.checkpoint import Checkpoint, Recipe, read_checkpoint
from mrirecon.types import Transform
from mrirecon.weights import weights_file
from mrirecon.weights.safetensors_file import packaged_file

NESTING = 25  # a parameter counts once for each module around it; real networks nest ten deep
LARGEST = 10**6  # no network has as many features, layers or steps
SPARE = 2**22  # numbers that a network may hold beside its weights, such as windows and grids


def load_reconstructor(
    path: str | Path, trust: Collection[str] = ()
) -> tuple[Reconstructor, Transform]:
    """Load a checkpoint of ``mrirecon train``, or public weights.

    These are those of fastMRI's VarNet or U-Net, DIRECT's vSHARP or recurrent variational network,
    PromptMR and SDUM.

    Args:
        path: The file, or ``zoo:`` and the name of weights that ``mrirecon models`` lists and that
            are there already. Loading it runs nothing but constructors of this package's methods.
        trust: Names of packages whose classes the checkpoint may name, too, because you know what
            they do: those that hold your own model, for instance.

    Returns:
        The method in evaluation mode on the CPU, and the preprocessing that its input goes through
        after undersampling: what :func:`mrirecon.inference.reconstruct_scan` wants.

    Raises:
        ConfigError: When the file is missing or damaged, names what is not trusted, or holds
            weights that do not fit the model.

    Example::

        reconstructor, transform = load_reconstructor("run/checkpoints/best.ckpt")
        volume = reconstruct_scan(open_scan("scan.h5"), reconstructor, transform)
    """
    return load_with_domain(path, trust)[:2]


def load_with_domain(
    path: str | Path, trust: Collection[str] = ()
) -> tuple[Reconstructor, Transform, Any]:
    """Like :func:`load_reconstructor`, with the ``domain`` of the checkpoint.

    Raises:
        ConfigError: As there.
    """
    path = weights_file(path)
    checkpoint = read_checkpoint(path)
    recipe = checkpoint.recipe or public_recipe(checkpoint)
    check_recipe(recipe, str(path), trust)
    check_size(recipe.model, checkpoint, str(path))
    try:
        reconstructor = build_node(recipe.model, Reconstructor, "model")
        transform = build_callable(recipe.preprocessing, "preprocessing")
    except ConfigError as error:
        raise ConfigError(f"checkpoint: {path}: {error}") from error
    load_weights(reconstructor, checkpoint, str(path))
    return reconstructor.eval(), transform, checkpoint.domain


def packaged_weights(reconstructor: Reconstructor) -> tuple[str, Any]:
    """Return the file of the package that a method began with, and its ``domain``.

    Args:
        reconstructor: Reconstructor; its ``weights`` name the file.

    Returns:
        Path and plain data; an empty path and None where it began with nothing of the package.
    """
    if not reconstructor.weights:
        return "", None
    path = str(packaged_file(reconstructor.weights))
    return path, read_checkpoint(path).domain


def public_recipe(checkpoint: Checkpoint) -> Recipe:
    """Return the model of public weights and its preprocessing.

    Raises:
        ConfigError: When the weights are not of a toolkit that is known, or of half a network.
    """
    found = checkpoint.adapted
    return Recipe(checkpoint.public_model(), found.preprocessing if found else PREPROCESSING)


def check_recipe(
    recipe: Recipe, path: str, trust: Collection[str], named: Collection[str] = ()
) -> None:
    """Refuse a recipe that names what is not trusted; see :func:`mrirecon.recipes.check_targets`.

    Raises:
        ConfigError: Naming the target; or when the preprocessing is a network, for which a
            checkpoint holds no weights and which could take any memory.
    """
    check_targets(recipe.model, f"{path}: model", trust, named)
    check_targets(recipe.preprocessing, f"{path}: preprocessing", trust, named)
    _check_preprocessing(recipe.preprocessing, path)


def load_weights(reconstructor: Reconstructor, checkpoint: Checkpoint, path: str) -> None:
    """Put the weights of a checkpoint into the model that they belong to.

    Raises:
        ConfigError: When they do not fit, with the names of those that are missing or unexpected.
    """
    try:
        reconstructor.load_state_dict(checkpoint.named())
    except (RuntimeError, ConfigError) as error:
        lines = "\n".join(line[:2000] for line in str(error).splitlines()[:6])
        raise ConfigError(
            f"checkpoint: {path} does not fit {type(reconstructor).__name__}; "
            f"weights without a recipe need the model= they were trained with.\n{lines}"
        ) from error
    reconstructor.patients = checkpoint.patients
    reconstructor.training_told = checkpoint.training


def check_size(node: dict[str, Any], checkpoint: Checkpoint, path: str) -> None:
    """Refuse a model that is larger than the weights that came with it, before it takes memory.

    It is built without memory for its parameters (on torch's ``meta`` device), which other
    packages' classes need not support: those are as large as their authors want.

    Args:
        node: Node of the Reconstructor, checked.
        checkpoint: Checkpoint that it came with.
        path: Path of the file, for the message.

    Raises:
        ConfigError: When it is too large, or cannot be built.
    """
    try:
        check_targets(node, "model")
    except ConfigError:
        return
    if (largest := _largest(node)) > LARGEST:
        raise ConfigError(f"checkpoint: {path}: its model cannot have {largest} of anything")
    stored = sum(map(_stored, checkpoint.weights.values()))
    try:
        with torch.device("meta"), _at_most(len(checkpoint.weights)):
            model = build_node(node, Reconstructor, "model")
    except Exception as error:  # the arguments may be anything
        raise ConfigError(
            f"checkpoint: {path}: its model cannot be built: {str(error)[:2000]}"
        ) from error
    needed = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    if needed > 2 * stored + SPARE:
        raise ConfigError(
            f"checkpoint: {path}: its model has {needed:,} parameters, the file only {stored:,}; "
            "it was not made for these weights"
        )


def _check_preprocessing(node: dict[str, Any], path: str) -> None:
    try:
        check_targets(node, "preprocessing")
    except ConfigError:
        return  # of the user's own, or a trusted package
    if (largest := _largest(node)) > LARGEST:
        raise ConfigError(f"checkpoint: {path}: preprocessing cannot have {largest} of anything")
    try:
        with torch.device("meta"), _at_most(0):
            build_callable(node, "preprocessing")
    except Exception as error:  # the arguments may be anything
        raise ConfigError(
            f"checkpoint: {path}: its preprocessing cannot be built: {str(error)[:2000]}"
        ) from error


def _largest(node: Any) -> int:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return max(map(_largest, children), default=0) if not isinstance(node, int) else abs(node)


def _stored(tensor: Tensor) -> int:
    """Count the numbers that a tensor has in its file, which may be fewer than its elements."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Stop building a network once it has far more parts than there are weights."""
    left = NESTING * parameters + 1000

    def count(_module: nn.Module, _name: str, part: nn.Module | nn.Parameter | None) -> None:
        nonlocal left
        if parameters == 0 and isinstance(part, nn.Parameter):
            raise ConfigError("it has weights, and the file holds none for it")
        left -= 1 + (sum(1 for _ in part.parameters()) if isinstance(part, nn.Module) else 0)
        if left < 0:
            raise ConfigError(f"it has many more parts than the {parameters} weights of the file")

    registered = (
        hooks.register_module_module_registration_hook(count),
        hooks.register_module_parameter_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in registered:
            hook.remove()
