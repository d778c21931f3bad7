"""Maps of the leading eigenvectors of a matrix per pixel, without an eigendecomposition at each.

Coil sensitivities are smooth: eigenvectors on a coarse grid, interpolated, are those of the full
grid, except where eigenvalues cross. There interpolated unit vectors do not keep their length, so
that the places are known, and the few pixels are computed from their own matrices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Complex64, Float32, Int64
from torch import Tensor

from mrirecon.buffers import sent
from mrirecon.sensitivity.subspace import Nodes

SQUARINGS, STEPS = 5, 4  # power 32, applied 5 times: eigenvalues 1 and 0.95 are told apart to 1e-3
COARSE = 11  # points of the coarse grid per node of the polynomial's half width
ORDER = 8  # points of the Lagrange interpolation
LOST = 5e-6  # change of an interpolated unit vector's length above which a pixel is recomputed
NEAR = 0.02  # below the crop; interpolated eigenvalues were at most 0.0084 too small (4 scenes)
# elements of the pixel matrices, and of the interpolated maps, that are worked on at a time: as
# stay in a processor's cache, or few launches
CHUNK = {"cpu": 2**17, "cuda": 2**27}
TILE = {"cpu": 2**18, "cuda": 2**26}

Vectors = Complex64[Tensor, "n set coil"]
Values = Float32[Tensor, "n set"]
Weights = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Eigenmaps:
    """Eigenvectors and their eigenvalues at every pixel, in falling order.

    Attributes:
        vectors: Eigenvectors whose norm over the coils is their weight; zero where none was asked
            for or none exists.
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
    weights: Weights = torch.ones_like,
) -> Eigenmaps:
    """Return the leading ``sets`` eigenvectors at every pixel.

    Args:
        nodes: The matrices, see :mod:`mrirecon.sensitivity.subspace`.
        shape: Size of the grid.
        reference: Coil combination in which every vector is real and positive.
        sets: Number of eigenvectors at every pixel.
        smallest: Vectors of smaller eigenvalues need not be accurate.
        weights: Function of the eigenvalues that tells the norm of the vectors, one by default.
    """
    batch, coils = nodes.shape[0], nodes.shape[-1]
    vectors = nodes.new_empty(batch, sets, coils, *shape)
    values = nodes.new_empty(batch, sets, *shape, dtype=torch.float32)
    for member in range(batch):
        problem = _Member(nodes[member], shape, reference[member], sets, weights)
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
        power = _scaled(G)
        for squaring in range(1, SQUARINGS + 1):
            power = power @ power
            if squaring % 2 == 0:  # often enough for float32
                power = _scaled(power)
        column = _diagonal(power).argmax(-1)
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
    weights: Weights

    def solve(
        self,
        vectors: Complex64[Tensor, "set coil h w"],
        values: Float32[Tensor, "set h w"],
        smallest: float,
    ) -> None:
        """Fill ``vectors`` and ``values``."""
        coarse, (h, w) = (self._coarse(self.shape[0]), self._coarse(self.shape[1])), self.shape
        found, eigenvalues = self._everywhere(coarse)
        across = _kept(interpolation_weights, w, coarse[1], found.device).T
        eigenvalues = eigenvalues.T.reshape(self.sets, *coarse) @ across
        # a row of the coarse grid after the other, its complex numbers as the result has them
        parts = torch.view_as_real(found).reshape(*coarse, -1, 2).permute(0, 2, 3, 1)
        lines = parts.reshape(-1, coarse[1]) @ across
        lines = lines.reshape(coarse[0], -1, 2, w).transpose(-1, -2).flatten(1)
        tile = TILE.get(lines.device.type, TILE["cpu"])
        step = min(h, max(1, tile // max(1, lines.shape[1])))
        result = torch.view_as_real(vectors).flatten(-2)
        wrong = torch.empty_like(values, dtype=torch.bool)
        for rows, near, down in _bands(h, coarse[0], step, lines.device):
            part = (down @ lines[near]).view(len(down), self.sets, -1, 2 * w)
            squares = part.square().sum(2)
            length = (squares[..., ::2] + squares[..., 1::2]).sqrt().transpose(0, 1)
            values[:, rows] = down @ eigenvalues[:, near]
            scale = self.weights(values[:, rows]) / torch.where(length > 0, length, 1.0)
            scale = scale.transpose(0, 1).repeat_interleave(2, -1).unsqueeze(2)
            torch.mul(part, scale, out=result[:, :, rows].permute(2, 0, 1, 3))
            wrong[:, rows] = (length - 1).abs() > LOST
        # a wrong vector may happen to keep its length, but those around it do not
        wrong = _widened(wrong) & (values >= smallest)
        self._recompute(vectors, values, wrong.any(0).nonzero())

    def _coarse(self, size: int) -> int:
        coarse = COARSE * (len(self.nodes) + 1) // 2
        return size if size < 1.5 * coarse else coarse

    def _recompute(self, vectors: Tensor, values: Tensor, pixels: Int64[Tensor, "n 2"]) -> None:
        if len(pixels):
            exact, eigenvalues = self._at(pixels)
            y, x = pixels.T
            vectors[:, :, y, x] = (exact * self.weights(eigenvalues).unsqueeze(-1)).permute(1, 2, 0)
            values[:, y, x] = eigenvalues.T

    def _everywhere(self, grid: tuple[int, int]) -> tuple[Vectors, Values]:
        """Solve on all of a grid, some rows at a time."""
        coils, count = self.nodes.shape[-1], len(self.nodes)
        y, x = self._dirichlet(grid)
        parts = []
        for rows in y.split(self._at_a_time(grid[1])):
            lines = (rows @ self._real.reshape(count, -1)).reshape(len(rows), count, -1)
            parts.append(self._leading((x @ lines).reshape(-1, coils, coils, 2)))
        return _joined(parts)

    def _at(self, pixels: Int64[Tensor, "n 2"]) -> tuple[Vectors, Values]:
        """Solve at pixels of the full grid, a chunk at a time."""
        coils, count = self.nodes.shape[-1], len(self.nodes)
        y, x = self._dirichlet(self.shape)
        parts = []
        for chosen in pixels.split(self._at_a_time()):
            weights = (y[chosen[:, 0], :, None] * x[chosen[:, 1], None, :]).flatten(1)
            G = weights @ self._real.reshape(count**2, -1)
            parts.append(self._leading(G.reshape(-1, coils, coils, 2)))
        return _joined(parts)

    @property
    def _real(self) -> Float32[Tensor, "p p coil coil 2"]:
        return torch.view_as_real(self.nodes)

    def _dirichlet(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        device, count = self.nodes.device, len(self.nodes)
        y, x = (_kept(dirichlet, size, count, device) for size in grid)
        return y, x

    def _at_a_time(self, pixels: int = 1) -> int:
        """Return how many groups of so many pixels are solved at a time."""
        chunk = CHUNK.get(self.nodes.device.type, CHUNK["cpu"])
        return max(1, chunk // (pixels * self.nodes.shape[-1] ** 2))

    def _leading(self, real: Float32[Tensor, "n coil coil 2"]) -> tuple[Vectors, Values]:
        return leading(torch.view_as_complex(real), self.reference, self.sets)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Vectors, Values]:
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@lru_cache(maxsize=32)
def _kept(
    make: Callable[[int, int], Float32[Tensor, "size count"]],
    size: int,
    count: int,
    device: torch.device,
) -> Float32[Tensor, "size count"]:
    """Return a matrix that was made and copied once for a device."""
    return sent(make(size, count), device)


def _widened(where: Bool[Tensor, "set h w"]) -> Bool[Tensor, "set h w"]:
    """Add the pixels around those that are marked; opposite edges are neighbours."""
    rows = where | where.roll(1, -2) | where.roll(-1, -2)
    return rows | rows.roll(1, -1) | rows.roll(-1, -1)


@lru_cache(maxsize=32)
def _bands(
    size: int, coarse: int, step: int, device: torch.device
) -> list[tuple[slice, Int64[Tensor, "near"], Float32[Tensor, "row near"]]]:
    """Cut the interpolation into rows that need few of the coarse grid, and tell these."""
    weights = interpolation_weights(size, coarse)
    bands = []
    for start in range(0, size, step):
        rows = slice(start, min(start + step, size))
        near = weights[rows].any(0).nonzero()[:, 0]
        bands.append((rows, sent(near, device), sent(weights[rows][:, near], device)))
    return bands


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


def _diagonal(G: Complex64[Tensor, "n coil coil"]) -> Float32[Tensor, "n coil"]:
    """Return the real diagonal, contiguous: reductions along strides take several times longer."""
    return G.diagonal(dim1=-2, dim2=-1).real.contiguous()


def _scaled(G: Complex64[Tensor, "n coil coil"]) -> Complex64[Tensor, "n coil coil"]:
    """Return the matrices with a trace of one."""
    return _divided(G, _diagonal(G).sum(-1))


def _unit(vector: Complex64[Tensor, "n coil 1"]) -> Complex64[Tensor, "n coil 1"]:
    return _divided(vector, _energy(torch.view_as_real(vector).square()).sqrt())


def _energy(products: Float32[Tensor, "n coil 1 2"]) -> Float32[Tensor, "n"]:
    return products.sum((1, 2, 3))


def _divided(x: Complex64[Tensor, "n r c"], by: Float32[Tensor, "n"]) -> Complex64[Tensor, "n r c"]:
    """Divide by real numbers, or leave as it is where they are 0; many times faster in real."""
    inverse = torch.where(by > 0, by, 1.0).reciprocal()
    return torch.view_as_complex(torch.view_as_real(x) * inverse[:, None, None, None])
