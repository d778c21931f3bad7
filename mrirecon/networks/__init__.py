"""Convolutional networks, unaware of coils and k-space."""

from mrirecon.networks.denoiser import Denoiser
from mrirecon.networks.norm_unet import NormUnet
from mrirecon.networks.prompt_unet import PromptUnet
from mrirecon.networks.residual_cnn import ResidualCnn
from mrirecon.networks.restormer import Restormer
from mrirecon.networks.unet import Unet

__all__ = ["Denoiser", "NormUnet", "PromptUnet", "ResidualCnn", "Restormer", "Unet"]
