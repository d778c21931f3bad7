import pytest
import torch
from torch.nn import functional as F

from mrirecon.errors import ShapeError
from mrirecon.networks import NormUnet, ResidualCnn, Unet
from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.networks.parts.instance_norm import normalized_leaky_relu_
from tests.golden.formula import SHAPES
from tests.golden.reference import coil_images, filled, golden


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("channels", "parameters"), [(32, 7_756_097), (64, 31_023_745), (256, 496_372_225)]
)
def test_unet_is_as_large_as_published(channels, parameters):
    with torch.device("meta"):
        assert count(Unet(1, 1, channels=channels)) == parameters


def test_unet_has_the_published_keys():
    with torch.device("meta"):
        assert list(Unet().state_dict()) == golden("keys/unet").tolist()


@pytest.mark.parametrize("name", SHAPES)
def test_norm_unet_agrees_with_fastmri(name):
    expected = torch.from_numpy(golden(f"norm_unet/{name}"))
    result = filled(NormUnet(4, 2))(coil_images(name)[0])
    assert torch.linalg.vector_norm(result - expected) < 1e-5 * torch.linalg.vector_norm(expected)


def test_channels_are_real_then_imaginary_and_return():
    image = torch.complex(torch.full((2, 3, 5), 1.0), torch.full((2, 3, 5), 2.0))
    channels = to_channels(image)
    assert (channels[:, 0] == 1).all()
    assert (channels[:, 1] == 2).all()
    assert torch.equal(from_channels(channels), image)
    assert from_channels(channels.bfloat16()).dtype == torch.complex64


@pytest.mark.parametrize("shape", [(16, 32), (37, 45), (33, 17)])
@pytest.mark.parametrize("network", [NormUnet(2, 2), ResidualCnn(4, 3)])
def test_networks_keep_any_size_and_batch(network, shape):
    image = torch.randn(2, 3, *shape, dtype=torch.complex64)
    assert network(image).shape == image.shape
    torch.testing.assert_close(network(image)[1, 2], network(image[1, 2]), rtol=1e-4, atol=1e-5)


def test_unet_pads_odd_sizes_at_every_level():
    assert Unet(1, 1, channels=2, pools=3)(torch.randn(1, 1, 37, 23)).shape == (1, 1, 37, 23)


@pytest.mark.parametrize("value", [0, 3 - 4j, 1e-6])
def test_constant_image_comes_back_with_finite_gradients(value):
    image = torch.full((2, 20, 20), value, dtype=torch.complex64, requires_grad=True)
    network = NormUnet(2, 2)
    result = network(image)
    torch.testing.assert_close(result, image, rtol=1e-4, atol=0)
    result.abs().sum().backward()
    assert torch.isfinite(torch.view_as_real(image.grad)).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_scale_of_the_data_does_not_matter():
    image, network = torch.randn(1, 20, 20, dtype=torch.complex64), NormUnet(2, 2)
    torch.testing.assert_close(network(1e-6 * image), 1e-6 * network(image), rtol=1e-4, atol=1e-11)


def test_autocast_keeps_complex64():
    with torch.autocast("cpu", torch.bfloat16):
        assert NormUnet(2, 2)(torch.randn(1, 20, 20, dtype=torch.complex64)).isfinite().all()


def test_image_too_small_for_the_pools_is_named():
    with pytest.raises(ShapeError, match=r"\(16, 8\) is too small for a U-Net with 4 pools"):
        Unet()(torch.zeros(1, 1, 16, 8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Unet(channels=0), "channels must be at least 1, got 0"),
        (lambda: Unet(dropout=1.0), "dropout must lie in"),
        (lambda: ResidualCnn(layers=1), "layers must be at least 2, got 1"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [32, 30])
def test_features_of_a_unet_lie_with_their_channels_together(batch, size):
    """Convolutions choose a format by all strides of their input: a quarter of a step on a CPU."""
    network = NormUnet(4, 2)
    formats = []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda *told: formats.append(told[2].stride(1)))
    network(torch.randn(batch, size, size, dtype=torch.complex64))
    assert len(formats) > 3 and set(formats) == {1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalized_leaky_relu_is_its_two_parts_in_place(dtype):
    torch.manual_seed(0)
    x = (torch.randn(2, 3, 9, 7, dtype=dtype) * torch.tensor([1, 5, 0.1])[:, None, None] + 4).to(
        memory_format=torch.channels_last
    )
    x[1, 1] = 2.0  # a constant map stays finite
    x.requires_grad_()
    expected = F.leaky_relu(F.instance_norm(x), 0.2)
    copy = x * 1
    result = normalized_leaky_relu_(copy)
    assert result.data_ptr() == copy.data_ptr()
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    g = torch.randn_like(result)
    found, reference = (torch.autograd.grad(y, x, g)[0] for y in (result, expected))
    varying = torch.ones(2, 3, dtype=torch.bool)
    varying[1, 1] = False  # 1 / sqrt(eps) times rounding
    torch.testing.assert_close(found[varying], reference[varying], rtol=1e-4, atol=1e-5)
    assert found.isfinite().all()


def test_normalized_leaky_relu_takes_its_statistics_in_float32():
    torch.manual_seed(0)
    x = (torch.randn(1, 2, 64, 64) + 40).bfloat16()
    exact = F.leaky_relu(F.instance_norm(x.double()), 0.2)
    assert (normalized_leaky_relu_(x) - exact).abs().max() < 0.02  # bfloat16 of values up to 4
