"""How the volumes of a method came about, as their files tell; and where two methods differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from mrirecon.plain_yaml import plain_yaml
from mrirecon.readers.base import blaming
from mrirecon.readers.hdf5.opening import open_hdf5

UNKNOWN = "not told"
LONGEST, BEFORE = 60, 16
"""Characters of a fact that are shown, and of what precedes the place where two facts part."""


@dataclass(frozen=True)
class Origin:
    """How one volume was made; empty, zero or None where the file does not tell.

    Attributes:
        method: Name of the reconstruction method.
        combination: Combination of the coils that the method was asked for.
        checkpoint: Weights, with their checksum.
        maps: Estimator of the coil sensitivities, with its settings.
        preprocessing: Names of the steps before the method, the normalization among them.
        mask: Undersampling pattern that the run was asked for; empty for the samples of the scan.
        pattern: Pattern of the samples that were used, in words.
        acceleration: All positions of the k-space grid divided by the used ones.
        acs: Fully sampled centre of the used samples.
        whitened: Whether the noise of the coils was white.
        fingerprint: Fingerprint of the raw data.
        versions: Versions of what computed.
        seconds_per_plane: Time of the reconstruction without reading, in seconds.
        memory: Peak memory in MB.
        patient: Pseudonym of the patient, or what the file calls the patient.
        seen: Whether the weights have learned from this very patient.
        training: Words on how long the weights have learned, and from how many patients.
        contrast: Name of the protocol or contrast.
        vendor: Manufacturer of the scanner.
        field_strength: Field strength in T.
    """

    method: str = ""
    combination: str = ""
    checkpoint: str = ""
    maps: str = ""
    preprocessing: str = ""
    mask: str = ""
    pattern: str = ""
    acceleration: float = 0.0
    acs: tuple[int, int] | None = None
    whitened: bool | None = None
    fingerprint: str = ""
    versions: str = ""
    seconds_per_plane: float = 0.0
    memory: float = 0.0
    patient: str = ""
    seen: bool = False
    training: str = ""
    contrast: str = ""
    vendor: str = ""
    field_strength: float = 0.0


MUST_AGREE = ("fingerprint", "mask", "acceleration", "acs")
"""Facts of a volume without which methods were given different tasks."""
SHOULD_AGREE = ("maps", "preprocessing", "whitened")
"""Facts that methods may differ in, but then the method is not all that differs."""
MAY_VARY = (*MUST_AGREE, *SHOULD_AGREE, "versions")
"""Facts that evaluations keep of every volume, so that they can be compared later."""


def read_origin(path: Path) -> Origin:
    """Read how a volume was made; what other programs wrote tells little or nothing.

    Raises:
        RawDataError: When the file cannot be read.
    """
    with blaming(path), open_hdf5(path) as file:
        scanned: dict[str, Any] = {
            "patient": _text(file.attrs.get("patient_id")),
            "contrast": _text(file.attrs.get("acquisition")),
            "vendor": _text(file.attrs.get("vendor")),
            "field_strength": _number(file.attrs.get("sequence_field_strength")),
        }
        group = file.get("provenance")
        if not isinstance(group, h5py.Group):
            return Origin(**scanned)
        told = {name: group.attrs[name] for name in group.attrs}
    config = _config(_text(told.get("config")))
    model = config.get("model")
    model = model if isinstance(model, dict) else {}
    return Origin(
        method=_text(told.get("method")),
        combination=_text(model.get("combination")),
        checkpoint=_text(told.get("checkpoint")),
        maps=in_one_line(_within(model, "sensitivity")),
        preprocessing=_steps(config.get("preprocessing")),
        mask=in_one_line(config.get("sampling")),
        pattern=_text(told.get("pattern")),
        acceleration=_number(told.get("acceleration")),
        acs=_pair(told.get("acs")),
        whitened=bool(_number(told["whitened"])) if "whitened" in told else None,
        fingerprint=_text(told.get("fingerprint")),
        versions=", ".join(_text(told.get("versions")).split("\n")),
        seconds_per_plane=_number(told.get("seconds_per_plane")),
        memory=_number(told.get("memory")),
        seen=bool(_number(told.get("seen"))),
        training=_text(told.get("training")),
        **scanned,
    )


def disagreements(
    origins: Mapping[str, Mapping[str, Origin]], facts: tuple[str, ...] = MUST_AGREE
) -> list[str]:
    """Tell in which facts methods differ for the same volume, in one sentence for each fact.

    Args:
        origins: Origin of every volume of every method, by method and volume.
        facts: Names of the facts; a fact that a file does not tell differs from none.
    """
    return list(differing_facts(origins, facts).values())


def differing_facts(
    origins: Mapping[str, Mapping[str, Origin]], facts: tuple[str, ...] = MUST_AGREE
) -> dict[str, str]:
    """Tell in which facts methods differ for the same volume: a sentence by the name of each.

    Args:
        origins: Origin of every volume of every method, by method and volume.
        facts: Names of the facts; a fact that a file does not tell differs from none.
    """
    found = {}
    volumes = dict.fromkeys(volume for own in origins.values() for volume in own)
    for fact in facts:
        differing = []
        for volume in volumes:
            told = {
                method: value
                for method, own in origins.items()
                if volume in own and known(value := getattr(own[volume], fact))
            }
            if len({_rounded(value) for value in told.values()}) > 1:
                differing.append((volume, told))
        if differing:
            volume, told = differing[0]
            shown = zip(told, shown_apart([_rounded(v) for v in told.values()]), strict=True)
            each = "; ".join(f"{method} {value}" for method, value in shown)
            found[fact] = f"{fact} differs in {len(differing)} volumes, as in {volume}: {each}"
    return found


def known(value: object) -> bool:
    """Tell whether a fact of an origin was told; False and (0, 0) are values like others."""
    return value is not None and value != "" and not (isinstance(value, float) and value == 0)


def _rounded(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def shown_apart(texts: Sequence[str]) -> list[str]:
    """Shorten texts, but let what tells them apart be seen."""
    if len({_cut(text) for text in texts}) == len(set(texts)):
        return [_cut(text) for text in texts]
    letters = zip(*texts, strict=False)
    alike = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, letters))
    start = max(alike - BEFORE, 0)
    return [_cut(f"...{text[start:]}" if start else text) for text in texts]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    array = np.asarray(0 if value is None else value)
    number = array.size == 1 and array.dtype.kind in "biuf" and bool(np.isfinite(array).all())
    return float(array.reshape(-1)[0]) if number else 0.0


def _pair(value: object) -> tuple[int, int] | None:
    array = np.asarray(0 if value is None else value)
    if array.shape != (2,) or array.dtype.kind not in "iu":
        return None
    return int(array[0]), int(array[1])


def _config(text: str) -> dict[str, Any]:
    """Return a stored configuration; nothing of one that cannot be read."""
    try:
        tree = plain_yaml(text)
    except (yaml.YAMLError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _within(part: object, key: str) -> object:
    """Return the value of a key in a tree, that nearest to its root; None where it has none."""
    level = [part]
    while level:
        trees = [one for one in level if isinstance(one, dict)]
        if found := next((one[key] for one in trees if one.get(key) is not None), None):
            return found
        level = [child for one in trees for child in one.values()]
    return None


def in_one_line(part: object) -> str:
    """Write a part of a configuration in one line: its name, and its settings."""
    if not isinstance(part, dict):
        return "" if part is None else str(part)
    name = str(part.get("_target_", "")).rpartition(".")[-1]
    settings = [
        f"{key}={in_one_line(value) if isinstance(value, dict) else value}"
        for key, value in part.items()
        if key != "_target_"
    ]
    return f"{name}({', '.join(settings)})"


def _steps(part: object) -> str:
    steps = part.get("transforms") if isinstance(part, dict) else None
    return ", ".join(map(in_one_line, steps)) if isinstance(steps, list) else in_one_line(part)
