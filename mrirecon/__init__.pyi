from .api import (
    espirit as espirit,
    evaluate as evaluate,
    load as load,
    reconstruct as reconstruct,
    reconstruct_series as reconstruct_series,
)
from .data.transforms import Compose as Compose, Normalize as Normalize, Undersample as Undersample
from .errors import MriReconError as MriReconError
from .evaluation.protocol import Protocol as Protocol, Score as Score
from .image_series import ImageSeries as ImageSeries
from .memory_scan import MemoryScan as MemoryScan
from .metrics import nmse as nmse, psnr as psnr, ssim as ssim
from .pipeline import Method as Method
from .readers import open_scan as open_scan
from .reconstructors.adaptive_combine import AdaptiveCombine as AdaptiveCombine
from .reconstructors.adaptive_cs_net import AdaptiveCsNet as AdaptiveCsNet
from .reconstructors.base import Reconstructor as Reconstructor
from .reconstructors.cascade_net import CascadeNet as CascadeNet
from .reconstructors.cg_sense import CgSense as CgSense
from .reconstructors.deep_unrolled import DeepUnrolled as DeepUnrolled
from .reconstructors.fi_varnet import FiVarNet as FiVarNet
from .reconstructors.grappa import Grappa as Grappa
from .reconstructors.ista_net import IstaNet as IstaNet
from .reconstructors.l1_wavelet import L1Wavelet as L1Wavelet
from .reconstructors.locally_low_rank import LocallyLowRank as LocallyLowRank
from .reconstructors.lpd_net import LpdNet as LpdNet
from .reconstructors.modl import MoDL as MoDL
from .reconstructors.partial_fourier import Homodyne as Homodyne, Pocs as Pocs
from .reconstructors.recurrent_varnet import RecurrentVarNet as RecurrentVarNet
from .reconstructors.rim import Rim as Rim
from .reconstructors.sigpy_apps import (
    SigpyL1Wavelet as SigpyL1Wavelet,
    SigpySense as SigpySense,
    SigpyTotalVariation as SigpyTotalVariation,
)
from .reconstructors.soft_sense import SoftSense as SoftSense
from .reconstructors.spirit import Spirit as Spirit
from .reconstructors.total_variation import Tgv as Tgv, TotalVariation as TotalVariation
from .reconstructors.unet import UNet as UNet
from .reconstructors.varnet import VarNet as VarNet
from .reconstructors.vsharp import VSharp as VSharp
from .reconstructors.xpdnet import XpdNet as XpdNet
from .reconstructors.zero_filled import ZeroFilled as ZeroFilled
from .sampling import (
    EquispacedFractionLines as EquispacedFractionLines,
    EquispacedLines as EquispacedLines,
    Gaussian2d as Gaussian2d,
    MagicFractionLines as MagicFractionLines,
    MagicLines as MagicLines,
    PoissonDisc as PoissonDisc,
    RandomLines as RandomLines,
    SamplingPattern as SamplingPattern,
)
from .scan import Scan as Scan, ScanHeader as ScanHeader
from .selection import Selection as Selection
from .sensitivity import (
    Espirit as Espirit,
    GivenMaps as GivenMaps,
    LowResolutionMaps as LowResolutionMaps,
    Nlinv as Nlinv,
    PhasedMaps as PhasedMaps,
    SensitivityEstimator as SensitivityEstimator,
    Walsh as Walsh,
)
from .simulation.scan import SimulatedScan as SimulatedScan
from .types import Sample as Sample

__version__: str
