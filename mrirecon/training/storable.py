"""What a checkpoint can hold, so that it can be read without running code."""

import io
from collections import OrderedDict
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrirecon.errors import ConfigError

PLAIN = (type(None), bool, int, float, complex, str, bytes)


def storable(value: Any, place: str = "checkpoint") -> Any:
    """Return ``value`` in types that ``torch.load(weights_only=True)`` reads.

    Members of an enumeration become their values, NumPy's scalars those of Python; tensors stay.

    Args:
        value: A part of a checkpoint.
        place: Place of the value in the checkpoint, for messages.

    Raises:
        ConfigError: When something in it could be read only by running code.
    """
    if isinstance(value, Enum):
        return storable(value.value, place)
    if isinstance(value, np.generic):
        return storable(value.item(), place)
    if type(value) in PLAIN or isinstance(value, Tensor):
        return value
    if type(value) is dict:
        return {storable(key, place): storable(one, f"{place}.{key}") for key, one in value.items()}
    if type(value) is OrderedDict:
        copy = OrderedDict((key, storable(one, f"{place}.{key}")) for key, one in value.items())
        vars(copy).update(vars(value))  # versions of the modules, in a state dict
        return copy
    if type(value) in (list, tuple):
        return type(value)(storable(one, f"{place}[{n}]") for n, one in enumerate(value))
    try:
        torch.load(written(value), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen unrelated types
        raise ConfigError(
            f"{place} is a {type(value).__module__}.{type(value).__qualname__}, which a checkpoint "
            "cannot hold, because reading it would run code; leave out the part of this run that "
            "keeps it, or let that keep numbers, text and tensors only"
        ) from error
    return value


def written(value: Any) -> io.BytesIO:
    """Return the bytes of a checkpoint, in memory: torch hides what is wrong with a disk."""
    content = io.BytesIO()
    torch.save(value, content)
    content.seek(0)
    return content
