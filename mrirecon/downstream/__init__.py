"""What is measured in images afterwards: tissues that a small network tells apart."""

from mrirecon.downstream.tissue_segmenter import LABELS, TissueSegmenter, normalized, tissue_network

__all__ = ["LABELS", "TissueSegmenter", "normalized", "tissue_network"]
