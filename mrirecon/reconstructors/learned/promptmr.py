"""PromptMR as it was first published: unrolled over the k-space of adjacent slices."""

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.image import center_fit
from mrirecon.networks.denoiser import Denoiser
from mrirecon.networks.normalized_images import NormalizedImages
from mrirecon.reconstructors.base import Along, CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.learned.varnet import Cascade
from mrirecon.reconstructors.parts.adjacent_slices import adjacent_slices
from mrirecon.reconstructors.parts.kspace_state import KspaceState
from mrirecon.reconstructors.parts.readout_crop import cut_readout
from mrirecon.reconstructors.parts.unrolled import check_fits, coil_maps, for_each_step
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Sample


class PromptMR(CoilwiseReconstructor):
    r"""Unrolled gradient steps on the k-space of adjacent slices, with one network for all of them.

    .. math:: k_{t+1} = k_t - \eta_t M (k_t - y) - E\,D_t(E^H k_t), \qquad E = F S

    as in :class:`~mrirecon.reconstructors.VarNet`, but :math:`k` holds a window of slices, each
    with its own maps and data, and :math:`D` sees and corrects all of them at once. The output is
    the root-sum-of-squares of the one in the middle. Xin et al., arXiv:2309.13839 (STACOM 2023);
    published weights are read by :mod:`mrirecon.toolkits.promptmr`.
    :class:`~mrirecon.reconstructors.DeepUnrolled` is unrolled over images instead.

    Args:
        sensitivity: Estimator of the coil sensitivities, of each slice.
        regularizer: Network :math:`D` from ``2 * context + 1`` complex images to as many.
        iterations: Number of steps.
        context: Adjacent slices on each side, to be found in ``sample.neighbors``.
        context_along: Whether they are adjacent slices or adjacent frames of the same slice, the
            frames of a cycle being those of which the first follows the last.
        readout: Rows of the image to which the field of view is cut along the readout, if it is
            larger and whole readouts were measured; never less than the field of view of the
            reconstruction. What lies outside is zero. None leaves it. The host waits for the
            field of view once per batch.

    Attributes:
        context: Number of neighbours on each side that a Sample must come with, as above.
        context_along: Whether these neighbours are slices or frames, as above.
    """

    needs_grid = "its state is a k-space on the grid"

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: NormalizedImages | Denoiser,
        iterations: int = 12,
        context: int = 1,
        context_along: Along = "slices",
        readout: int | None = None,
    ) -> None:
        super().__init__()
        check_not_negative(context=context)
        if readout is not None:
            check_at_least(1, readout=readout)
        slices = 2 * context + 1
        check_fits("regularizer", regularizer, images=slices, outputs=slices)
        self.sensitivity = sensitivity
        self.context, self.context_along = context, context_along
        self.readout = readout
        self.cascades = for_each_step(Cascade(regularizer), iterations)

    def coil_images(self, sample: Sample) -> CoilImages:
        """Return the coil images of the slice in the middle.

        Raises:
            ShapeError: When the neighbours that the context needs are missing.
        """
        slices = adjacent_slices(sample, self.context)
        if self.readout is not None:
            seen = self.readout if sample.region is None else int(sample.region[..., 0].max())
            slices = cut_readout(slices, max(self.readout, seen))
        k = KspaceState.of_data(slices, coil_maps(self.sensitivity, slices))
        for cascade in self.cascades:
            k = cascade(k)
        images = k.coil_images()[..., self.context, :, :, :]
        return center_fit(images, sample.kspace.shape[-2:])
