from .api import (
    espirit as espirit,
    evaluate as evaluate,
    load as load,
    reconstruct as reconstruct,
    reconstruct_series as reconstruct_series,
)
from .data.transforms import Compose as Compose, Normalize as Normalize, Undersample as Undersample
from .errors import MriReconError as MriReconError
from .evaluation.scores.protocol import Protocol as Protocol, Score as Score
from .image_series import ImageSeries as ImageSeries
from .memory_scan import MemoryScan as MemoryScan
from .metrics.fastmri import nmse as nmse, psnr as psnr, ssim as ssim
from .pipeline import Method as Method
from .read_options import ReadOptions as ReadOptions
from .readers import open_scan as open_scan
from .reconstructors.base import Reconstructor as Reconstructor
from .reconstructors.classical.adaptive_combine import AdaptiveCombine as AdaptiveCombine
from .reconstructors.classical.cg_sense import CgSense as CgSense
from .reconstructors.classical.grappa import Grappa as Grappa
from .reconstructors.classical.l1_wavelet import L1Wavelet as L1Wavelet
from .reconstructors.classical.locally_low_rank import LocallyLowRank as LocallyLowRank
from .reconstructors.classical.partial_fourier import Homodyne as Homodyne, Pocs as Pocs
from .reconstructors.classical.sigpy import (
    SigpyL1Wavelet as SigpyL1Wavelet,
    SigpySense as SigpySense,
    SigpyTotalVariation as SigpyTotalVariation,
)
from .reconstructors.classical.soft_sense import SoftSense as SoftSense
from .reconstructors.classical.spirit import Spirit as Spirit
from .reconstructors.classical.tgv import Tgv as Tgv
from .reconstructors.classical.total_variation import TotalVariation as TotalVariation
from .reconstructors.classical.zero_filled import ZeroFilled as ZeroFilled
from .reconstructors.learned.adaptive_cs_net import AdaptiveCsNet as AdaptiveCsNet
from .reconstructors.learned.cascade_net import CascadeNet as CascadeNet
from .reconstructors.learned.deep_unrolled import DeepUnrolled as DeepUnrolled
from .reconstructors.learned.fi_varnet import FiVarNet as FiVarNet
from .reconstructors.learned.hqs_net import HqsNet as HqsNet
from .reconstructors.learned.ista_net import IstaNet as IstaNet
from .reconstructors.learned.lpd_net import LpdNet as LpdNet
from .reconstructors.learned.modl import MoDL as MoDL
from .reconstructors.learned.plug_and_play import PlugAndPlay as PlugAndPlay
from .reconstructors.learned.recurrent_varnet import RecurrentVarNet as RecurrentVarNet
from .reconstructors.learned.rim import Rim as Rim
from .reconstructors.learned.unet import UNet as UNet
from .reconstructors.learned.varnet import VarNet as VarNet
from .reconstructors.learned.vsharp import VSharp as VSharp
from .reconstructors.learned.xpdnet import XpdNet as XpdNet
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
from .simulation.simulated_scan import SimulatedScan as SimulatedScan
from .types import Sample as Sample
from .uncertainty import Spread as Spread

__version__: str
