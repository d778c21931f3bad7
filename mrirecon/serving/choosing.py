"""Methods by the names and settings that clients may use."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import get_args

from mrirecon.errors import ConfigError, MriReconError
from mrirecon.pipeline import Method
from mrirecon.serving.images import ImageChoice, Pixels
from mrirecon.serving.parameters import (
    CONFIG,
    IMAGES,
    OWN,
    SCALE,
    Parameter,
    Settings,
    read_settings,
    refuse_strangers,
)

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
        MriReconError: When a configuration cannot be built with the defaults of the settings, or a
            setting names one that does not exist.
    """

    def __init__(
        self, named: Mapping[str, Named], parameters: Mapping[str, Parameter], build: Build
    ) -> None:
        self._named, self._parameters, self._build = named, parameters, build
        self._belongs = {one.key: one.configs for one in parameters.values() if one.configs}
        refuse_strangers(parameters, self.names)
        self._refuse_unsuitable()
        self._lock = threading.Lock()
        self._built: dict[Words, Method] = {}
        self._lasting = {self._words(name, self._defaults()) for name in named}
        for words in self._lasting:
            self._method(words)
        self._try_all()

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
        name = next((one for one in (asked.config, chosen, config) if one), usual)
        if name not in self._named:
            shown = " ".join(name.split())[:SHOWN]
            name = usual if usual in self._named else DEFAULT
            remarks.append(f"there is no configuration {shown!r}: {name} is used")
        remarks += self._idle(name, asked)
        images = self._named[name].images
        if IMAGES in values:
            pixels = next(one for one in get_args(Pixels) if one == values[IMAGES])
            images = ImageChoice(pixels, images.scale if pixels == "int16" else None)
        if SCALE in values and images.pixels == "int16":
            images = replace(images, scale=float(values[SCALE]))
        return Choice(name, self._method(self._words(name, values)), images), tuple(remarks)

    def _refuse_unsuitable(self) -> None:
        """Refuse settings of the server itself whose values it could not take."""
        for name, one in self._parameters.items():
            if one.key in (CONFIG, IMAGES) and one.type != "choice":
                raise ConfigError(f"parameters.{name}: {one.key} is a choice, not a {one.type}")
            if one.key == IMAGES and (wrong := set(one.values) - set(get_args(Pixels))):
                raise ConfigError(
                    f"parameters.{name}: values: expected some of {', '.join(get_args(Pixels))}, "
                    f"got {sorted(wrong)[0]!r}"
                )
            if one.key == SCALE and not (one.type in ("int", "double") and (one.minimum or 0) > 0):
                raise ConfigError(f"parameters.{name}: a scale is a number with a minimum above 0")

    def _try_all(self) -> None:
        """Build what the outermost values of each setting stand for, before a client asks for it.

        Raises:
            ConfigError: Naming the setting and the value that cannot be.
        """
        defaults = self._defaults()
        for setting, one in self._parameters.items():
            for value, name in itertools.product(one.outermost, self._named):
                words = self._words(name, {**defaults, one.key: one.parsed(value)})
                if words in self._lasting:
                    continue
                try:
                    self._build(words)
                except MriReconError as error:
                    told = f"parameters.{setting}: {value} cannot be: {error}"
                    raise ConfigError(told) from error

    def _idle(self, name: str, asked: Settings) -> Iterator[str]:
        """Tell which settings a client has changed that its configuration does not have."""
        for setting, one in self._parameters.items():
            changed = one.key in asked.made and asked.values[one.key] != one.parsed(one.default)
            if changed and name not in self._belongs.get(one.key, (name,)):
                yield f"the setting {setting!r} has no effect on the configuration {name!r}"

    def _defaults(self) -> dict[str, bool | int | float | str]:
        return {one.key: one.parsed(one.default) for one in self._parameters.values()}

    def _words(self, name: str, values: Mapping[str, bool | int | float | str]) -> Words:
        own = self._named[name].words
        made = (
            f"{key}={json.dumps(value)}"
            for key, value in values.items()
            if key not in OWN and name in self._belongs.get(key, (name,))
        )
        return (*own, *made)

    def _method(self, words: Words) -> Method:
        with self._lock:
            if words not in self._built:
                others = [one for one in self._built if one not in self._lasting]
                for one in others[: len(others) + 1 - KEPT]:
                    del self._built[one]
                self._built[words] = self._build(words)
            return self._built[words]
