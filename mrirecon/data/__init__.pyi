from .augmentation import Augment as Augment
from .coil_compression import (
    CompressCoils as CompressCoils,
    CompressCoilsGeometrically as CompressCoilsGeometrically,
    Whiten as Whiten,
)
from .combined_target import CombinedTarget as CombinedTarget
from .datamodule import DataModule as DataModule
from .dataset import SliceDataset as SliceDataset
from .folder import Folder as Folder
from .transforms import (
    Compose as Compose,
    Normalize as Normalize,
    RssTarget as RssTarget,
    Undersample as Undersample,
)
