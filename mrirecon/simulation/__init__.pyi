from .acquisition import AcquisitionOptions as AcquisitionOptions
from .contrast import (
    Contrast as Contrast,
    GradientEcho as GradientEcho,
    InversionRecovery as InversionRecovery,
    SpinEcho as SpinEcho,
)
from .protocol import Prescription as Prescription, SimulationProtocol as SimulationProtocol
from .scan import SimulatedScan as SimulatedScan, simulated_scans as simulated_scans
