from .base import Reconstructor as Reconstructor
from .classical.adaptive_combine import AdaptiveCombine as AdaptiveCombine
from .classical.cg_sense import CgSense as CgSense
from .classical.grappa import Grappa as Grappa
from .classical.l1_wavelet import L1Wavelet as L1Wavelet
from .classical.locally_low_rank import LocallyLowRank as LocallyLowRank
from .classical.low_rank_plus_sparse import LowRankPlusSparse as LowRankPlusSparse
from .classical.partial_fourier import (
    Homodyne as Homodyne,
    PartialFourier as PartialFourier,
    Pocs as Pocs,
)
from .classical.sigpy import (
    SigpyL1Wavelet as SigpyL1Wavelet,
    SigpySense as SigpySense,
    SigpyTotalVariation as SigpyTotalVariation,
)
from .classical.soft_sense import SoftSense as SoftSense
from .classical.spirit import Spirit as Spirit
from .classical.temporal_tv import TemporalTv as TemporalTv
from .classical.tgv import Tgv as Tgv
from .classical.total_variation import TotalVariation as TotalVariation
from .classical.view_sharing import ViewSharing as ViewSharing
from .classical.zero_filled import ZeroFilled as ZeroFilled
from .learned.adaptive_cs_net import AdaptiveCsNet as AdaptiveCsNet
from .learned.cascade_net import CascadeNet as CascadeNet
from .learned.deep_unrolled import DeepUnrolled as DeepUnrolled
from .learned.fi_varnet import FiVarNet as FiVarNet
from .learned.hqs_net import HqsNet as HqsNet
from .learned.ista_net import IstaNet as IstaNet
from .learned.lpd_net import LpdNet as LpdNet
from .learned.modl import MoDL as MoDL
from .learned.plug_and_play import PlugAndPlay as PlugAndPlay
from .learned.promptmr import PromptMR as PromptMR
from .learned.recurrent_varnet import RecurrentVarNet as RecurrentVarNet
from .learned.rim import Rim as Rim
from .learned.sdum import Sdum as Sdum
from .learned.unet import UNet as UNet
from .learned.varnet import VarNet as VarNet
from .learned.vsharp import VSharp as VSharp
from .learned.xpdnet import XpdNet as XpdNet
from .parts.data_consistency import (
    GradientStep as GradientStep,
    ImageConsistency as ImageConsistency,
    ProximalStep as ProximalStep,
    SplittingStep as SplittingStep,
)
from .parts.kspace_consistency import (
    HardProjection as HardProjection,
    KspaceConsistency as KspaceConsistency,
    KspaceStep as KspaceStep,
    SamplingAwareStep as SamplingAwareStep,
    SoftStep as SoftStep,
)
from .parts.map_refinement import (
    CorrectedMaps as CorrectedMaps,
    EstimatedMaps as EstimatedMaps,
    MapUpdate as MapUpdate,
    RefinedMaps as RefinedMaps,
)
from .parts.modulated_network import ModulatedNetwork as ModulatedNetwork
from .parts.nominal_sampling import NominalSampling as NominalSampling
from .parts.start import Start as Start, StateStart as StateStart
