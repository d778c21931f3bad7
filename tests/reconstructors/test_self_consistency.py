import pytest
import torch

from mrirecon.fourier import fft, ifft, plain_fft, plain_ifft
from mrirecon.image import center_pad
from mrirecon.reconstructors.parts import self_consistency
from mrirecon.reconstructors.parts.self_consistency import SelfConsistency


def draw(*shape):
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def at_every_pixel(weights, kspace):
    """Multiply the image by the matrices of all pixels."""
    shape = kspace.shape[-2:]
    G = (fft(center_pad(weights, shape)) * shape.numel() ** 0.5).permute(0, 3, 4, 1, 2)
    G = G - torch.eye(G.shape[-1])
    image = ifft(kspace).permute(0, 2, 3, 1).unsqueeze(-1)
    return fft((G.mH @ (G @ image)).squeeze(-1).permute(0, 3, 1, 2))


@pytest.mark.parametrize(("kernel", "shape"), [(3, (16, 41)), (5, (13, 48)), (5, (8, 7))])
def test_it_is_a_product_at_every_pixel(kernel, shape, monkeypatch):
    weights, kspace = draw(2, 3, 3, kernel, kernel) / 10, draw(2, 3, *shape)
    every = torch.arange(shape[1])
    expected = at_every_pixel(weights, kspace)
    for chunk in (1, 500, 2**17):
        monkeypatch.setattr(self_consistency, "CHUNK", chunk)
        rows = plain_ifft(kspace, axes=(-2,)).permute(0, 2, 3, 1)
        found = plain_fft(SelfConsistency(weights, shape, every)(rows), axes=(1,))
        torch.testing.assert_close(found.permute(0, 3, 1, 2), expected, rtol=1e-4, atol=1e-4)


def test_some_columns_are_those_of_all():
    weights, kspace = draw(1, 3, 3, 5, 5) / 10, draw(1, 9, 30, 3)
    wanted, given = torch.tensor([2, 3, 11, 29]), torch.tensor([0, 4, 5, 28])
    only = torch.zeros_like(kspace)
    only[:, :, given] = kspace[:, :, given]
    expected = SelfConsistency(weights, (9, 30), torch.arange(30))(only)[:, :, wanted]
    operator = SelfConsistency(weights, (9, 30), wanted)
    torch.testing.assert_close(operator(kspace[:, :, given], given), expected)
    only = torch.zeros_like(kspace)
    only[:, :, wanted] = kspace[:, :, wanted]
    torch.testing.assert_close(operator(kspace[:, :, wanted]), operator(only, torch.arange(30)))
