"""What DIRECT's configuration tells of a network beside its weights."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mrirecon.errors import ConfigError
from mrirecon.plain_yaml import plain_yaml

LARGEST, MOST = 2**20, 50  # bytes of a configuration; files of a folder that are looked at
TRANSFORMS = ("normalization", "sensitivity_map_estimation")
NUMBERS = (
    "num_steps",
    "num_steps_dc_gd",
    "image_unet_num_filters",
    "image_unet_num_pool_layers",
    "unet_num_filters",
    "unet_num_pool_layers",
    "recurrent_hidden_channels",
    "recurrent_num_layers",
    "initializer_multiscale",
)
"""Sizes that the weights tell, too, so that both must agree; ``num_steps`` of shared weights only
the configuration tells."""


@dataclass(frozen=True)
class Settings:
    """Settings that no tensor tells; None where the configuration does not tell them either.

    Attributes:
        image_init: How the first image of vSHARP is combined, ``SENSE`` or ``ZERO_FILLED``.
        initializer_initialization: How that of the recurrent network is combined, ``sense`` or
            ``zero_filled``.
        initializer_dilations: Dilations of the first convolutions.
        initializer_activation: What ends the first network: ``PRELU``, ``RELU``, ``LEAKY_RELU``.
        fc_activation: What bounds modulated filters, ``SOFTPLUS`` or ``SIGMOID``.
        log_aux: Whether their logarithms tell acceleration and central part.
        scale_percentile: Share of the magnitudes of k-space to divide by; 0 for no division.
        sensitivity_maps_gaussian: Width of the window of the first maps; 0 for none.
        padding_eps: Part of the mean below which samples count as zero.
        centered: Whether the Fourier transform is centred.
        refined: Whether a network refines the maps.
        sizes: Sizes that weights tell, too.
        source: Name of the file that told all this; empty for none.
    """

    image_init: str | None = None
    initializer_initialization: str | None = None
    initializer_dilations: tuple[int, ...] | None = None
    initializer_activation: str | None = None
    fc_activation: str | None = None
    log_aux: bool | None = None
    scale_percentile: float | None = None
    sensitivity_maps_gaussian: float | None = None
    padding_eps: float | None = None
    centered: bool | None = None
    refined: bool | None = None
    sizes: tuple[tuple[str, int], ...] = ()
    source: str = ""

    def size(self, name: str) -> int | None:
        """Return a size, None when the configuration does not tell it."""
        return dict(self.sizes).get(name)

    def same(self, other: "Settings") -> bool:
        """Tell whether two configurations say the same, whatever they are called."""
        names = [field.name for field in fields(self) if field.name != "source"]
        return all(getattr(self, name) == getattr(other, name) for name in names)


def settings_beside(path: Path, network: str) -> Settings:
    """Read the configuration beside a file of weights, as plain data; nothing in it is run.

    That is the one of the same name (``NAME.yaml`` or ``NAME.yml``), else what all configurations
    in the folder agree on that are of this network.

    Args:
        path: The file of weights.
        network: Last part of the network's name, such as ``VSharpNet``.

    Raises:
        ConfigError: When the one of the same name cannot be used, or several others differ.
    """
    for name in (path.with_suffix(".yaml"), path.with_suffix(".yml")):
        if name.is_file():
            found = _read(name, network)
            if found is None:
                raise ConfigError(
                    f"{name}: expected DIRECT's configuration of a {network} (model: model_name: "
                    f"…{network}), as it lies beside {path.name}; correct it, or move it elsewhere"
                )
            return found
    files = sorted(one for one in path.parent.glob("*.y*ml") if one.suffix in (".yaml", ".yml"))
    others = [found for one in files[:MOST] if (found := _read(one, network)) is not None]
    if not others:
        return Settings()
    different = [one.source for one in others if not one.same(others[0])]
    if different:
        raise ConfigError(
            f"{path.parent}: {others[0].source} and {', '.join(different)} differ in what they "
            f"tell of a {network}; copy the one of {path.name} to {path.stem}.yaml"
        )
    return others[0]


def _read(path: Path, network: str) -> Settings | None:
    """Return the settings in a file, None when it is no configuration of this network."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        tree = plain_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
        return None
    name = str(_dict(tree, "model").get("model_name", ""))
    return settings_of(tree, path) if name.rpartition(".")[2] == network else None


def settings_of(tree: Any, path: Path) -> Settings:
    """Return the settings in a configuration.

    Args:
        tree: Plain containers, as the file holds them.
        path: Path of the file, for messages.

    Raises:
        ConfigError: When a setting is of another kind than it should be.
    """
    model = _dict(tree, "model")
    told = _transforms(tree)
    word, number = _reader(path, str), _reader(path, float)
    dilations = model.get("initializer_dilations")
    if dilations is not None and not (
        isinstance(dilations, list) and all(type(one) is int for one in dilations)
    ):
        raise ConfigError(f"{path}: initializer_dilations: expected whole numbers, got {dilations}")
    sizes = tuple((n, model[n]) for n in NUMBERS if type(model.get(n)) is int)
    operator = _dict(tree, "physics").get("forward_operator")
    return Settings(
        image_init=word(model, "image_init"),
        initializer_initialization=word(model, "initializer_initialization"),
        initializer_dilations=None if dilations is None else tuple(dilations),
        initializer_activation=word(model, "initializer_activation"),
        fc_activation=word(model, "fc_activation"),
        log_aux=_reader(path, bool)(model, "log_aux"),
        scale_percentile=number(told, "scale_percentile"),
        sensitivity_maps_gaussian=number(told, "sensitivity_maps_gaussian"),
        padding_eps=number(told, "padding_eps"),
        centered=None if operator is None else "centered=False" not in str(operator),
        refined="sensitivity_model" in _dict(tree, "additional_models"),
        sizes=sizes,
        source=path.name,
    )


def _reader(path: Path, kind: type) -> Any:
    """Return what reads a value of a kind; null is zero where a number is wanted."""

    def read(node: dict[str, Any], name: str) -> Any:
        if name not in node:
            return None
        value = node[name]
        if value is None:
            return 0.0 if kind is float else None
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(f"{path}: {name}: expected a {kind.__name__}, got {str(value)[:100]}")
        return value

    return read


def _transforms(tree: Any) -> dict[str, Any]:
    """Return the settings of inference, else of training, whether they are grouped or not."""
    for stage in ("inference", "training"):
        dataset = _dict(tree, stage).get("dataset")
        datasets = _dict(tree, stage).get("datasets")
        if dataset is None and isinstance(datasets, list) and datasets:
            dataset = datasets[0]
        transforms = _dict(dataset, "transforms")
        if transforms:
            groups = [_dict(transforms, name) for name in TRANSFORMS]
            return {k: v for group in (transforms, *groups) for k, v in group.items()}
    return {}


def _dict(tree: Any, key: str) -> dict[str, Any]:
    node = tree.get(key) if isinstance(tree, dict) else None
    return node if isinstance(node, dict) else {}
