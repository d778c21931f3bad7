"""Telling a network how a slice was measured, so that one network can serve many protocols."""

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.types import PROTOCOL, Sample

UNITS = (1.0, 100.0, 10.0, 100.0, 30.0)
"""Of T, ms, ms, ms and degrees: what makes usual protocols vary between about 0.2 and 5."""
FACTS = 4  # that sampling_facts returns


class Conditioning(nn.Module):
    r"""An embedding of how each member of a batch was measured.

    .. math:: e = W_2\operatorname{SiLU}\Big(W_1 s + \sum_i \tilde p_i + v_k\Big), \qquad
              \tilde p_i = \begin{cases} a_i \log(1 + p_i / u_i) + b_i & \text{if known} \\
                                         c_i & \text{else} \end{cases}

    with the :func:`sampling_facts` :math:`s`, the numbers :math:`p` of
    :data:`~mrirecon.types.PROTOCOL` in units :math:`u`, and a vector for the step :math:`k` of an
    unrolled method. A number that is not known has a learned vector of its own, so it is neither
    guessed nor taken for zero. Feed it to :class:`FeatureModulation`.

    Args:
        features: Length of the embedding.
        protocol: Whether to look at ``sample.protocol``; else only at the sampling.
        steps: Number of steps that are told apart; 0 when the embedding serves all.
    """

    needs_grid = "its conditioning describes masks of the grid"

    def __init__(self, features: int = 64, protocol: bool = True, steps: int = 0) -> None:
        super().__init__()
        check_at_least(1, features=features)
        if steps < 0:
            raise ValueError(f"steps must not be negative, got {steps}")
        self.features, self.steps = features, steps
        self.sampling = nn.Linear(FACTS, features)
        self.protocol = _Numbers(features) if protocol else None
        self.step = nn.Embedding(steps, features) if steps else None
        self.output = nn.Linear(features, features)

    def forward(self, sample: Sample, step: int | None = None) -> Float[Tensor, "*b features"]:
        """Return the embedding of every member.

        Args:
            sample: A batch of slices.
            step: Number of the step, from zero; of no effect when steps are not told apart.

        Raises:
            ValueError: When ``step`` is missing, or is not one of those that are told apart.
        """
        if self.steps and (step is None or not 0 <= step < self.steps):
            raise ValueError(
                f"step of the conditioning: expected 0 to {self.steps - 1}, got {step}; "
                "its steps must be as many as the model has"
            )
        x = self.sampling(sampling_facts(sample))
        if self.protocol is not None:
            x = x + self.protocol(sample)
        if self.step is not None:
            x = x + self.step.weight[step]
        return self.output(F.silu(x))  # type: ignore[no-any-return]


class _Numbers(nn.Module):
    """The part of the embedding that the protocol makes."""

    units: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.empty(len(PROTOCOL), features))
        self.bias = nn.Parameter(torch.empty(len(PROTOCOL), features))
        self.unknown = nn.Parameter(torch.empty(len(PROTOCOL), features))
        self.register_buffer("units", torch.tensor(UNITS), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; the sum of all numbers is about as large as one linear layer's."""
        bound = len(PROTOCOL) ** -0.5
        for weights in (self.slope, self.bias, self.unknown):
            nn.init.uniform_(weights, -bound, bound)

    def forward(self, sample: Sample) -> Float[Tensor, "*b features"]:
        """Return the sum over the numbers of every member."""
        numbers = sample.protocol
        if numbers is None:
            shape = (*sample.kspace.shape[:-3], len(PROTOCOL))
            numbers = torch.full(shape, torch.nan, device=sample.kspace.device)
        known = numbers.isfinite() & (numbers >= 0)
        # what is unknown must not reach the product: its gradient would be NaN as well
        scaled = torch.log1p(numbers.where(known, 0.0) / self.units).unsqueeze(-1)
        vectors = torch.where(known.unsqueeze(-1), scaled * self.slope + self.bias, self.unknown)
        return vectors.sum(-2)


class FeatureModulation(nn.Module):
    r"""Scales and shifts every feature map by what an embedding says (FiLM).

    .. math:: x_c \leftarrow (1 + \gamma_c(e))\,x_c + \beta_c(e)

    (Perez et al., AAAI 2018.) Both are linear in the embedding and start at zero, so that before
    training nothing is changed.

    Args:
        features: Length of the embedding.
        channels: Number of feature maps.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 2 * channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity."""
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b features"]
    ) -> Float[Tensor, "b c h w"]:
        """Return the modulated feature maps."""
        gain, shift = self.linear(embedding)[..., None, None].chunk(2, 1)
        return (1 + gain) * x + shift


@torch.no_grad()
def sampling_facts(sample: Sample) -> Float32[Tensor, "*b 4"]:
    """Return what tells one undersampling from another, from the mask alone.

    A mask that a pattern drew and one that the scanner brought are looked at alike, as are a line
    mask and the same mask with all its rows.

    Returns:
        The logarithm of the acceleration; the logarithm of the part of k-space that the fully
        sampled centre has; 1 when both axes have gaps, 0 for whole lines; and the standard
        deviation of the distances between samples over their mean, 0 for equispaced lines.
    """
    mask = sample.mask.expand(*sample.kspace.shape[:-3], -1, sample.kspace.shape[-1])
    h, w = mask.shape[-2:]
    smallest = 1 / sample.kspace.shape[-2:].numel()  # an empty mask has finite facts, too
    center = _run(mask[..., h // 2, :]) * _run(mask[..., w // 2]) / (h * w)
    rows, columns = mask.any(-1), mask.any(-2)
    lines = (mask == rows.unsqueeze(-1) & columns.unsqueeze(-2)).all(-1).all(-1)
    whole = _whole(rows) | _whole(columns)
    return torch.stack(
        [
            -mask.float().mean((-2, -1)).clamp_min(smallest).log(),
            center.clamp_min(smallest).log(),
            (~(lines & whole)).float(),
            _irregularity(mask),
        ],
        -1,
    )


def _run(line: Bool[Tensor, "*b n"]) -> Float32[Tensor, "*b"]:
    """Count the samples around the centre ``n // 2`` without a gap, as many on either side."""
    middle = line.shape[-1] // 2
    left = line[..., :middle].flip(-1).cumprod(-1).sum(-1)
    right = line[..., middle:].cumprod(-1).sum(-1)
    return (torch.minimum(left, right) + torch.minimum(right, left + 1)).float()


def _whole(line: Bool[Tensor, "*b n"]) -> Bool[Tensor, "*b"]:
    """Tell whether there is no gap between the first and the last sample."""
    return (line[..., 1:] & ~line[..., :-1]).sum(-1) + line[..., 0] <= 1


def _irregularity(mask: Bool[Tensor, "*b h w"]) -> Float32[Tensor, "*b"]:
    """Coefficient of variation of the distances above one between samples, along both axes."""
    values = torch.cat([_distances(mask).flatten(-2), _distances(mask.mT).flatten(-2)], -1)
    wide = values > 1
    count = wide.sum(-1).clamp_min(1)
    mean = (values * wide).sum(-1) / count
    variance = ((values - mean.unsqueeze(-1)).square() * wide).sum(-1) / count
    return variance.sqrt() / mean.clamp_min(1)


def _distances(mask: Bool[Tensor, "*b h w"]) -> Float32[Tensor, "*b h w"]:
    """Return how far it is along ``w`` from each sample to the next; 0 elsewhere and at the end."""
    n = mask.shape[-1]
    position = torch.arange(n, device=mask.device)
    place = torch.where(mask, position, n)
    following = place.flip(-1).cummin(-1).values.flip(-1)
    following = F.pad(following[..., 1:], (0, 1), value=n)
    return ((following - position) * (mask & (following < n))).float()
