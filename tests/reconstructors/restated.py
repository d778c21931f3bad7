"""XPDNet and FI-VarNet written out once more, for ``test_unrolled``."""

import torch
from torch.nn import functional as F


def channels(*images):
    return torch.cat([torch.stack([x.real, x.imag]) for x in images])[None]


def complex_images(x):
    return [torch.complex(re, im) for re, im in zip(x[0, ::2], x[0, 1::2], strict=True)]


def haar_bands(x):
    """Every 2 x 2 block against the four patterns of signs, pattern by pattern."""
    low, high = torch.tensor([1.0, 1.0]) / 2**0.5, torch.tensor([1.0, -1.0]) / 2**0.5
    filters = [torch.outer(*pair) for pair in ((low, low), (high, low), (low, high), (high, high))]
    maps = [
        [F.conv2d(x[:, i : i + 1], f[None, None], stride=2) for f in filters]
        for i in range(x.shape[1])
    ]
    return torch.cat([maps[i][band] for band in range(4) for i in range(x.shape[1])], 1)


def haar_image(bands):
    """Sum of the patterns, each times its coefficient."""
    count = bands.shape[1] // 4
    x = torch.zeros(1, count, 2 * bands.shape[-2], 2 * bands.shape[-1])
    for band, (row, column) in enumerate(((1, 1), (-1, 1), (1, -1), (-1, -1))):
        part = bands[:, band * count : (band + 1) * count] / 2
        for i in (0, 1):
            for j in (0, 1):
                x[..., i::2, j::2] += part * row**i * column**j
    return x


def convolve(x, layers):
    for layer in layers:
        if isinstance(layer, torch.nn.Conv2d):
            x = F.conv2d(x, layer.weight, padding=1).clamp(min=0)
    return x


def mwcnn(net, x):
    """Two levels."""
    h, w = x.shape[-2:]
    x = F.pad(x, (0, -w % 4, 0, -h % 4))
    a = convolve(x, net.first)
    b = convolve(haar_bands(a), net.down[0])
    c = convolve(haar_bands(b), net.down[1])
    b = b + haar_image(convolve(c, net.up[1]))
    a = a + haar_image(convolve(b, net.up[0]))
    last = convolve(a, net.last)
    return F.conv2d(last, net.output.weight, net.output.bias, padding=1)[..., :h, :w]


def xpdnet(model, p, _):
    f = [p.adjoint] * 3
    for net in model.networks:
        change = complex_images(mwcnn(net, channels(*f, p.gradient(f[0]))))
        f = [a + b for a, b in zip(f, change, strict=True)]
    return f[0]


def normalized(x):
    mean = x.mean((-2, -1), keepdim=True)
    variance = (x - mean).square().mean((-2, -1), keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def attention(module, x):
    _, c, h, w = x.shape
    group = module.acceleration
    i, j = torch.arange(h)[:, None], torch.arange(w)[None]
    seen = normalized(x) + torch.sin(i / 10000 ** (2 * (j // 2) / w))
    missing = -w % group
    left = (missing + 1) // 2

    def part(layer):
        y = F.conv2d(seen, layer.weight, layer.bias)
        y = F.conv2d(y, module.dilated.weight, module.dilated.bias, padding=2, dilation=2)
        return F.pad(y[0], (left, missing - left), mode="reflect")

    q, k, v = part(module.query), part(module.key), part(module.value)
    distance = q.shape[-1] // group
    out = torch.zeros_like(v)
    for column in range(q.shape[-1]):
        others = [column % distance + s * distance for s in range(group)]
        weights = torch.stack([(q[:, :, column] * k[:, :, s]).sum(0) for s in others]) / c**0.5
        weights = weights.exp() / weights.exp().sum(0)
        for weight, s in zip(weights, others, strict=True):
            out[:, :, column] += weight * v[:, :, s]
    out = out[None, :, :, left : left + w]
    return x + F.conv2d(out, module.projection.weight, module.projection.bias)


def leaky(x):
    return torch.maximum(x, 0.2 * x)


def fi_varnet(model, p, _):
    coder = model.coder
    x = p.combine(p.y)
    parts = channels(x)
    mean, std = parts.mean((-2, -1), keepdim=True), parts.std((-2, -1), keepdim=True, correction=0)

    def encode(image):
        seen = (channels(image) - mean) / std
        return F.conv2d(seen, coder.encoder.weight, coder.encoder.bias, padding=2)

    def decode(f):
        image = F.conv2d(f, coder.decoder.weight, coder.decoder.bias, padding=2)
        return complex_images(image * std + mean)[0]

    f = encode(x)
    for t, cascade in enumerate(model.feature_cascades):
        g = normalized(f)
        correction = leaky(normalized(cascade.unet.unet(attention(cascade.attention, g))))
        f = g - encode(p.gradient(decode(g))) - correction
        if t == 0:
            f = change = normalized(f)
            for layer in cascade.refinement.convolutions:
                change = leaky(normalized(F.conv2d(change, layer.weight, padding=2)))
            f = f + change
    k = p.expand(decode(normalized(f)))
    for denoiser in model.denoisers:
        k = k - p.w * (k - p.y) - p.expand(denoiser(p.combine(k)))
    return p.coil_images(k).abs().square().sum(0).sqrt()
