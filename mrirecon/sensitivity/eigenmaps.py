"""Maps of the leading eigenvectors of a matrix per pixel, without an eigendecomposition at each.

Coil sensitivities are smooth: eigenvectors on a coarse grid, interpolated, are those of the full
grid, except where eigenvalues cross. There interpolated unit vectors do not keep their length, so
that the places are known, and the few pixels are computed from their own matrices.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex64, Float32, Int64
from torch import Tensor

from mrirecon.sensitivity.subspace import Nodes

SQUARINGS, STEPS = 4, 8  # power 16, applied 9 times: eigenvalues 1 and 0.95 are told apart to 1e-3
COARSE = 14  # points of the coarse grid per node of the polynomial's half width
ORDER = 6  # points of the Lagrange interpolation
LOST = 3e-6  # change of an interpolated unit vector's length above which a pixel is recomputed
NEAR = 0.1  # below the crop, where eigenvalues are still of interest
CHUNK = {"cpu": 2**21, "cuda": 2**27}  # elements of the pixel matrices held at a time
# elements of the maps interpolated at a time: as stay in a processor's cache, or few launches
TILE = {"cpu": 2**19, "cuda": 2**26}

Vectors = Complex64[Tensor, "n set coil"]
Values = Float32[Tensor, "n set"]


@dataclass(frozen=True)
class Eigenmaps:
    """Unit eigenvectors and their eigenvalues at every pixel, in falling order.

    Attributes:
        vectors: Eigenvectors of unit norm over the coils; zero where none was asked for or none
            exists.
        values: Eigenvalue of each vector, largest first.
    """

    vectors: Complex64[Tensor, "b set coil h w"]
    values: Float32[Tensor, "b set h w"]


def eigenmaps(
    nodes: Nodes,
    shape: tuple[int, int],
    reference: Complex64[Tensor, "b coil"],
    *,
    sets: int = 1,
    smallest: float = 0.0,
) -> Eigenmaps:
    """Return the leading ``sets`` eigenvectors at every pixel.

    Args:
        nodes: The matrices, see :mod:`mrirecon.sensitivity.subspace`.
        shape: Size of the grid.
        reference: Coil combination in which every vector is real and positive.
        sets: Number of eigenvectors at every pixel.
        smallest: Vectors of smaller eigenvalues need not be accurate.
    """
    batch, coils = nodes.shape[0], nodes.shape[-1]
    vectors = nodes.new_empty(batch, sets, coils, *shape)
    values = nodes.new_empty(batch, sets, *shape, dtype=torch.float32)
    for member in range(batch):
        problem = _Member(nodes[member], shape, reference[member], sets)
        problem.solve(vectors[member], values[member], smallest - NEAR)
    return Eigenmaps(vectors, values)


def leading(
    G: Complex64[Tensor, "n coil coil"], reference: Complex64[Tensor, "coil"], sets: int
) -> tuple[Vectors, Values]:
    """Return the leading eigenvectors of Hermitian positive semi-definite matrices.

    By repeated squaring and power steps, one after the other: each found one is taken out of the
    matrix. The same operations on every device.
    """
    vectors, values = [], []
    found: list[Complex64[Tensor, "n coil 1"]] = []
    for _ in range(sets):
        power = _normalized(G)
        for squaring in range(SQUARINGS):
            power = power @ power
            if squaring % 2:  # often enough for float32
                power = _normalized(power)
        column = power.diagonal(dim1=-2, dim2=-1).real.argmax(-1)
        vector = power.gather(-1, column[:, None, None].expand(-1, G.shape[-1], 1))
        for _ in range(STEPS):
            vector = power @ vector
        vector = _unit(vector)
        for earlier in found:  # exactly orthogonal, also where two eigenvalues nearly agree
            vector = _unit(vector - earlier * (earlier.mH @ vector))
        found.append(vector)
        image = G @ vector
        value = _energy(torch.view_as_real(vector) * torch.view_as_real(image)).unsqueeze(-1)
        phase = reference.conj() @ vector
        phase = torch.where(phase == 0, 1.0, phase.sgn().conj()).unsqueeze(-1)
        vectors.append((vector * phase)[..., 0])
        values.append(value[:, 0])
        if len(vectors) < sets:
            G = G - value.unsqueeze(-1) * vector @ vector.mH
    return torch.stack(vectors, 1), torch.stack(values, 1)


@dataclass(frozen=True)
class _Member:
    """One member of a batch."""

    nodes: Complex64[Tensor, "p p coil coil"]
    shape: tuple[int, int]
    reference: Complex64[Tensor, "coil"]
    sets: int

    def solve(
        self,
        vectors: Complex64[Tensor, "set coil h w"],
        values: Float32[Tensor, "set h w"],
        smallest: float,
    ) -> None:
        """Fill ``vectors`` and ``values``."""
        coarse = [self._coarse(size) for size in self.shape]
        grid = torch.cartesian_prod(*(torch.arange(n, device=self.nodes.device) for n in coarse))
        found, eigenvalues = self._at(grid, (coarse[0], coarse[1]))
        planes = torch.view_as_real(found).permute(3, 1, 2, 0).reshape(2, self.sets, -1, *coarse)
        eigenvalues = eigenvalues.T.reshape(self.sets, *coarse)
        wy, wx = (
            interpolation_weights(full, n).to(eigenvalues)
            for full, n in zip(self.shape, coarse, strict=True)
        )
        planes, eigenvalues = planes @ wx.T, eigenvalues @ wx.T
        tile = TILE.get(planes.device.type, TILE["cpu"])
        step = max(1, tile // max(1, planes[..., 0, :].numel()))
        lost = []
        for start in range(0, self.shape[0], step):
            rows = slice(start, start + step)
            part = wy[rows] @ planes
            length = part.square().sum((0, 2)).sqrt()
            part /= torch.where(length > 0, length, 1.0).unsqueeze(1)
            vectors[:, :, rows] = torch.complex(part[0], part[1])
            values[:, rows] = wy[rows] @ eigenvalues
            wrong = ((length - 1).abs() > LOST) & (values[:, rows] >= smallest)
            where = wrong.any(0).nonzero()
            where[:, 0] += start
            lost.append(where)
        self._recompute(vectors, values, torch.cat(lost))

    def _coarse(self, size: int) -> int:
        coarse = COARSE * (len(self.nodes) + 1) // 2
        return size if size < 1.5 * coarse else coarse

    def _recompute(self, vectors: Tensor, values: Tensor, pixels: Int64[Tensor, "n 2"]) -> None:
        if len(pixels):
            exact, eigenvalues = self._at(pixels, self.shape)
            y, x = pixels.T
            vectors[:, :, y, x] = exact.permute(1, 2, 0)
            values[:, y, x] = eigenvalues.T

    def _at(self, pixels: Int64[Tensor, "n 2"], shape: tuple[int, int]) -> tuple[Vectors, Values]:
        """Solve at pixels of a grid of this shape, a chunk at a time."""
        coils, count = self.nodes.shape[-1], len(self.nodes)
        real = torch.view_as_real(self.nodes).reshape(count**2, -1)
        y, x = (dirichlet(size, count).to(real) for size in shape)
        step = max(1, CHUNK.get(real.device.type, CHUNK["cpu"]) // coils**2)
        parts = []
        for chosen in pixels.split(step):
            weights = (y[chosen[:, 0], :, None] * x[chosen[:, 1], None, :]).flatten(1)
            G = torch.view_as_complex((weights @ real).reshape(-1, coils, coils, 2))
            parts.append(leading(G, self.reference, self.sets))
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def dirichlet(size: int, count: int) -> Float32[Tensor, "size count"]:
    """Return what takes a trigonometric polynomial from ``count`` nodes to ``size`` pixels."""
    pixel = (torch.arange(size, dtype=torch.float64) - size // 2) / size
    order = torch.arange(1, (count + 1) // 2, dtype=torch.float64)
    distance = pixel[:, None] - torch.arange(count, dtype=torch.float64) / count
    waves = torch.cos(2 * math.pi * distance.unsqueeze(-1) * order)
    return ((1 + 2 * waves.sum(-1)) / count).to(torch.float32)


def interpolation_weights(size: int, coarse: int) -> Float32[Tensor, "size coarse"]:
    """Return Lagrange interpolation from a periodic grid of the same field of view."""
    if size == coarse:
        return torch.eye(size)
    position = (torch.arange(size, dtype=torch.float64) - size // 2) / size * coarse + coarse // 2
    first = position.floor() - (ORDER // 2 - 1)
    offset = position - first
    weights = torch.zeros(size, coarse, dtype=torch.float64)
    for node in range(ORDER):
        others = [other for other in range(ORDER) if other != node]
        weight = torch.stack([(offset - other) / (node - other) for other in others]).prod(0)
        index = (first.long() + node) % coarse
        weights.scatter_add_(1, index[:, None], weight[:, None])
    return weights.to(torch.float32)


def _normalized(G: Complex64[Tensor, "n coil coil"]) -> Complex64[Tensor, "n coil coil"]:
    return _divided(G, G.diagonal(dim1=-2, dim2=-1).real.sum(-1))


def _unit(vector: Complex64[Tensor, "n coil 1"]) -> Complex64[Tensor, "n coil 1"]:
    return _divided(vector, _energy(torch.view_as_real(vector).square()).sqrt())


def _energy(products: Float32[Tensor, "n coil 1 2"]) -> Float32[Tensor, "n"]:
    return products.sum((1, 2, 3))


def _divided(x: Complex64[Tensor, "n r c"], by: Float32[Tensor, "n"]) -> Complex64[Tensor, "n r c"]:
    """Divide by real numbers, or leave as it is where they are 0; many times faster in real."""
    inverse = torch.where(by > 0, by, 1.0).reciprocal()
    return torch.view_as_complex(torch.view_as_real(x) * inverse[:, None, None, None])
