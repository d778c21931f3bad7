"""SDUM's checkpoints, small and with random numbers, and its network, written down plainly.

After Wang et al., arXiv:2512.17137, in double precision, from a dict of tensors. The rows of an
image are lines of phase encoding there.
"""

import torch
from torch.nn import functional as F

from tests.toolkits.restated import ft, ift

FEATURES, BLOCKS, HEADS, REFINEMENT = (8, 16, 32), (1, 2, 1), (1, 2, 4), 1
HIDDEN = (21, 42, 85)  # 2.66 for each feature
MAPS = (4, 6, 8)
GRID, PATTERNS = (30, 52), 3


def shapes(cascades=2, frames=5, told=False, grid=GRID):
    """Every name of the layout below the cascades, and its shape."""
    listed = {}

    def block(at, level):
        c, hidden = FEATURES[level], HIDDEN[level]
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            listed[f"{at}{name}"] = (c,)
        listed[f"{at}attn.temperature"] = (1, HEADS[level], 1, 1)
        listed[f"{at}attn.qkv.weight"] = (3 * c, c, 1, 1)
        listed[f"{at}attn.qkv_conv.weight"] = (3 * c, 1, 3, 3)
        listed[f"{at}attn.project_out.weight"] = (c, c, 1, 1)
        listed[f"{at}ffn.project_in.weight"] = (2 * hidden, c, 1, 1)
        listed[f"{at}ffn.conv.weight"] = (2 * hidden, 1, 3, 3)
        listed[f"{at}ffn.project_out.weight"] = (c, hidden, 1, 1)
        if told:
            listed[f"{at}ffn.emb_layers.1.weight"] = (hidden, FEATURES[0])
            listed[f"{at}ffn.emb_layers.1.bias"] = (hidden,)

    def pair(at, before, after):
        for name, inputs in (("conv_0", before), ("conv_1", after)):
            listed[f"{at}{name}.conv.weight"] = (after, inputs, 3, 3)
            for vector in ("conv.bias", "adn.N.weight", "adn.N.bias"):
                listed[f"{at}{name}.{vector}"] = (after,)

    for t in range(cascades):
        at = f"cascades.{t}.coil_sensitivity_model.conv_net.unet."
        pair(f"{at}conv_0.", 2, MAPS[0])
        for n in (1, 2):
            above, below = MAPS[n - 1], MAPS[n]
            pair(f"{at}down_{n}.convs.", above, below)
            kept = below if n == 1 else below // 2
            listed[f"{at}upcat_{n}.upsample.deconv.weight"] = (below, kept, 2, 2)
            listed[f"{at}upcat_{n}.upsample.deconv.bias"] = (kept,)
            pair(f"{at}upcat_{n}.convs.", above + kept, above)
        listed[f"{at}final_conv.weight"], listed[f"{at}final_conv.bias"] = (2, MAPS[0], 1, 1), (2,)
        at = f"cascades.{t}.recon_model."
        listed[f"{at}embed_conv.weight"] = (FEATURES[0], 2 * frames, 3, 3)
        listed[f"{at}output.weight"] = (2 * frames, FEATURES[0], 3, 3)
        for n, c in enumerate(FEATURES):
            for i in range(BLOCKS[n]):
                block(f"{at}encoders.{n}.{i}.", n)
                if n < 2:
                    block(f"{at}decoders.{n}.{i}.", n)
            if n < 2:
                listed[f"{at}downs.{n}.body.0.weight"] = (c // 2, c, 3, 3)
                listed[f"{at}ups.{n}.body.0.weight"] = (4 * c, 2 * c, 3, 3)
                listed[f"{at}reduces.{n}.weight"] = (c, 2 * c, 1, 1)
        for i in range(REFINEMENT):
            block(f"{at}refinement.{i}.", 0)
        for name in ("time_embed", "label_emb") if told else ():
            for i in (0, 2):
                listed[f"{at}{name}.{i}.weight"] = (FEATURES[0], FEATURES[0])
                listed[f"{at}{name}.{i}.bias"] = (FEATURES[0],)
        if grid:
            listed[f"cascades.{t}.dc_weight_map"] = (PATTERNS, frames, 1, *grid, 1)
        else:
            listed[f"cascades.{t}.dc_weight"] = (1,)
    return listed


def made(**sizes):
    """Random tensors of this layout."""
    generator = torch.Generator().manual_seed(0)
    numbers = {}
    for name, shape in shapes(**sizes).items():
        values = torch.randn(shape, generator=generator)
        if "dc_weight" in name:
            numbers[name] = 0.75 + 0.1 * values
        elif len(shape) == 1 or "temperature" in name:
            base = 1.0 if name.endswith(("norm1.weight", "norm2.weight", "N.weight", "ture")) else 0
            numbers[name] = base + 0.2 * values
            if "final_conv" in name:  # maps far from zero
                numbers[name] += torch.tensor([2.0, -2.0])
        else:
            numbers[name] = values / values[0].numel() ** 0.5
    return numbers


def save(path, weights, prefix=""):
    """Write a checkpoint as its authors do."""
    state = {f"{prefix}{name}": value for name, value in weights.items()}
    torch.save({"epoch": 3, "global_step": 9, "net_state_dict": state}, path)
    return path


def normalized(w, at, x):
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2], w[f"{at}.weight"], w[f"{at}.bias"]).movedim(
        -1, 1
    )


def block(w, at, x, told):
    y = F.conv2d(normalized(w, f"{at}norm1", x), w[f"{at}attn.qkv.weight"])
    y = F.conv2d(y, w[f"{at}attn.qkv_conv.weight"], padding=1, groups=y.shape[1])
    heat = w[f"{at}attn.temperature"]
    q, k, v = y.reshape(3, heat.shape[1], -1, y[0, 0].numel())
    q, k = (one / one.norm(dim=-1, keepdim=True) for one in (q, k))
    y = ((q @ k.mT) * heat[0]).softmax(-1) @ v
    x = x + F.conv2d(y.reshape(x.shape), w[f"{at}attn.project_out.weight"])
    y = F.conv2d(normalized(w, f"{at}norm2", x), w[f"{at}ffn.project_in.weight"])
    y = F.conv2d(y, w[f"{at}ffn.conv.weight"], padding=1, groups=y.shape[1])
    gate, value = y.chunk(2, 1)
    y = F.gelu(gate) * value
    if told is not None:
        name = f"{at}ffn.emb_layers.1"
        y = y + F.linear(F.silu(told), w[f"{name}.weight"], w[f"{name}.bias"])[:, :, None, None]
    return x + F.conv2d(y, w[f"{at}ffn.project_out.weight"])


def blocks(w, at, x, told):
    i = 0
    while f"{at}.{i}.norm1.weight" in w:
        x, i = block(w, f"{at}.{i}.", x, told), i + 1
    return x


def embedded(w, at, number):
    half = FEATURES[0] // 2
    angles = number * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    x = torch.cat([angles.cos(), angles.sin()])[None]
    x = F.silu(F.linear(x, w[f"{at}.0.weight"], w[f"{at}.0.bias"]))
    return F.linear(x, w[f"{at}.2.weight"], w[f"{at}.2.bias"])


def restormer(w, at, images, carried, told):
    """Images (t, h, w), one after the other as real and imaginary part."""
    t, h, v = images.shape
    x = torch.stack([images.real, images.imag], 1).reshape(1, 2 * t, h, v)
    below, beside = -h % 4, -v % 4
    x = F.pad(x, (beside // 2, beside - beside // 2, below // 2, below - below // 2))
    x = blocks(w, f"{at}encoders.0", F.conv2d(x, w[f"{at}embed_conv.weight"], padding=1), told)
    seen = [x]
    for n in (0, 1):
        x = F.pixel_unshuffle(F.conv2d(x, w[f"{at}downs.{n}.body.0.weight"], padding=1), 2)
        x = x + carried[n] if carried else x
        x = blocks(w, f"{at}encoders.{n + 1}", x, told)
        seen.append(x)
    left = [None, x]
    for n in (1, 0):
        x = F.pixel_shuffle(F.conv2d(x, w[f"{at}ups.{n}.body.0.weight"], padding=1), 2)
        x = F.conv2d(torch.cat([x, seen[n]], 1), w[f"{at}reduces.{n}.weight"])
        x = blocks(w, f"{at}decoders.{n}", x, told)
        left[0] = left[0] if left[0] is not None else x
    x = F.conv2d(blocks(w, f"{at}refinement", x, told), w[f"{at}output.weight"], padding=1)
    x = x[0, :, below // 2 :, beside // 2 :][:, :h, :v].reshape(t, 2, h, v)
    return torch.complex(x[:, 0], x[:, 1]), left


def pair(w, at, x):
    for name in (f"{at}conv_0", f"{at}conv_1"):
        x = F.conv2d(x, w[f"{name}.conv.weight"], w[f"{name}.conv.bias"], padding=1)
        x = F.instance_norm(x, weight=w[f"{name}.adn.N.weight"], bias=w[f"{name}.adn.N.bias"])
        x = F.leaky_relu(x, 0.01)
    return x


def maps(w, at, images):
    """Maps of every coil image of (t, c, h, w); both parts have a norm of their own."""
    t, c, h, v = images.shape
    x = torch.stack([images.real, images.imag], 2).reshape(t * c, 2, h, v)
    below, beside = -h % 4, -v % 4
    x = F.pad(x, (beside // 2, beside - beside // 2, below // 2, below - below // 2))
    x = pair(w, f"{at}conv_0.", x)
    seen = []
    for n in (1, 2):
        seen.append(x)
        x = pair(w, f"{at}down_{n}.convs.", F.max_pool2d(x, 2))
    for n in (2, 1):
        name, skip = f"{at}upcat_{n}.upsample.deconv", seen.pop()
        x = F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2)
        while x.shape[2] < skip.shape[2]:
            x = torch.cat([x, x[:, :, -1:]], 2)
        while x.shape[3] < skip.shape[3]:
            x = torch.cat([x, x[:, :, :, -1:]], 3)
        x = pair(w, f"{at}upcat_{n}.convs.", torch.cat([skip, x], 1))
    x = F.conv2d(x, w[f"{at}final_conv.weight"], w[f"{at}final_conv.bias"])
    x = x[:, :, below // 2 :, beside // 2 :][:, :, :h, :v].reshape(t, c, 2, h, v)
    x = x / x.square().sum(1, keepdim=True).sqrt()
    return torch.complex(x[:, :, 0], x[:, :, 1])


def place_weights(w, at, pattern, shape):
    """The centre of the grid, whose edges are repeated where it is too small."""
    if f"{at}dc_weight" in w:
        return w[f"{at}dc_weight"]
    grid = w[f"{at}dc_weight_map"][pattern, :, :, :, :, 0]
    for axis, size in zip((2, 3), shape, strict=True):
        here = grid.shape[axis]
        index = torch.arange(size) - (size - here) // 2 if size > here else (
            torch.arange(size) + (here - size) // 2
        )  # fmt: skip
        grid = grid.index_select(axis, index.clamp(0, here - 1))
    return grid


def reconstructed(w, y, mask, pattern, center, kind=None):
    """The image in the middle of k-space (t, c, h, w); the centre is that of the first maps."""
    w = {name: value.double() for name, value in w.items()}
    images = ift(y)
    mean = images.mean((1, 2, 3), keepdim=True)
    scale = (images - mean).abs().square().mean((1, 2, 3), keepdim=True).sqrt()
    x = (images - mean) / scale
    measured, middle, carried, t = ft(x), len(y) // 2, None, 0
    while f"cascades.{t}.recon_model.embed_conv.weight" in w:
        at = f"cascades.{t}."
        S = maps(w, f"{at}coil_sensitivity_model.conv_net.unet.", x if t else ift(ft(x) * center))
        told = None if kind is None else (
            embedded(w, f"{at}recon_model.time_embed", 50.0 * t)
            + embedded(w, f"{at}recon_model.label_emb", 10.0 * kind)
        )  # fmt: skip
        made_of = (S.conj() * x).sum(1)
        change, carried = restormer(w, f"{at}recon_model.", made_of, carried, told)
        last = f"cascades.{t + 1}.recon_model.embed_conv.weight" not in w
        which = [middle] * len(y) if last else list(range(len(y)))
        k = ft(x[which] + S[which] * change[:, None])
        W = place_weights(w, at, pattern, y.shape[2:])
        k = torch.where(mask[which][:, None], (1 - W) * k + W * measured[which], k)
        x, t = ift(k), t + 1
    x = x.mean(0) * scale[middle] + mean[middle]
    return x.abs().square().sum(0).sqrt()
