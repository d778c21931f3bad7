import pytest
import torch

from mrirecon.networks.mwcnn import Mwcnn, ResidualMwcnn
from mrirecon.networks.parts.haar import haar_merge, haar_split
from mrirecon.operators import Wavelet
from tests.networks.test_networks import count


def test_haar_bands_are_those_of_the_wavelet_operator():
    image = torch.randn(16, 20, dtype=torch.complex64)
    quadrants = Wavelet((16, 20), 1, "haar").forward(image)
    low, rows, columns, both = haar_split(image.real[None, None])[0]
    expected = quadrants.real.unflatten(-2, (2, 8)).unflatten(-1, (2, 10))
    for band, (i, j) in ((low, (0, 0)), (rows, (1, 0)), (columns, (0, 1)), (both, (1, 1))):
        torch.testing.assert_close(band.abs(), expected[i, :, j].abs())  # signs are a convention


def test_haar_is_orthonormal():
    basis = torch.eye(2 * 4 * 6).reshape(-1, 2, 4, 6)
    matrix = haar_split(basis).flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(48))
    torch.testing.assert_close(haar_merge(haar_split(basis)), basis)
    x, y = torch.randn(1, 2, 4, 6), torch.randn(1, 8, 2, 3)
    torch.testing.assert_close((haar_split(x) * y).sum(), (x * haar_merge(y)).sum())


def test_mwcnn_is_as_large_as_published():
    with torch.device("meta"):
        assert count(Mwcnn(6, 5)) == 6_217_930  # of 25, XPDNet's public weights have 624 MB


@pytest.mark.parametrize("shape", [(16, 32), (37, 45), (1, 3)])
def test_mwcnn_takes_any_size_and_batch(shape):
    network = Mwcnn(3, 2, (4, 6), 2, 4)
    images = torch.randn(2, 3, 3, *shape, dtype=torch.complex64)
    result = network(images)
    assert result.shape == (2, 3, 2, *shape)
    torch.testing.assert_close(network(images[1, 2]), result[1, 2], rtol=1e-4, atol=1e-6)


def test_residual_mwcnn_adds_to_its_input():
    network = ResidualMwcnn((4,), 1, 4, 1)
    image = torch.randn(2, 9, 10, dtype=torch.complex64)
    assert not torch.allclose(network(image), image)
    torch.nn.init.zeros_(network.network.output.weight)
    torch.nn.init.zeros_(network.network.output.bias)
    torch.testing.assert_close(network(image), image)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mwcnn(channels=()), "channels must name at least one level"),
        (lambda: Mwcnn(first_channels=0), "first_channels must be at least 1, got 0"),
        (lambda: Mwcnn(convolutions=0), "convolutions must be at least 1, got 0"),
        (lambda: Mwcnn(outputs=0), "outputs must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
