"""Networks between features: size, the equations written out once more, and what enters them."""

import pytest
import torch
from torch.nn import functional as F

from mrirecon.errors import ShapeError
from mrirecon.networks import Denoiser, PromptUnet, Restormer
from mrirecon.networks.denoiser import ImageNetwork
from mrirecon.networks.parts.channel_attention import ChannelAttentionBlock
from mrirecon.networks.parts.features import LevelEntry
from mrirecon.networks.prompt_unet import PromptBlock
from mrirecon.networks.restormer import GatedFeedForward, TransposedAttention
from tests.networks.test_networks import count


def small(name, **more):
    torch.manual_seed(0)
    if name == "prompt_unet":
        return PromptUnet((4, 6, 8), (2, 3), 3, 8, (1, 2, 1), (1, 1), **more)
    return Restormer(4, (1, 2, 1), (1, 2, 4), 1, **more)


@pytest.fixture(params=["prompt_unet", "restormer"])
def name(request):
    return request.param


def restormer_block(c, expansion=2.66):
    hidden = int(c * expansion)
    attention = 3 * c * c + 3 * c * 9 + c * c + 2 * c  # and a norm with a bias; then the heads'
    return attention + c * 2 * hidden + 2 * hidden * 9 + hidden * c + 2 * c


def test_restormer_is_as_large_as_published():
    with torch.device("meta"):
        body = count(Restormer())
    # the paper's network has convolutions from and to three colours around it: 26.1 million
    assert body + 9 * 3 * (48 + 96) == 26_126_644
    expected = 4 * (restormer_block(48) + 1) + 6 * (restormer_block(96) + 2)
    expected += 6 * (restormer_block(192) + 4) + 8 * (restormer_block(384) + 8)
    expected += 6 * (restormer_block(192) + 4) + 6 * (restormer_block(96) + 2)
    expected += (4 + 4) * (restormer_block(96) + 1)
    expected += sum(9 * c * c // 2 + 9 * 2 * c * 4 * c for c in (48, 96, 192))  # down and up
    expected += sum(2 * c * c for c in (96, 192))
    assert body == expected


def test_prompt_mr_is_as_large_as_published():
    with torch.device("meta"):
        cascade = ImageNetwork(PromptUnet(), 5, 5)
        maps = ImageNetwork(PromptUnet((24, 36, 48, 60), (12, 24, 36)))
        history = count(PromptUnet(history=2)) - count(PromptUnet())
    # the authors' list of results: 80 million, with a network of half the width for the maps
    assert 12 * count(cascade) + count(maps) == pytest.approx(80e6, rel=0.01)
    assert history == 2 * (48**2 + 72**2 + 96**2 + 120**2)


def test_transposed_attention_is_what_the_equation_says():
    layer, x = TransposedAttention(6, 2), torch.randn(2, 6, 5, 7)
    torch.nn.init.uniform_(layer.temperature)
    first, second = (layer.qkv[i].weight for i in (0, 1))
    features = F.conv2d(F.conv2d(x, first), second, padding=1, groups=18)
    expected = []
    for member in features:
        q, k, v = member.flatten(1).split(6)
        heads = []
        for i in range(2):
            mine = slice(3 * i, 3 * i + 3)
            similar = F.normalize(q[mine], dim=1) @ F.normalize(k[mine], dim=1).T
            heads.append((layer.temperature[i] * similar).softmax(1) @ v[mine])
        expected.append(torch.cat(heads).reshape(6, 5, 7))
    expected = F.conv2d(torch.stack(expected), layer.last.weight)
    torch.testing.assert_close(layer(x), expected)


def test_transposed_attention_of_many_pixels_does_not_overflow_in_half_precision():
    torch.manual_seed(0)
    layer, x = TransposedAttention(8, 2), 30 * torch.randn(1, 8, 96, 96)
    x.requires_grad_()  # the squares of a query add up to more than 65504
    found = []
    for half in (False, True):
        with torch.autocast("cpu", torch.float16, enabled=half):
            y = layer(x)
        found.append((y.detach(), torch.autograd.grad(1e-3 * y.float().square().sum(), x)[0]))
    for full, half in zip(*found, strict=True):
        torch.testing.assert_close(half.float(), full, rtol=0, atol=5e-3 * float(full.abs().max()))


def test_gated_feed_forward_is_what_the_equation_says():
    layer, x = GatedFeedForward(4, 2.66), torch.randn(1, 4, 5, 6)
    assert layer.last.in_channels == 10
    hidden = F.conv2d(x, layer.first[0].weight)
    hidden = F.conv2d(hidden, layer.first[1].weight, padding=1, groups=20)
    a, b = hidden[:, :10], hidden[:, 10:]
    gate = a * 0.5 * (1 + torch.erf(a / 2**0.5))
    torch.testing.assert_close(layer(x), F.conv2d(gate * b, layer.last.weight))


def test_channel_attention_is_what_the_equation_says():
    block, x = ChannelAttentionBlock(32), torch.randn(2, 32, 5, 6)
    y = F.conv2d(x, block.body[0].weight, padding=1)
    y = F.conv2d(torch.where(y > 0, y, 0.25 * y), block.body[2].weight, padding=1)
    attention = block.body[3]
    hidden = (y.sum((2, 3)) / 30 @ attention.first.weight.T).clamp(min=0)
    assert hidden.shape == (2, 2)
    weights = 1 / (1 + torch.exp(-hidden @ attention.last.weight.T))
    torch.testing.assert_close(block(x), x + weights[:, :, None, None] * y)


def test_the_prompt_is_a_mixture_that_the_input_chooses():
    block = PromptBlock(4, 2, 3, 8)
    x = torch.stack([torch.randn(4, 6, 5), 3 + torch.randn(4, 6, 5)])
    weights = block.weights(x)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert (weights[0] - weights[1]).abs().max() > 0.05
    scores = x.mean((2, 3)) @ block.choice.weight.T + block.choice.bias
    expected = []
    for score in scores.exp():
        prompt = sum(w * p for w, p in zip(score / score.sum(), block.prompts, strict=True))
        expected.append(F.interpolate(prompt[None], (6, 5), mode="bilinear"))
    expected = F.conv2d(torch.cat(expected), block.last.weight, padding=1)
    torch.testing.assert_close(block(x), expected)
    assert not torch.allclose(block(x)[0], block(x)[1], rtol=0.01)


@torch.no_grad()
def test_the_prompt_unet_is_composed_as_published():
    net, x = small("prompt_unet"), torch.randn(2, 4, 8, 12)
    fine = net.encoder[0](x)
    middle, coarse = net.down
    middle = net.encoder[1](F.conv2d(fine, middle.weight, middle.bias, stride=2, padding=1))
    y = net.encoder[2](F.conv2d(middle, coarse.weight, coarse.bias, stride=2, padding=1))
    for level, skip in ((net.decoder[1], middle), (net.decoder[0], fine)):
        y = level.fuse(torch.cat([y, level.prompt(y)], 1))
        y = F.interpolate(F.conv2d(y, level.reduce.weight), scale_factor=2, mode="bilinear")
        y = level.merge(F.conv2d(y, level.up.weight) + level.skip(skip))
    torch.testing.assert_close(net(x)[0], y)


@torch.no_grad()
def test_restormer_is_composed_as_published():
    net, x = small("restormer"), torch.randn(2, 4, 8, 12)

    def transformed(blocks, x):
        for block in blocks:
            (norm, attention), (other, feed_forward) = block.attention, block.feed_forward
            for weights, part in ((norm, attention), (other, feed_forward)):
                seen = F.layer_norm(x.movedim(1, -1), x.shape[1:2], weights.weight, weights.bias)
                x = x + part(seen.movedim(-1, 1))
        return x

    def convolved(layer, x):
        return F.conv2d(x, layer.weight, padding=layer.kernel_size[0] // 2)

    fine = transformed(net.encoder[0], x)
    middle = F.pixel_unshuffle(convolved(net.down[0][0], fine), 2)
    middle = transformed(net.encoder[1], middle)
    y = F.pixel_unshuffle(convolved(net.down[1][0], middle), 2)
    y = F.pixel_shuffle(convolved(net.up[1][0], transformed(net.encoder[2], y)), 2)
    y = transformed(net.decoder[1], convolved(net.reduce[1], torch.cat([y, middle], 1)))
    y = F.pixel_shuffle(convolved(net.up[0][0], y), 2)
    y = transformed(net.decoder[0], torch.cat([y, fine], 1))
    torch.testing.assert_close(net(x)[0], transformed(net.refinement, y))


def test_history_enters_like_a_convolution_of_all_earlier_features():
    entry, x = LevelEntry(3, 4, history=2), torch.randn(2, 3, 5, 6)
    past = [torch.randn(2, 4, 5, 6) for _ in range(2)]
    weight = entry.past.weight
    torch.testing.assert_close(entry(x, past, None), x + F.conv2d(torch.cat(past, 1), weight))
    torch.testing.assert_close(entry(x, past[:1], None), x + F.conv2d(past[0], weight[:, :4]))
    alone = entry(x, [], None)
    assert torch.equal(alone, x)
    alone.sum().backward()  # the first cascade has no history; its weights stay in the graph
    assert weight.grad.eq(0).all()


def test_an_embedding_scales_and_shifts_features_and_does_nothing_at_first():
    entry, x, c = LevelEntry(3, 3, condition=2), torch.randn(2, 3, 4, 4), torch.randn(2, 2)
    assert torch.equal(entry(x, [], c), x)
    torch.nn.init.normal_(entry.modulation.linear.weight)
    scale, shift = (c @ entry.modulation.linear.weight.T)[:, :, None, None].split(3, 1)
    torch.testing.assert_close(entry(x, [], c), x * (1 + scale) + shift)


def test_networks_return_a_history_for_the_next_cascade(name):
    body = small(name, history=2)
    x = torch.randn(2, 4, 8, 12)
    first, one = body(x)
    again, two = body(x, one)
    _, three = body(x, two)
    assert [len(history) for history in (one, two, three)] == [1, 2, 2]
    assert [f.shape[-2:] for f in one[0]] == [(8, 12), (4, 6), (2, 3)]
    assert two[1] is one[0] and three[1] is two[0]
    assert not torch.allclose(first, again)
    plain, nothing = small(name)(x)
    assert nothing == () and plain.shape == first.shape


def test_an_embedding_changes_every_level(name):
    body, x = small(name, condition=3), torch.randn(1, 4, 8, 8)
    body(x, (), torch.ones(1, 3))[0].sum().backward()
    for entry in body.entries:
        assert entry.modulation.linear.weight.grad.abs().max() > 0
    with pytest.raises(ShapeError, match=r"an embedding of 3 numbers \(0: none\), got 0"):
        body(x)
    with pytest.raises(ShapeError, match=r"got 2; set its condition=2"):
        body(x, (), torch.ones(1, 2))


@pytest.mark.parametrize("shape", [(16, 32), (17, 13), (5, 3)])
def test_denoisers_keep_any_size_and_batch(name, shape):
    image = torch.randn(2, 3, *shape, dtype=torch.complex64)
    network = Denoiser(small(name))
    result = network(image)
    assert result.shape == image.shape
    torch.testing.assert_close(result[1, 2], network(image[1, 2]), rtol=1e-4, atol=1e-5)


def test_denoisers_follow_the_scale(name):
    image, network = torch.randn(1, 9, 8, dtype=torch.complex64), Denoiser(small(name))
    torch.testing.assert_close(network(1e-6 * image), 1e-6 * network(image), rtol=1e-3, atol=1e-10)
    torch.testing.assert_close(network(1e6 * image), 1e6 * network(image), rtol=1e-3, atol=1e2)


def test_images_that_are_seen_together_are_denoised_together(name):
    torch.manual_seed(1)
    images = torch.randn(2, 3, 9, 8, dtype=torch.complex64)
    network = Denoiser(small(name), images=3)
    result = network(images)
    assert result.shape == images.shape
    other = images.clone()
    other[:, 2] *= 2
    assert not torch.allclose(network(other)[:, 0], result[:, 0], rtol=1e-3)
    assert Denoiser(small(name), 3, outputs=1)(images).shape == (2, 9, 8)
    with pytest.raises(ShapeError, match=r"takes 3 images .* of \(2, 9, 8\)"):
        network(images[:, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_for_an_empty_image(name, dtype):
    image = torch.randn(2, 9, 8, dtype=torch.complex64)
    image[1] = 0
    image.requires_grad_()
    network = Denoiser(small(name))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        result = network(image)
    assert result.dtype == torch.complex64 and (result[1] == 0).all()
    result.abs().sum().backward()
    assert torch.view_as_real(image.grad).isfinite().all()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
    # features that are zero throughout have no direction, and their gradient must not explode
    attention, nothing = TransposedAttention(4, 2), torch.zeros(1, 4, 4, 4, requires_grad=True)
    attention(nothing).sum().backward()
    assert nothing.grad.isfinite().all()


def test_resetting_gives_other_weights(name):
    body = small(name, history=1, condition=2)
    before = {key: p.clone() for key, p in body.named_parameters()}
    for part in reversed(list(body.modules())):
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    random = [key for key, p in before.items() if p.numel() > 1 and p.unique().numel() > 1]
    assert any("prompts" in key for key in random) or name == "restormer"
    assert not any(torch.equal(before[key], dict(body.named_parameters())[key]) for key in random)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PromptUnet(prompts=0), "prompts must be at least 1, got 0"),
        (lambda: PromptUnet(channels=(4, 0)), r"channels must be at least 1, got \(4, 0\)"),
        (lambda: PromptUnet(channels=(4, 8)), "need a number for every level"),
        (lambda: Restormer(blocks=(1, 1)), "blocks and heads need a number for every level"),
        (lambda: Restormer(9, (1, 1), (2, 1)), "9 features cannot be shared by 2 heads"),
        (lambda: Restormer(expansion=0.0), "expansion leaves no hidden features"),
        (lambda: Denoiser(small("restormer"), outputs=2), "outputs must be at most images=1"),
        (lambda: Denoiser(small("restormer", history=1)), "set condition=0 and history=0"),
        (lambda: small("restormer")(torch.zeros(1, 4, 6, 8)), r"multiples of 4, got \(6, 8\)"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
