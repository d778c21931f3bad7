"""Image-quality metrics: one definition each, used by validation, training and ``evaluate``.

Unless a metric says otherwise it compares a whole volume with its reference, both magnitude
``slice y x``, as fastMRI's ``evaluate.py`` does (Zbontar et al., arXiv:1811.08839): peak and norms
are the volume's.
"""

from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where
from mrirecon.metrics.fastmri import METRICS
from mrirecon.metrics.flow_errors import (
    FlowMetric,
    PhaseError,
    VelocityBias,
    VelocityError,
    flow_metrics,
)
from mrirecon.metrics.gmsd import Gmsd
from mrirecon.metrics.haarpsi import HaarPsi
from mrirecon.metrics.hfen import Hfen
from mrirecon.metrics.landmarks import LandmarkShift
from mrirecon.metrics.ms_ssim import MsSsim
from mrirecon.metrics.nmse import Nmse, Nrmse
from mrirecon.metrics.own import OwnMetric
from mrirecon.metrics.phase_contrast import (
    phase_difference,
    phase_error,
    velocity,
    velocity_bias,
    velocity_error,
)
from mrirecon.metrics.psnr import Psnr
from mrirecon.metrics.registry import KNOWN, chosen_metrics
from mrirecon.metrics.ring_correlation import PATCH, RingScan, scan_rings, threshold
from mrirecon.metrics.segmentation import Dice, Segmenter, VolumeDifference, segmentation_metrics
from mrirecon.metrics.sfrc import Sfrc
from mrirecon.metrics.ssim import WINDOW, Ssim, structural_similarity
from mrirecon.metrics.vif import Vif

__all__ = [
    "KNOWN",
    "METRICS",
    "PATCH",
    "WINDOW",
    "Dice",
    "FlowMetric",
    "Gmsd",
    "HaarPsi",
    "Hfen",
    "LandmarkShift",
    "Metric",
    "MetricInfo",
    "MsSsim",
    "Nmse",
    "Nrmse",
    "OwnMetric",
    "PhaseError",
    "Psnr",
    "RingScan",
    "Segmenter",
    "Sfrc",
    "Ssim",
    "VelocityBias",
    "VelocityError",
    "Vif",
    "Volume",
    "VolumeDifference",
    "Where",
    "chosen_metrics",
    "flow_metrics",
    "phase_difference",
    "phase_error",
    "scan_rings",
    "segmentation_metrics",
    "structural_similarity",
    "threshold",
    "velocity",
    "velocity_bias",
    "velocity_error",
]
