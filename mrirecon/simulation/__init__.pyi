from .acquisition_options import AcquisitionOptions as AcquisitionOptions
from .contrast import (
    BalancedSteadyState as BalancedSteadyState,
    Contrast as Contrast,
    GradientEcho as GradientEcho,
    InversionRecovery as InversionRecovery,
    SpinEcho as SpinEcho,
)
from .motion import Beating as Beating, Breathing as Breathing
from .moving_frames import MovingFrames as MovingFrames
from .random_scan import RandomScans as RandomScans, random_scans as random_scans
from .simulated_scan import SimulatedScan as SimulatedScan, simulated_scans as simulated_scans
from .simulation_protocol import (
    Prescription as Prescription,
    SimulationProtocol as SimulationProtocol,
)
from .trajectories import (
    RadialTrajectory as RadialTrajectory,
    SpiralTrajectory as SpiralTrajectory,
)
