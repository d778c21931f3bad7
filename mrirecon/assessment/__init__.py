"""Measures the quality of a reconstruction on one plane, at the cost of a few reconstructions."""

from mrirecon.assessment.assess import assess
from mrirecon.assessment.noise_maps import REPLICAS
from mrirecon.assessment.run_cost import TimedScan, peak_memory

__all__ = ["REPLICAS", "TimedScan", "assess", "peak_memory"]
