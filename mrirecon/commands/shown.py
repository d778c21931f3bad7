"""``--cfg job``: the configuration that a command would run with, every argument written out."""

import argparse
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from mrirecon.errors import ConfigError


@dataclass(frozen=True)
class Shown:
    """What of a configuration is wanted.

    Attributes:
        package: A key, of which alone the value is shown; None for all.
        resolve: Whether interpolations are replaced by what they refer to.
    """

    package: str | None
    resolve: bool

    @classmethod
    def taken_from(cls, words: list[str]) -> "tuple[Shown | None, list[str]]":
        """Take the options out of a command line; None when it does not ask for the configuration.

        Hydra shows its own configuration, ``--cfg hydra`` and ``--cfg all``.
        """
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--cfg", "-c")
        parser.add_argument("--package", "-p")
        parser.add_argument("--resolve", action="store_true")
        options, others = parser.parse_known_args(words)
        if options.cfg != "job" or {"-m", "--multirun"} & set(others):  # Hydra refuses both
            return None, words
        # nothing is run, so no folder is made
        others += ["hydra.run.dir=.", "hydra.output_subdir=null"]
        return cls(options.package, options.resolve), others

    def text(self, config: DictConfig) -> str:
        """Return the configuration as YAML.

        Raises:
            ConfigError: When there is no such key.
        """
        part = config
        if self.package not in (None, "_global_"):
            part = OmegaConf.select(config, str(self.package))
            if part is None:
                keys = ", ".join(map(str, config))
                raise ConfigError(f"--package {self.package}: there is no such key; found {keys}")
        if not OmegaConf.is_config(part):
            return f"{part}\n"
        return OmegaConf.to_yaml(part, resolve=self.resolve)
