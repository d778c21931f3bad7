r"""Trains the network of `segmenter=tissues` on simulated heads: fluid, grey and white matter.

    python data_scripts/tissue_segmenter.py mrirecon/downstream/tissues.safetensors

About 15 minutes on one free core. Contrasts, intensity, noise, orientation and pixel size are drawn
at random. The Dice coefficients that it prints are those of other simulated heads.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm, trange

from mrirecon.downstream import LABELS, TissueSegmenter, normalized, tissue_network
from mrirecon.errors import MriReconError, OutputError
from mrirecon.files import atomic
from mrirecon.networks import Unet
from mrirecon.simulation.anatomy import Anatomy
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.tissues import INDEX, tissue_table
from mrirecon.training.checkpoint import written_by
from mrirecon.weights.safetensors_file import write_safetensors

SIZE, BATCH, RATE = 128, 8, 2e-3
CLASSES = {"csf": ("csf",), "grey": ("grey", "deep_grey", "pallidum"), "white": ("white",)}
LESIONS = ("lesion", "edema", "tumour")
"""Tissues that are labelled as nothing, neither right nor wrong."""
IGNORED = -100
FIRST_TESTED = 60_000

Slice = tuple[Float[Tensor, "tissue y x"], Int[Tensor, "y x"]]


def drawn_slice(subject: int) -> Slice:
    """Return what is where in a slice of a head, and the labels."""
    rng = np.random.default_rng((subject, 11))
    anatomy = Anatomy.draw(np.random.default_rng((subject, 0)))
    pixel = rng.uniform(0.9, 2.2)
    axes = (np.arange(SIZE) - SIZE // 2) * pixel
    rows, columns = np.meshgrid(axes, axes, indexing="ij")
    depth = np.full(rows.size, rng.uniform(-35, 60))
    order = [(0, 1, 2), (0, 1, 2), (0, 1, 2), (1, 2, 0), (0, 2, 1)][rng.integers(5)]
    tilt = np.linalg.qr(np.eye(3) + 0.1 * rng.standard_normal((3, 3)))[0]
    points = tilt[:, order] @ np.stack([rows.ravel(), columns.ravel(), depth])
    fractions, modulation = anatomy.fractions(points.astype(np.float32), float(pixel))
    shares = [fractions[[INDEX[name] for name in names]].sum(0) for names in CLASSES.values()]
    stacked = np.stack([1 - np.sum(shares, 0), *shares])
    labels = stacked.argmax(0)
    labels[fractions[[INDEX[name] for name in LESIONS]].sum(0) > 0.3] = IGNORED
    shape = (SIZE, SIZE)
    tissues = torch.from_numpy(fractions * modulation).reshape(-1, *shape)
    return tissues.half(), torch.from_numpy(labels).reshape(shape)


def image(tissues: Float[Tensor, "tissue y x"], rng: np.random.Generator) -> Float[Tensor, "y x"]:
    """Return a magnitude image of a contrast, with uneven intensity and noise."""
    contrast = [*CONTRASTS.values()][rng.integers(len(CONTRASTS))]
    signal = contrast.signal(tissue_table(float(rng.choice([1.5, 3.0]))))
    signal = np.abs(signal) * np.exp(0.1 * rng.standard_normal(len(signal)))
    pixels = torch.einsum("t,tyx->yx", torch.from_numpy(signal).float(), tissues.float())
    axes = np.linspace(-1, 1, SIZE, dtype=np.float32)
    y, x = np.meshgrid(axes, axes, indexing="ij")
    uneven = sum(rng.normal(0, 0.3) * term for term in (x, y, x * y, x * x, y * y))
    pixels = pixels * torch.from_numpy(np.exp(uneven).astype(np.float32))
    level = float(pixels.max()) * 10 ** rng.uniform(-3, -1.1)
    noise = level * rng.standard_normal((2, SIZE, SIZE)).astype(np.float32)
    return torch.hypot(pixels + torch.from_numpy(noise[0]), torch.from_numpy(noise[1]))


def batch(slices: Sequence[Slice], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return images ``b 1 y x`` and labels ``b y x``, turned and mirrored at random."""
    images, labels = [], []
    for number in rng.integers(len(slices), size=BATCH):
        tissues, label = slices[number]
        pair = torch.stack([normalized(image(tissues, rng)[None])[0], label.float()])
        pair = torch.rot90(pair, int(rng.integers(4)), (-2, -1))
        pair = pair.flip(-1) if rng.random() < 0.5 else pair
        images.append(pair[:1])
        labels.append(pair[1].long())
    return torch.stack(images), torch.stack(labels)


def loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the cross entropy and of what the soft Dice coefficients lack."""
    entropy = F.cross_entropy(scores, labels, ignore_index=IGNORED)
    known = (labels != IGNORED).unsqueeze(1)
    truth = F.one_hot(labels.clamp_min(0), scores.shape[1]).movedim(-1, 1) * known
    found = scores.softmax(1) * known
    both, total = (found * truth).sum((0, 2, 3)), (found + truth).sum((0, 2, 3))
    return entropy + 1 - (2 * both / total.clamp_min(1.0))[1:].mean()


def trained(slices: Sequence[Slice], steps: int, seed: int) -> Unet:
    """Train a network."""
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), tissue_network()
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    bar = trange(steps, desc="training")
    for step in bar:
        images, labels = batch(slices, rng)
        value = loss(network(images), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        scheduler.step()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{float(value):.3f}")
    return network


def dice(segmenter: TissueSegmenter, slices: Sequence[Slice], seed: int) -> dict[str, float]:
    """Return the Dice coefficient of every tissue over all slices."""
    rng = np.random.default_rng(seed)
    both, total = np.zeros(len(LABELS)), np.zeros(len(LABELS))
    for tissues, label in slices:
        known = label.numpy() != IGNORED
        found = segmenter(image(tissues, rng)[None].numpy())[0]
        for place, number in enumerate(LABELS):
            a, b = (found == number) & known, label.numpy() == number
            both[place] += 2 * (a & b).sum()
            total[place] += a.sum() + b.sum()
    return dict(zip(LABELS.values(), both / total, strict=True))


def main() -> None:
    """Train, write the file, and print how good it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--heads", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        if given.output.exists():
            raise OutputError(f"{given.output} is there already; remove it, or give another name")
        slices = [drawn_slice(number) for number in tqdm(range(given.heads), desc="heads")]
        network = trained(slices, given.steps, given.seed)
        with atomic(given.output) as temporary:
            write_safetensors(
                temporary,
                network.state_dict(),
                {"mrirecon": written_by(), "global_step": given.steps},
            )
        tested = [drawn_slice(FIRST_TESTED + number) for number in range(100)]
        found = dice(TissueSegmenter(str(given.output)), tested, given.seed)
    except MriReconError as error:
        sys.exit(f"tissue_segmenter.py: {error}")
    size = given.output.stat().st_size / 1e3
    told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    print(f"{given.output}: {size:.0f} kB; Dice of 100 other heads (simulated): {told}")


if __name__ == "__main__":
    main()
