"""The methods of a benchmark, each with any pattern of samples."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from mrirecon.building import build_node
from mrirecon.commands.method_words import METHOD
from mrirecon.defaults import completed
from mrirecon.pipeline import Method
from mrirecon.sampling import SamplingPattern


@dataclass(frozen=True)
class Entrants:
    """The methods that take part, by name; each with any pattern.

    Attributes:
        methods: Methods, built for the first pattern that was asked for.
        node: Kit as the configuration of each volume has it.
    """

    methods: Mapping[str, Method]
    node: Mapping[str, Any]

    def method(self, name: str, sampling: Mapping[str, Any] | None) -> Method:
        """Return a method with a pattern of the samples that are kept; None keeps all."""
        base = self.methods[name]
        tree = {key: value for key, value in yaml.safe_load(base.config).items() if key in METHOD}
        tree["sampling"] = completed(dict(sampling)) if sampling else None
        tree["benchmark"] = dict(self.node)
        config = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
        pattern = None
        if sampling is not None:
            pattern = build_node(dict(sampling), SamplingPattern, "sampling")
        return replace(base, sampling=pattern, config=config)
