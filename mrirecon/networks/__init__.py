"""Convolutional networks, unaware of coils and k-space."""

from mrirecon.networks.norm_unet import NormUnet
from mrirecon.networks.residual_cnn import ResidualCnn
from mrirecon.networks.unet import Unet

__all__ = ["NormUnet", "ResidualCnn", "Unet"]
