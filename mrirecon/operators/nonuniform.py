r"""The Fourier transform at any points of k-space, by finufft on the CPU and cufinufft on a GPU.

References:
    Barnett, Magland and af Klinteberg, A parallel nonuniform fast Fourier transform library based
    on an "exponential of semicircle" kernel, SIAM J Sci Comput 41:C479, 2019.
    Fessler et al., Toeplitz-based iterative image reconstruction for MRI with correction for
    magnetic field inhomogeneity, IEEE Trans Signal Process 53:3393, 2005.
"""

import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from mrirecon.errors import MriReconError
from mrirecon.fourier import convolved, origin_first, plain_fft
from mrirecon.missing import needs
from mrirecon.operators.base import LinearOperator

DOUBLE, SINGLE = 1e-9, 2e-5
"""Relative errors of the transform in double and in single precision.

For a smaller one in single precision finufft takes twice the time, and angles in single precision
leave 2e-5 of it for 320 x 320 pixels all the same.
"""


@dataclass(frozen=True)
class NonUniformFourier(LinearOperator):
    r"""Image to k-space along a trajectory.

    .. math:: y_j = \frac{1}{\sqrt N} \sum_n x_n e^{-2\pi i\,\sum_d k_{jd} (n_d - c_d) / N_d},
              \qquad c_d = \lfloor N_d / 2 \rfloor

    At the points of the Cartesian grid, integers from :math:`-c_d`, it is
    :func:`mrirecon.fourier.fft`. All leading axes of the image are transformed at once with a plan
    that is made when it is first needed and kept. The gradient with respect to the image is the
    adjoint; that with respect to the trajectory costs one more transform for each of its axes.

    Attributes:
        trajectory: Places in k-space, in cycles per field of view: one for each sample and axis.
        shape: Size of the image, two or three axes.
        tolerance: Relative error; None takes 1e-9 in double, 2e-5 in single precision.
    """

    trajectory: Float[Tensor, "sample axis"]
    shape: tuple[int, ...]
    tolerance: float | None = None
    _plans: "_Plans" = field(default_factory=lambda: _Plans(), compare=False, repr=False)

    def __post_init__(self) -> None:
        axes = self.trajectory.shape[-1]
        if axes != len(self.shape) or axes not in (2, 3):
            raise ValueError(
                f"trajectory: expected places along 2 or 3 axes, as many as the image "
                f"{self.shape} has, got {axes}"
            )
        if not bool(self.trajectory.isfinite().all()):
            raise ValueError("trajectory: holds values that are not finite")

    def forward(self, x: Complex[Tensor, "..."]) -> Complex[Tensor, "*b sample"]:
        batch = x.shape[: -len(self.shape)]
        flat = x.reshape(-1, *self.shape)
        result: Tensor = _Apply.apply(flat, self.trajectory, self, False)
        return result.reshape(*batch, -1)

    def adjoint(self, y: Complex[Tensor, "*b sample"]) -> Complex[Tensor, "..."]:
        flat = y.reshape(-1, y.shape[-1])
        result: Tensor = _Apply.apply(flat, self.trajectory, self, True)
        return result.reshape(*y.shape[:-1], *self.shape)

    def toeplitz(self, weights: Float[Tensor, "sample"] | None = None) -> "Toeplitz":
        """Return :math:`A^H W A` by two transforms on a grid of twice the size.

        Args:
            weights: Weight of each sample; None weighs all alike.
        """
        return Toeplitz(self.spectrum(weights), self.shape)

    def spectrum(self, weights: Float[Tensor, "sample"] | None = None) -> Float[Tensor, "..."]:
        """Return the spectrum of the convolution :math:`A^H W A`, on a grid of twice the size.

        Args:
            weights: Weight of each sample; None weighs all alike.

        Returns:
            What :func:`mrirecon.fourier.convolved` takes, the centre at index 0.
        """
        twice = tuple(2 * n for n in self.shape)
        points = NonUniformFourier(self.trajectory.detach() * 2, twice, self.tolerance)
        real = self.trajectory
        ones = torch.ones(len(real), dtype=real.dtype, device=real.device)
        values = ones if weights is None else weights.to(real.dtype)
        spread = points.adjoint(torch.complex(values, torch.zeros_like(values)))
        for axis in range(len(twice)):  # the largest distance has no opposite
            spread.narrow(axis - len(twice), 0, 1).zero_()
        axes = tuple(range(-len(twice), 0))
        size = math.prod(twice)
        # spread is divided by the root of its own size, the plain transform as well
        gain = size / math.prod(self.shape)
        return plain_fft(origin_first(spread, axes), axes).real * gain

    def _transformed(self, flat: Tensor, adjoint: bool) -> Tensor:
        plan = self._plans.plan(self, len(flat), flat, adjoint)
        return plan(flat) / math.sqrt(math.prod(self.shape))


@dataclass(frozen=True)
class Toeplitz(LinearOperator):
    r""":math:`A^H W A` of a :class:`NonUniformFourier`, a convolution without wrapping around.

    Attributes:
        spectrum: Spectrum of the point spread function on twice the grid, its centre at index 0.
        shape: Size of the image.
    """

    spectrum: Float[Tensor, "..."]
    shape: tuple[int, ...]

    def forward(self, x: Complex[Tensor, "..."]) -> Complex[Tensor, "..."]:
        return convolved(x, self.spectrum, tuple(range(-len(self.shape), 0)))

    def adjoint(self, y: Complex[Tensor, "..."]) -> Complex[Tensor, "..."]:
        return self.forward(y)


class _Apply(torch.autograd.Function):
    """The transform or its adjoint of a flat batch; each is the other's gradient."""

    @staticmethod
    def forward(  # type: ignore[override]
        flat: Tensor,
        trajectory: Tensor,  # noqa: ARG004 - the operator's own, for its gradient
        operator: NonUniformFourier,
        adjoint: bool,
    ) -> Tensor:
        return operator._transformed(flat.detach(), adjoint)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        flat, trajectory, ctx.operator, ctx.adjoint = inputs
        ctx.save_for_backward(flat, trajectory)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        flat, trajectory = ctx.saved_tensors
        operator, own, places = ctx.operator, None, None
        gradient = gradient.resolve_conj()
        if ctx.needs_input_grad[0]:
            own = _Apply.apply(gradient, trajectory, operator, not ctx.adjoint)
        if ctx.needs_input_grad[1]:
            image, samples = (gradient, flat) if ctx.adjoint else (flat, gradient)
            places = _of_places(operator, image, samples)
        return own, places, None, None


def _of_places(operator: NonUniformFourier, image: Tensor, samples: Tensor) -> Tensor:
    """Return the derivative of Re <samples, A image> by the places of the samples."""
    found = []
    for axis, size in enumerate(operator.shape):
        index = torch.arange(size, device=image.device, dtype=image.real.dtype) - size // 2
        shape = [1] * len(operator.shape)
        shape[axis] = size
        slope = image * (-2j * math.pi / size * index.view(shape))
        change = operator._transformed(slope, False)
        found.append((samples.conj() * change).real.sum(0))
    return torch.stack(found, -1)


class _Plans:
    """Plans of finufft by what they are for: they are costly to make, and serve again."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], _Plan] = {}

    def plan(self, operator: NonUniformFourier, count: int, like: Tensor, adjoint: bool) -> "_Plan":
        threads = torch.get_num_threads()
        key = (count, like.dtype, like.device, adjoint, threads)
        if key not in self._known:
            self._known[key] = _Plan(operator, count, like, adjoint)
        return self._known[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Plans":
        return _Plans()

    def __getstate__(self) -> dict[str, Any]:
        return {"_known": {}}  # plans cannot be copied to another process


class _Plan:
    """A plan of finufft, or of cufinufft on the GPU that the values lie on."""

    def __init__(
        self, operator: NonUniformFourier, count: int, like: Tensor, adjoint: bool
    ) -> None:
        kind, sign = (1, 1) if adjoint else (2, -1)
        double = like.dtype == torch.complex128
        eps = operator.tolerance or (DOUBLE if double else SINGLE)
        name = "complex128" if double else "complex64"
        if like.is_cuda:
            package = _package("cufinufft")
            options: dict[str, Any] = {"gpu_device_id": like.device.index or 0}
        else:
            package, options = _package("finufft"), {"nthreads": torch.get_num_threads()}
        self._plan = package.Plan(kind, operator.shape, count, eps, sign, dtype=name, **options)
        self._places = [
            _native(one) for one in _angles(operator, like)
        ]  # kept: they are not copied
        self._plan.setpts(*self._places)
        self._shape = (count, *(operator.shape if adjoint else self._places[0].shape))

    def __call__(self, flat: Tensor) -> Tensor:
        found = torch.empty(self._shape, dtype=flat.dtype, device=flat.device)
        self._plan.execute(_native(flat.resolve_conj()), out=_native(found))
        return found


def _native(values: Tensor) -> Any:
    """Return values as finufft takes them: arrays of NumPy, or tensors on a GPU; no copy."""
    values = values.contiguous()
    return values if values.is_cuda else values.numpy()


def _angles(operator: NonUniformFourier, like: Tensor) -> list[Tensor]:
    """Return the places along each axis as angles, in the precision of the values."""
    exact = operator.trajectory.detach().to(like.device, torch.float64)
    angles = [exact[:, axis] * (2 * math.pi / size) for axis, size in enumerate(operator.shape)]
    return [torch.remainder(one + math.pi, 2 * math.pi).sub(math.pi).to(like.real.dtype)
            for one in angles]  # fmt: skip


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MriReconError(
            f"non-Cartesian k-space {needs(error)}, or pip install 'mrirecon[noncartesian]'"
        ) from error
