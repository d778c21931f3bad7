from .adaptive_combine import AdaptiveCombine as AdaptiveCombine
from .adaptive_cs_net import AdaptiveCsNet as AdaptiveCsNet
from .base import Reconstructor as Reconstructor
from .cascade_net import CascadeNet as CascadeNet
from .cg_sense import CgSense as CgSense
from .data_consistency import (
    GradientStep as GradientStep,
    ImageConsistency as ImageConsistency,
    ProximalStep as ProximalStep,
    SplittingStep as SplittingStep,
)
from .deep_unrolled import DeepUnrolled as DeepUnrolled
from .fi_varnet import FiVarNet as FiVarNet
from .grappa import Grappa as Grappa
from .ista_net import IstaNet as IstaNet
from .kspace_consistency import (
    HardProjection as HardProjection,
    KspaceConsistency as KspaceConsistency,
    KspaceStep as KspaceStep,
    SamplingAwareStep as SamplingAwareStep,
    SoftStep as SoftStep,
)
from .l1_wavelet import L1Wavelet as L1Wavelet
from .locally_low_rank import LocallyLowRank as LocallyLowRank
from .lpd_net import LpdNet as LpdNet
from .map_refinement import (
    CorrectedMaps as CorrectedMaps,
    EstimatedMaps as EstimatedMaps,
    MapUpdate as MapUpdate,
    RefinedMaps as RefinedMaps,
)
from .modl import MoDL as MoDL
from .partial_fourier import Homodyne as Homodyne, PartialFourier as PartialFourier, Pocs as Pocs
from .recurrent_varnet import RecurrentVarNet as RecurrentVarNet
from .rim import Rim as Rim
from .sigpy_apps import (
    SigpyL1Wavelet as SigpyL1Wavelet,
    SigpySense as SigpySense,
    SigpyTotalVariation as SigpyTotalVariation,
)
from .soft_sense import SoftSense as SoftSense
from .spirit import Spirit as Spirit
from .total_variation import Tgv as Tgv, TotalVariation as TotalVariation
from .unet import UNet as UNet
from .varnet import VarNet as VarNet
from .vsharp import VSharp as VSharp
from .xpdnet import XpdNet as XpdNet
from .zero_filled import ZeroFilled as ZeroFilled
