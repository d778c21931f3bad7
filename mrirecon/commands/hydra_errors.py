"""What Hydra and OmegaConf say about a wrong command line, as one message without their paths."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from mrirecon.errors import ConfigError

PLUGINS = {
    "hydra/sweeper/optuna": "hydra-optuna-sweeper",
    "hydra/sweeper/ax": "hydra-ax-sweeper",
    "hydra/sweeper/nevergrad": "hydra-nevergrad-sweeper",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher/submitit_local": "hydra-submitit-launcher",
    "hydra/launcher/joblib": "hydra-joblib-launcher",
    "hydra/launcher/ray": "hydra-ray-launcher",
    "hydra/launcher/rq": "hydra-rq-launcher",
    "hydra/job_logging/colorlog": "hydra-colorlog",
    "hydra/hydra_logging/colorlog": "hydra-colorlog",
}
"""The packages that bring choices which Hydra itself does not have."""
_VARIABLE = "HYDRA_FULL_ERROR"
_NOISE = re.compile(r"^(full_key|object_type|reference_type|See https|To append)")


@contextmanager
def told() -> Iterator["Progress"]:
    """Turn what Hydra raises into a ConfigError, instead of letting it print and exit.

    Until the job has begun everything that is raised is about the command line; afterwards only
    what Hydra and OmegaConf raise themselves is.

    Raises:
        ConfigError: Saying in one line what is wrong with the command line.
    """
    before, progress = os.environ.get(_VARIABLE), Progress()
    os.environ[_VARIABLE] = "1"  # Hydra then raises
    try:
        yield progress
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(message(error)) from error
    except Exception as error:
        if progress.begun or isinstance(error, ConfigError):
            raise
        raise ConfigError(message(error)) from error
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before


class Progress:
    """Whether a job has begun."""

    begun = False


def message(error: Exception) -> str:
    """Return the essence of an error of Hydra or OmegaConf in one line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing(str(error.missing_cfg_file), sorted(error.options or []), str(error))
    kept = _sentences(str(error))
    if isinstance(error, OverrideParseException):
        kept.insert(0, f"cannot read {error.override}")
    if isinstance(error, ConfigCompositionException) and error.__cause__:
        kept += _sentences(str(error.__cause__))[:1]
    text = "; ".join(dict.fromkeys(kept)) or type(error).__name__
    return re.sub(r"(?<![\w+])\+\+(?=\w)", "", text)  # as it was typed: see mrirecon.cli.adapt


def _sentences(text: str) -> list[str]:
    lines = [
        line.strip().rstrip(".") for line in text.partition("Config search path")[0].splitlines()
    ]
    return [line for line in lines if line and not _NOISE.match(line)]


def _missing(name: str, options: list[str], text: str) -> str:
    group, _, choice = name.rpartition("/")
    if package := PLUGINS.get(name):
        return (
            f"{group}={choice} needs the package {package}, which is not installed: "
            f"pip install {package}"
        )
    if "primary config" in text:
        return f"--config-name {name}: there is no such file; --config-dir FOLDER says where it is"
    close = f"; did you mean {near[0]}?" if (near := get_close_matches(choice, options, 1)) else ""
    known = f"; choose one of {', '.join(options)}" if options else ""
    return f"{group}={choice}: there is no such choice{close}{known}"
