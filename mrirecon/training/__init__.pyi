from .averaging import WeightAverage as WeightAverage
from .callbacks import SamplePictures as SamplePictures
from .checkpoint import (
    Checkpoint as Checkpoint,
    Recipe as Recipe,
    read_checkpoint as read_checkpoint,
)
from .compilation import CompileNetworks as CompileNetworks
from .consistency import Consistency as Consistency
from .equivariant import EquivariantImaging as EquivariantImaging
from .iterates import OverIterates as OverIterates
from .last_checkpoint import LastCheckpoint as LastCheckpoint
from .memory import RecomputeActivations as RecomputeActivations
from .module import ReconstructionModule as ReconstructionModule
from .muon import Muon as Muon
from .objective import Objective as Objective, Supervised as Supervised
from .penalty import WithPenalty as WithPenalty
from .perturbations import (
    FlipAndShift as FlipAndShift,
    MoreNoise as MoreNoise,
    Perturbation as Perturbation,
    RigidMotion as RigidMotion,
)
from .progress import EpochLines as EpochLines, LearningCurve as LearningCurve
from .schedules import warmup as warmup
from .self_supervised import Ssdu as Ssdu
from .sharding import ShardedSteps as ShardedSteps
from .weighted import RobustSsdu as RobustSsdu, WeightedSsdu as WeightedSsdu
