"""The folder of a run, looked at before Hydra makes it."""

import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from mrirecon.errors import OutputError
from mrirecon.files import output_folder


class CheckRunFolder(Callback):
    """Ends the command with one line where its folder cannot be made.

    Hydra would answer with a traceback, and swallows all errors of a callback but this exit.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        _check(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        _check(config, "hydra.sweep.dir")


def _check(config: DictConfig, key: str) -> None:
    try:
        output_folder(str(OmegaConf.select(config, key)))
    except OutputError as error:
        sys.exit(f"mrirecon {config.hydra.job.name}: {error}")
