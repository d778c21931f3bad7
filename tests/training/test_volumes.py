from threading import Event, current_thread

import pytest
import torch

from mrirecon import metrics
from mrirecon.training import validation_scores
from mrirecon.training.validation_scores import AHEAD, MeanLoss, VolumeScores
from mrirecon.types import Sample


def sample(keys, target, scale):
    n = len(keys)
    return Sample(
        kspace=torch.zeros(n, 1, 9, 9, dtype=torch.complex64),
        mask=torch.ones(n, 1, 9, dtype=torch.bool),
        target=target,
        scale=scale,
        key=tuple(keys),
    )


def test_scores_volumes_whatever_the_batches():
    g = torch.Generator().manual_seed(0)
    reference = {"a": torch.rand(3, 8, 8, generator=g), "b": 5 * torch.rand(2, 8, 8, generator=g)}
    image = {n: r + 0.1 * torch.rand(r.shape, generator=g) for n, r in reference.items()}
    slices = [(n, i) for n, r in reference.items() for i in range(len(r))]
    expected = {
        name: sum(metric(image[n], reference[n]) for n in reference) / 2
        for name, metric in metrics.METRICS.items()
    }
    for size in (1, 2, 5):
        scores = VolumeScores()
        for start in range(0, 5, size):
            keys = slices[start : start + size]
            scale = torch.rand(len(keys), generator=g) + 0.5  # undone before scoring
            s = scale[:, None, None]
            target = torch.stack([reference[n][i] for n, i in keys]) / s
            padded = torch.zeros(len(keys), 9, 9)
            padded[:, :8, :8] = torch.stack([image[n][i] for n, i in keys]) / s
            scores.add(sample(keys, target, scale), torch.complex(padded, torch.zeros(1)))
        assert scores.mean() == pytest.approx(expected, rel=1e-5)
        assert scores.mean() == {}  # starts again


def test_validation_goes_on_while_volumes_are_scored(monkeypatch):
    done, scored = Event(), []

    def slow(image, reference):
        assert done.wait(30)
        scored.append((current_thread().name, float(reference[0, 0, 0])))
        return float(image.sum())

    monkeypatch.setattr(validation_scores, "METRICS", {"slow": slow})
    scores = VolumeScores()
    volumes = [torch.full((1, 8, 8), float(n + 1)) for n in range(AHEAD + 1)]
    for n, volume in enumerate(volumes):
        scores.add(sample([(f"v{n}", 0)], volume, None), torch.complex(volume, 0 * volume))
    assert not scored  # all were taken, though no score is known yet
    done.set()
    assert scores.mean() == {"slow": 64 * (AHEAD + 2) / 2}
    assert [name.startswith("scores") for name, _ in scored] == [True] * len(volumes)
    assert [value for _, value in scored] == [1.0, 2.0, 3.0]


def test_a_mean_loss_counts_slices():
    losses = MeanLoss()
    assert losses.mean() is None
    losses.add(torch.tensor(1.0), 3)
    losses.add(torch.tensor(5.0), 1)
    assert losses.mean() == 2.0
    assert losses.mean() is None  # starts again
