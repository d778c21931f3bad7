from .callbacks.compile_networks import CompileNetworks as CompileNetworks
from .callbacks.last_checkpoint import LastCheckpoint as LastCheckpoint
from .callbacks.progress import EpochLines as EpochLines, LearningCurve as LearningCurve
from .callbacks.recompute_activations import RecomputeActivations as RecomputeActivations
from .callbacks.sample_pictures import SamplePictures as SamplePictures
from .callbacks.weight_average import WeightAverage as WeightAverage
from .checkpoint import (
    Checkpoint as Checkpoint,
    Recipe as Recipe,
    read_checkpoint as read_checkpoint,
)
from .module import ReconstructionModule as ReconstructionModule
from .muon import Muon as Muon
from .objectives.base import Objective as Objective, Supervised as Supervised
from .objectives.consistency_training import Consistency as Consistency
from .objectives.denoising import Denoising as Denoising
from .objectives.equivariant import EquivariantImaging as EquivariantImaging
from .objectives.iterates import OverIterates as OverIterates
from .objectives.penalty import WithPenalty as WithPenalty
from .objectives.perturbations import (
    FlipAndShift as FlipAndShift,
    MoreNoise as MoreNoise,
    Perturbation as Perturbation,
    RigidMotion as RigidMotion,
)
from .objectives.ssdu import Ssdu as Ssdu
from .objectives.weighted_ssdu import RobustSsdu as RobustSsdu, WeightedSsdu as WeightedSsdu
from .schedules import warmup as warmup
from .sharding import ShardedSteps as ShardedSteps
