"""The metrics of fastMRI's ``evaluate.py`` (Zbontar et al., arXiv:1811.08839), of whole volumes."""

from collections.abc import Mapping

from mrirecon.metrics.base import Metric
from mrirecon.metrics.nmse import Nmse
from mrirecon.metrics.psnr import Psnr
from mrirecon.metrics.ssim import Ssim

nmse, psnr, ssim = Nmse(), Psnr(), Ssim()

METRICS: Mapping[str, Metric] = {metric.info.name: metric for metric in (nmse, psnr, ssim)}
"""Those of validation, and of an evaluation that names no others."""
