"""Pictures of images: montages, comparisons and quality, legible on light and on dark pages."""

from mrirecon.figures.agreement import agreement
from mrirecon.figures.closeup import closeup
from mrirecon.figures.comparison import Boxes, Panel, bars, comparison
from mrirecon.figures.coverage import coverage
from mrirecon.figures.drawing import Drawing
from mrirecon.figures.level_curves import Curve, CurvePanel, level_curves
from mrirecon.figures.montage import GreyScale, montage
from mrirecon.figures.saving import save_figure
from mrirecon.figures.structure_maps import structure_maps
from mrirecon.figures.style import top_of_grey

__all__ = [
    "Boxes",
    "Curve",
    "CurvePanel",
    "Drawing",
    "GreyScale",
    "Panel",
    "agreement",
    "bars",
    "closeup",
    "comparison",
    "coverage",
    "level_curves",
    "montage",
    "save_figure",
    "structure_maps",
    "top_of_grey",
]
