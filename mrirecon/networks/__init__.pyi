from .affine_unet import AffineUnet as AffineUnet
from .cascaded_restormer import CascadedRestormer as CascadedRestormer
from .conv_gru import ConvGru as ConvGru
from .conv_ind_rnn import ConvIndRnn as ConvIndRnn
from .denoiser import Denoiser as Denoiser, ImageNetwork as ImageNetwork
from .dilated_cnn import DilatedCnn as DilatedCnn
from .fusion_unet import FusionUnet as FusionUnet
from .joint_cnn import JointCnn as JointCnn
from .mwcnn import Mwcnn as Mwcnn, ResidualMwcnn as ResidualMwcnn
from .noise_level_unet import NoiseLevelUnet as NoiseLevelUnet
from .norm_unet import NormUnet as NormUnet
from .normalized_images import NormalizedImages as NormalizedImages
from .parts.conditioning import Conditioning as Conditioning
from .parts.features import FeatureNetwork as FeatureNetwork
from .parts.joint_network import JointNetwork as JointNetwork
from .prompt_unet import PromptUnet as PromptUnet
from .residual_cnn import ResidualCnn as ResidualCnn
from .restormer import Restormer as Restormer
from .series_unet import SeriesUnet as SeriesUnet
from .space_time_unet import SpaceTimeUnet as SpaceTimeUnet
from .unet import Unet as Unet
