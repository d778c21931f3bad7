"""``mrirecon simulate``: raw scanner files of subjects that do not exist."""

import sys
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from mrirecon.commands.base import command
from mrirecon.config import build
from mrirecon.errors import ConfigError
from mrirecon.simulation.acquisition import AcquisitionOptions
from mrirecon.simulation.protocol import SimulationProtocol
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from mrirecon.simulation.scan import simulated_scans

FORMATS = {"ismrmrd": write_ismrmrd, "fastmri": write_fastmri}


@command
def simulate(config: DictConfig) -> None:
    """Write one raw file per subject and the noise-free image beside it."""
    if config.output is None:
        raise ConfigError("output is missing; usage: mrirecon simulate output=FOLDER subjects=4")
    if config.format not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, got {config.format!r}")
    protocol = build(config.protocol, SimulationProtocol, "protocol")
    options = build(config.acquisition, AcquisitionOptions, "acquisition")
    scans = simulated_scans(config.first, config.subjects, protocol, tuple(config.contrasts))
    raw, reference = Path(config.output) / "raw", Path(config.output) / "reference"
    write = FORMATS[config.format]
    for scan in tqdm(scans, unit="scan", leave=False, disable=None, file=sys.stderr):
        write(raw / scan.header.name, scan, options, overwrite=config.overwrite)
        write_reference(
            reference / scan.header.name, scan, options.averages, overwrite=config.overwrite
        )
    print(
        f"wrote {len(scans)} simulated scans as {config.format} to {raw}, "
        f"and what a noise-free scanner would have seen to {reference}"
    )


main = simulate
