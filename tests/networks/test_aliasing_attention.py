import pytest
import torch

from mrirecon.networks.feature_space import FeatureCoder, Statistics
from mrirecon.networks.parts.aliasing_attention import AliasingAttention
from tests.reconstructors.restated import attention


@pytest.mark.parametrize(("acceleration", "width"), [(1, 9), (3, 12), (4, 21)])
@torch.no_grad()
def test_attention_is_what_the_equation_says(acceleration, width):
    torch.manual_seed(0)
    module = AliasingAttention(5, acceleration)
    x = torch.randn(2, 5, 7, width)
    expected = torch.cat([attention(module, one[None]) for one in x])
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


def test_pixels_see_their_aliases_and_no_others(monkeypatch):
    torch.manual_seed(0)
    module = AliasingAttention(3, 3)
    torch.nn.init.dirac_(module.dilated.weight)
    x = torch.randn(1, 3, 4, 12, requires_grad=True)
    # through the normalization, every pixel influences every other a little
    monkeypatch.setattr(torch.nn.functional, "instance_norm", lambda features: features)
    module(x)[0, :, 2, 5].sum().backward()
    rows, columns = x.grad[0].abs().sum(0).nonzero().T.tolist()
    assert set(rows) == {2} and columns == [1, 5, 9]


def test_coder_keeps_a_constant_image():
    image = torch.full((1, 8, 9), 2 - 1j, requires_grad=True)
    coder, statistics = FeatureCoder(3), Statistics.of(image)
    result = coder.decode(coder.encode(image, statistics), statistics)
    torch.testing.assert_close(result, image)
    torch.view_as_real(result).sum().backward()
    assert torch.view_as_real(image.grad).isfinite().all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="acceleration must be at least 1, got 0"):
        AliasingAttention(4, 0)
