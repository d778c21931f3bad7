from .acquisition_options import AcquisitionOptions as AcquisitionOptions
from .contrast import (
    Contrast as Contrast,
    GradientEcho as GradientEcho,
    InversionRecovery as InversionRecovery,
    SpinEcho as SpinEcho,
)
from .simulated_scan import SimulatedScan as SimulatedScan, simulated_scans as simulated_scans
from .simulation_protocol import (
    Prescription as Prescription,
    SimulationProtocol as SimulationProtocol,
)
