"""``mrirecon simulate``: raw scanner files of subjects that do not exist."""

from dataclasses import dataclass

from omegaconf import DictConfig
from tqdm import tqdm

from mrirecon.commands.base import command
from mrirecon.config import build
from mrirecon.counting import counted
from mrirecon.files import output_folder
from mrirecon.simulation.acquisition_options import AcquisitionOptions, plan_lines
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from mrirecon.simulation.simulated_scan import simulated_scans
from mrirecon.simulation.simulation_protocol import SimulationProtocol
from mrirecon.terminal import draws_bars

FORMATS = {"ismrmrd": write_ismrmrd, "fastmri": write_fastmri}


@dataclass(frozen=True)
class Settings:
    """mrirecon simulate output=FOLDER subjects=4."""

    output: str
    format: str
    subjects: int
    first: int
    contrasts: list[str] | tuple[str, ...] | None
    overwrite: bool

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.subjects < 1:
            raise ValueError(f"subjects: expected at least 1, got {self.subjects}")


@command(Settings, groups=("sampling", "simulation", "acquisition"))
def simulate(config: DictConfig, settings: Settings) -> None:
    """Write one raw file per subject and the noise-free image beside it."""
    protocol = build(config.simulation, SimulationProtocol, "simulation")
    options = build(config.acquisition, AcquisitionOptions, "acquisition")
    scans = simulated_scans(settings.first, settings.subjects, protocol, settings.contrasts)
    output = output_folder(settings.output)
    raw, reference = output / "raw", output / "reference"
    write = FORMATS[settings.format]
    lines = [scan for scan in scans if scan.protocol.trajectory is None]
    plans = (plan_lines(scan, options).drawn for scan in lines)
    for remark in dict.fromkeys(drawn.remark for drawn in plans if drawn and drawn.remark):
        print(f"note: {remark}")
    for scan in tqdm(scans, unit="scan", leave=False, disable=not draws_bars()):
        write(raw / scan.header.name, scan, options, overwrite=settings.overwrite)
        write_reference(
            reference / scan.header.name,
            scan,
            options.averages,
            # fastMRI files have no noise scan, so that they are read in raw units
            whitened=settings.format == "ismrmrd" and options.noise_readouts > 0,
            overwrite=settings.overwrite,
        )
    print(
        f"wrote {counted(len(scans), 'simulated scan')} as {settings.format} to {raw}, "
        f"and what a noise-free scanner would have seen to {reference}"
    )


main = simulate
