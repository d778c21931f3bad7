"""Linear operators with an adjoint, and the algebra that composes them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


class LinearOperator(ABC):
    r"""A linear map :math:`A` between tensors, with its adjoint :math:`A^H`.

    ``A(x)`` applies it, ``A.H(y)`` applies the adjoint, ``A @ B`` composes and ``A.gram`` is
    :math:`A^H A`. Subclasses are frozen dataclasses that hold their tensors, so autograd reaches
    whatever produced those tensors (for instance a network that estimates coil sensitivities).
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return :math:`A x`."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Return :math:`A^H y`."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)

    @property
    def H(self) -> "LinearOperator":
        """The adjoint operator."""
        return Adjoint(self)

    @property
    def gram(self) -> "LinearOperator":
        """The normal operator, Hermitian and positive semi-definite."""
        return self.H @ self

    def __matmul__(self, other: "LinearOperator") -> "LinearOperator":
        return Composition(self, other)


@dataclass(frozen=True)
class Adjoint(LinearOperator):
    """The adjoint of an operator; its own adjoint is that operator again."""

    operator: LinearOperator

    def forward(self, x: Tensor) -> Tensor:
        return self.operator.adjoint(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.operator.forward(y)

    @property
    def H(self) -> LinearOperator:
        return self.operator


@dataclass(frozen=True)
class Composition(LinearOperator):
    """First ``inner``, then ``outer``."""

    outer: LinearOperator
    inner: LinearOperator

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(self.outer.adjoint(y))
