"""The networks of DIRECT, written down once more: plainly, in double precision, from dicts."""

import torch
from torch.nn import functional as F


def ft(x, centered=True):
    axes = (-2, -1)
    x = torch.fft.ifftshift(x, axes) if centered else x
    x = torch.fft.fft2(x, norm="ortho")
    return torch.fft.fftshift(x, axes) if centered else x


def ift(x, centered=True):
    axes = (-2, -1)
    x = torch.fft.ifftshift(x, axes) if centered else x
    x = torch.fft.ifft2(x, norm="ortho")
    return torch.fft.fftshift(x, axes) if centered else x


def channels(*images):
    """Real and imaginary parts (1, 2n, h, w) of images (h, w)."""
    return torch.stack([part for image in images for part in (image.real, image.imag)])[None]


def complex_image(x):
    return torch.complex(x[0, 0], x[0, 1])


def convolved(w, name, x, padding=1, told=None):
    """A convolution, whose filters depend on what it is told if it has layers for that."""
    weight, bias = w[f"{name}.weight"], w.get(f"{name}.bias")
    if f"{name}.fc.0.weight" in w:
        gain = F.softplus(told_layers(w, f"{name}.fc", told))
        weight = weight * gain.reshape(*weight.shape[:2], 1, 1)
    if f"{name}.bias.0.weight" in w:
        bias = told_layers(w, f"{name}.bias", told)
    volumes = weight.ndim == 5
    if weight.shape[-1] == 2:
        up = F.conv_transpose3d if volumes else F.conv_transpose2d
        return up(x, weight, bias, stride=2)
    return (F.conv3d if volumes else F.conv2d)(x, weight, bias, padding=padding)


def told_layers(w, name, told):
    last = max(int(key.split(".")[-2]) for key in w if key.startswith(f"{name}."))
    for i in range(0, last + 1, 2):
        told = F.linear(told, w[f"{name}.{i}.weight"], w[f"{name}.{i}.bias"])
        told = F.prelu(told[None], w[f"{name}.{i + 1}.weight"])[0] if i < last else told
    return told


def activated(x):
    return F.leaky_relu(F.instance_norm(x), 0.2)


def block(w, name, x, told):
    for layer in ("layer_1", "layer_2"):
        x = activated(convolved(w, f"{name}.{layer}.conv", x, told=told))
    return x


def unet(w, x, told=None):
    pools = len({key.split(".")[1] for key in w if key.startswith("down_sample_layers.")})
    skips, pool = [], F.avg_pool3d if x.ndim == 5 else F.avg_pool2d
    for level in range(pools):
        skips.append(block(w, f"down_sample_layers.{level}", x, told))
        x = pool(skips[-1], 2)
    x = block(w, "conv", x, told)
    for level in range(pools):
        skip = skips.pop()
        x = activated(convolved(w, f"up_transpose_conv.{level}.conv", x, told=told))
        ends = [a - b for a, b in zip(skip.shape[:1:-1], x.shape[:1:-1], strict=True)]
        x = F.pad(x, [one for end in ends for one in (0, end)], "reflect")
        x = block(w, f"up_conv.{level}", torch.cat([x, skip], 1), told)
    return convolved(w, "conv_out", x, 0, told)


def series_unet(w, x, pools):
    """Frames (1, c, t, h, w), fewer of them than can be halved so often."""
    missing = 2**pools - x.shape[2]
    first = missing // 2
    x = F.pad(x, (0, 0, 0, 0, first, missing - first))
    return unet(w, x)[:, :, first : first + x.shape[2] - missing]


def normalized(network, x):
    groups = x.reshape(2, -1)
    mean, std = groups.mean(1), groups.std(1)
    many = x.shape[1] // 2
    spread = [v.repeat_interleave(many)[None, :, None, None] for v in (mean, std)]
    y = network((x - spread[0]) / spread[1])
    return y * std[None, :, None, None] + mean[None, :, None, None]


def norm_unet(w, x):
    def padded(x):
        h, w_ = x.shape[-2:]
        top, left = (-h % 16) // 2, (-w_ % 16) // 2
        y = F.pad(x, (left, -w_ % 16 - left, top, -h % 16 - top))
        return unet(w, y)[..., top : top + h, left : left + w_]

    return normalized(padded, x)


def below(w, prefix):
    return {key.removeprefix(prefix): value for key, value in w.items() if key.startswith(prefix)}


def replicated(w, name, x, dilation, told=None):
    size = w[f"{name}.weight"].shape[-1]
    pad = dilation * (size // 2)
    weight = w[f"{name}.weight"]
    x = F.pad(x, (pad,) * (2 * (weight.ndim - 2)), "replicate")
    if weight.ndim == 5:
        return F.conv3d(x, weight, w[f"{name}.bias"], dilation=dilation)
    if f"{name}.fc.0.weight" in w:
        gain = F.softplus(told_layers(w, f"{name}.fc", told))
        weight = weight * gain.reshape(*weight.shape[:2], 1, 1)
    return F.conv2d(x, weight, w[f"{name}.bias"], dilation=dilation)


def dilated(w, x, scales, told=None):
    features = []
    for i, dilation in enumerate((1, 1, 2, 4)):
        x = F.relu(replicated(w, f"initializer.conv_blocks.{i}.1", x, dilation, told))
        features.append(x)
    return torch.cat(features[-scales:], 1)


def maps(w, kspace, center, centered=True):
    """Maps (coil, h, w) of k-space; ``center`` (w) marks the central columns."""
    place = torch.linspace(-1, 1, kspace.shape[-1], dtype=torch.float64)
    images = ift(kspace * center * torch.exp(-((place / 0.7) ** 2)), centered)
    first = images / images.abs().square().sum(0).sqrt()
    refined = torch.stack([complex_image(unet(w, channels(one))) for one in first])
    return refined / refined.abs().square().sum(0).sqrt()


def scale(kspace, share):
    sums = (kspace.real + kspace.imag).flatten(1).sum(1)
    values = kspace[sums != 0].abs().flatten()
    return values.sort(descending=True).values[int((1 - share) * len(values))]


def vsharp(w, y, mask, S, *, start="sense", scales=1, last=None, told=None, norm=False):
    images = ift(y)
    x = z = (S.conj() * images).sum(0) if start == "sense" else images.sum(0)
    u = convolved(w, "initializer.out_block", dilated(w, channels(x), scales, told), 0, told)
    u = complex_image(last(u) if last else F.prelu(u, w["initializer.activation.weight"]))
    shared = not any(key.startswith("denoiser_blocks.1.") for key in w)
    for t, rho in enumerate(w["rho"]):
        weights = below(w, f"denoiser_blocks.{0 if shared else t}.{'unet2d.' if norm else ''}")
        seen = channels(z, x, u / rho)
        if seen.ndim == 5:
            z = complex_image(series_unet(weights, seen, 2))
        else:
            z = complex_image(norm_unet(weights, seen) if norm else unet(weights, seen, told))
        for eta in w["learning_rate_eta"]:
            gradient = (S.conj() * ift(mask * (ft(S * x) - y))).sum(0)
            x = x - eta * (gradient + rho * (x - z) + u)
        u = u + rho * (x - z)
    return x.abs()


def recurrent(w, y, mask, S, *, steps, centered=True, start="sense", scales=1, norm=False):
    prefix = "regularizer.convgru." if norm else "regularizer."
    layers = len({key.split(".")[5 if norm else 4] for key in w if "update_gates" in key})
    k, h = y, None
    if start:
        images = ift(y, centered)
        image = (S.conj() * images).sum(0) if start == "sense" else images.sum(0)
        features = dilated(w, channels(ft(image, centered)), scales)
        h = [
            F.relu(convolved(w, f"initializer.out_blocks.{i}.0", features, 0))
            for i in range(layers)
        ]
    for t in range(steps):
        shared = not any(key.startswith("block_list.1.") for key in w)
        b = below(w, f"block_list.{0 if shared else t}.")
        gru = below(b, prefix)

        def network(x, gru=gru):
            nonlocal h
            new = []
            for i in range(layers):
                c = F.relu(replicated(gru, f"conv_blocks.{i}.1", x, 2 if i == 1 else 1))
                old = torch.zeros_like(c) if h is None else h[i]
                both = torch.cat([c, old], 1)
                update = convolved(gru, f"update_gates.{i}.0", both, 0).sigmoid()
                reset = convolved(gru, f"reset_gates.{i}.0", both, 0).sigmoid()
                both = torch.cat([c, reset * old], 1)
                new.append(old * (1 - update) + convolved(gru, f"out_gates.{i}.0", both, 0).tanh()
                           * update)  # fmt: skip
                x = F.relu(new[-1])
            h = new
            return replicated(gru, f"conv_blocks.{layers}.1", x, 2 if layers == 1 else 1)

        x = channels((S.conj() * ift(k, centered)).sum(0))
        change = complex_image(normalized(network, x) if norm else network(x))
        k = k - b["learning_rate"] * mask * (k - y) + ft(S * change, centered)
    return ift(k, centered).abs().square().sum(0).sqrt()
