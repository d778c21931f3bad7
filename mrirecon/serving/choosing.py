"""Methods by the names and settings that clients may use."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

from mrirecon.pipeline import Method
from mrirecon.serving.images import ImageChoice, Pixels
from mrirecon.serving.parameters import CONFIG, IMAGES, OWN, SCALE, Parameter, read_settings

DEFAULT = "default"
Words = tuple[str, ...]
Build = Callable[[Words], Method]
"""Builds the method that words of ``mrirecon reconstruct`` stand for."""
KEPT = 8
"""Methods that are kept beside those with a name."""
SHOWN = 80
"""Characters of a client's name that are repeated to it."""


@dataclass(frozen=True)
class Named:
    """A configuration: the words of its method, and the images that it sends."""

    words: Words
    images: ImageChoice


@dataclass(frozen=True)
class Choice:
    """What a client gets.

    Attributes:
        name: Name of the configuration.
        method: Method that reconstructs.
        images: Type of the images.
    """

    name: str
    method: Method
    images: ImageChoice


class Chooser:
    """Finds the method that a client asks for.

    Args:
        named: Configurations by name; one is called ``default``.
        parameters: Settings that clients may make, by name.
        build: Function that builds a method; called by one thread at a time.

    Raises:
        MriReconError: When a configuration cannot be built with the defaults of the settings.
    """

    def __init__(
        self, named: Mapping[str, Named], parameters: Mapping[str, Parameter], build: Build
    ) -> None:
        self._named, self._parameters, self._build = named, parameters, build
        self._lock = threading.Lock()
        self._built: dict[Words, Method] = {}
        self._lasting = {self._words(name, self._defaults()) for name in named}
        for words in self._lasting:
            self._method(words)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the configurations."""
        return tuple(self._named)

    def choose(self, config: str, settings: str) -> tuple[Choice, tuple[str, ...]]:
        """Return what a client gets, and sentences about what it asked for in vain.

        Args:
            config: Name, or text, of a configuration, as the client sent it.
            settings: JSON text of settings.

        Raises:
            MriReconError: When the settings do not suit the configuration.
        """
        asked = read_settings(settings, self._parameters)
        values, remarks = dict(asked.values), list(asked.remarks)
        usual = str(values.get(CONFIG, DEFAULT))
        chosen = usual if CONFIG in asked.made else ""
        known = config if config in self._named or CONFIG not in values else ""
        name = next((one for one in (asked.config, chosen, known) if one), usual)
        if name not in self._named:
            shown = " ".join(name.split())[:SHOWN]
            remarks.append(f"there is no configuration {shown!r}: {DEFAULT} is used")
            name = DEFAULT
        images = self._named[name].images
        if IMAGES in values:
            pixels = next(one for one in get_args(Pixels) if one == values[IMAGES])
            images = ImageChoice(pixels, images.scale if pixels == "int16" else None)
        if SCALE in values and images.pixels == "int16":
            images = replace(images, scale=float(values[SCALE]))
        return Choice(name, self._method(self._words(name, values)), images), tuple(remarks)

    def _defaults(self) -> dict[str, bool | int | float | str]:
        return {one.key: one.parsed(one.default) for one in self._parameters.values()}

    def _words(self, name: str, values: Mapping[str, bool | int | float | str]) -> Words:
        own = self._named[name].words
        return (*own, *(f"{k}={json.dumps(v)}" for k, v in values.items() if k not in OWN))

    def _method(self, words: Words) -> Method:
        with self._lock:
            if words not in self._built:
                others = [one for one in self._built if one not in self._lasting]
                for one in others[: len(others) + 1 - KEPT]:
                    del self._built[one]
                self._built[words] = self._build(words)
            return self._built[words]
