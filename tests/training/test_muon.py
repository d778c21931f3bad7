import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from mrirecon.errors import ConfigError
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.muon import Muon, orthogonalized
from mrirecon.training.objectives.base import Supervised
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


def parameter(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    p = nn.Parameter(torch.randn(shape, generator=g))
    p.grad = torch.randn(shape, generator=g)
    return p


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (16, 16)])
def test_updates_are_orthogonal(shape):
    g = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, *shape, generator=g) * torch.tensor([1e-6, 1.0, 1e6])[:, None, None]
    U, S, Vh = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalized(matrices)
    inner = U.mT @ found @ Vh.mT  # diagonal: the singular vectors stay
    values = inner.diagonal(dim1=-2, dim2=-1)
    assert (inner - torch.diag_embed(values)).abs().max() < 2e-3
    large = values[S / S[:, :1] > 0.05]
    assert large.min() > 0.6 and large.max() < 1.25
    assert not orthogonalized(torch.zeros(2, *shape)).any()


def test_a_step_on_a_kernel_is_the_orthogonal_one_on_its_matrix():
    p = parameter(6, 4, 3, 3)
    before, first = p.detach().clone(), p.grad.clone()
    optimizer = Muon([p], lr=0.01, weight_decay=0.1, momentum=0.9)
    optimizer.step()
    direction = orthogonalized((1.9 * first).flatten(1)).view_as(p)
    expected = before * (1 - 0.001) - 0.01 * 0.2 * 36**0.5 * direction
    assert torch.allclose(p, expected, atol=1e-6)
    rms = (p - 0.999 * before).square().mean().sqrt()
    assert 0.1 < rms / 0.01 < 0.3  # the size of an update of AdamW
    p.grad = parameter(6, 4, 3, 3, seed=1).grad
    second, before = p.grad.clone(), p.detach().clone()
    optimizer.step()
    direction = orthogonalized((second + 0.9 * (0.9 * first + second)).flatten(1)).view_as(p)
    assert torch.allclose(p, before * 0.999 - 0.012 * direction, atol=1e-6)


def test_matrices_of_one_size_do_not_mix():
    together, alone = [parameter(5, 4, seed=s) for s in (0, 1)], [parameter(5, 4), parameter(5, 4)]
    alone[1] = parameter(5, 4, seed=1)
    Muon(together).step()
    for p in alone:
        Muon([p]).step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(together, alone, strict=True))


def test_the_rest_gets_adamw():
    rest = [parameter(7), parameter(1, 5), parameter(5, 1, 1, 1), parameter()]
    other = [nn.Parameter(p.detach().clone()) for p in rest]
    reference = torch.optim.AdamW(other, lr=0.01, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-8)
    optimizer = Muon([parameter(3, 3), *rest], lr=0.01, weight_decay=0.1)
    for seed in range(3):
        for a, b in zip(rest, other, strict=True):
            a.grad = parameter(*a.shape, seed=seed).grad
            b.grad = a.grad.clone()
        optimizer.step()
        reference.step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(rest, other, strict=True))


def test_training_resumes_exactly_and_clips(tmp_path):
    def fit(epochs, resume=None):
        torch.manual_seed(7)
        module = ReconstructionModule(runs.varnet(), Supervised(), Muon, runs.RECIPE)
        saved = ModelCheckpoint(tmp_path / ("resumed" if resume else str(epochs)))
        trainer = runs.trainer(
            tmp_path, epochs, callbacks=[saved], enable_checkpointing=True, gradient_clip_val=0.1
        )
        trainer.fit(module, runs.data(), ckpt_path=resume)
        return runs.weights(module), float(trainer.callback_metrics["train/loss"]), saved

    whole, late, _ = fit(3)
    _, early, saved = fit(1)
    resumed, _, _ = fit(3, saved.best_model_path)
    assert resumed.equal(whole) and late < early


def test_what_it_cannot_optimize_is_refused():
    with pytest.raises(ConfigError, match="no weight matrix"):
        Muon([parameter(7)])
    with pytest.raises(ConfigError, match="real parameters only"):
        Muon([nn.Parameter(torch.zeros(3, 3, dtype=torch.complex64))])
    with pytest.raises(ValueError, match="momentum and betas must lie"):
        Muon([parameter(3, 3)], momentum=1.0)
    with pytest.raises(ValueError, match="iterations be positive"):
        Muon([parameter(3, 3)], iterations=0)
    p = parameter(3, 3)
    p.grad = None
    before = p.detach().clone()
    Muon([p]).step()  # nothing to do
    assert p.equal(before)
