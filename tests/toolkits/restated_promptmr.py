"""PromptMR's checkpoints, small and with random numbers, and its network, written down plainly.

After Xin et al., arXiv:2309.13839, in double precision, from a dict of tensors.
"""

import torch
from torch.nn import functional as F

from tests.toolkits.restated import ft, ift

WIDE = {"features": (4, 8, 8, 12), "prompts": (4, 4, 8), "encoder": (2, 1, 1), "decoder": (1, 2, 1)}
NARROW = {"features": (4, 4, 4, 8), "prompts": (4, 4, 4), "encoder": (2, 1, 1),
          "decoder": (1, 2, 1)}  # fmt: skip
BOTTOM, PROMPTS, SIDE = 2, 3, 16


def shapes(cascades=2, images=3, attention=True):
    """Every name of the layout and its shape; the names are those without ``promptmr.``."""
    listed = {}

    def block(name, c):
        listed[f"{name}.body.0.weight"] = listed[f"{name}.body.2.weight"] = (c, c, 3, 3)
        listed[f"{name}.body.1.weight"] = (1,)
        if attention:
            listed[f"{name}.CA.conv_du.0.weight"] = (c // 4, c, 1, 1)
            listed[f"{name}.CA.conv_du.2.weight"] = (c, c // 4, 1, 1)

    def network(at, channels, features, prompts, encoder, decoder):
        listed[f"{at}feat_extract.weight"] = (features[0], channels, 3, 3)
        listed[f"{at}conv_last.weight"] = (channels, features[0], 5, 5)
        for n in (1, 2, 3):
            above, below, asked = features[n - 1], features[n], prompts[n - 1]
            listed[f"{at}enc_level{n}.down.weight"] = (below, above, 3, 3)
            listed[f"{at}enc_level{n}.down.bias"] = (below,)
            for i in range(encoder[n - 1]):
                block(f"{at}enc_level{n}.encoder.{i}", above)
            block(f"{at}skip_attn{n}.skip_attn.0", above)
            side = SIDE >> (n - 1)
            listed[f"{at}prompt_level{n}.prompt_param"] = (1, PROMPTS, asked, side, side)
            listed[f"{at}prompt_level{n}.linear_layer.weight"] = (PROMPTS, below)
            listed[f"{at}prompt_level{n}.linear_layer.bias"] = (PROMPTS,)
            listed[f"{at}prompt_level{n}.dec_conv3x3.weight"] = (asked, asked, 3, 3)
            for i in range(decoder[n - 1]):
                block(f"{at}dec_level{n}.fuse.{i}", below + asked)
            listed[f"{at}dec_level{n}.reduce.weight"] = (below, below + asked, 1, 1)
            listed[f"{at}dec_level{n}.up.1.weight"] = (above, below, 1, 1)
            block(f"{at}dec_level{n}.ca", above)
        for i in range(BOTTOM):
            block(f"{at}bottleneck.{i}", features[-1])

    network("sens_net.norm_unet.unet.", 2, **NARROW)
    for t in range(cascades):
        listed[f"cascades.{t}.dc_weight"] = (1,)
        network(f"cascades.{t}.model.unet.", 2 * images, **WIDE)
    return listed


def made(cascades=2, images=3, attention=True):
    """Random tensors of this layout."""
    generator = torch.Generator().manual_seed(0)
    numbers = {}
    for name, shape in shapes(cascades, images, attention).items():
        values = torch.randn(shape, generator=generator)
        inputs = values[0].numel() if len(shape) > 1 else 4
        numbers[name] = values.abs() if "prompt_param" in name else 1.3 * values / inputs**0.5
        if name.endswith("body.1.weight"):
            numbers[name] = 0.1 + 0.2 * values.abs()
        if name.endswith("dc_weight"):
            numbers[name] = 0.5 + 0.3 * values.abs()
    return numbers


def save(path, weights, **more):
    """Write a checkpoint as Lightning does, with the window of the loss."""
    state = {f"promptmr.{name}": value for name, value in weights.items()}
    state["loss.w"] = torch.full((1, 1, 7, 7), 1 / 49)
    settings = {"num_cascades": 2, "feature_dim": [8, 8, 12], "no_use_ca": False}
    told = {"epoch": 3, "global_step": 9, "pytorch-lightning_version": "1.9.0", "loops": {}}
    torch.save({**told, "state_dict": state, "hyper_parameters": settings, **more}, path)
    return path


def block(w, name, x):
    y = F.conv2d(x, w[f"{name}.body.0.weight"], padding=1)
    y = F.conv2d(F.prelu(y, w[f"{name}.body.1.weight"]), w[f"{name}.body.2.weight"], padding=1)
    if f"{name}.CA.conv_du.0.weight" in w:
        gain = F.conv2d(y.mean((2, 3), keepdim=True), w[f"{name}.CA.conv_du.0.weight"])
        y = y * F.conv2d(gain.relu(), w[f"{name}.CA.conv_du.2.weight"]).sigmoid()
    return x + y


def blocks(w, name, x):
    i = 0
    while f"{name}.{i}.body.0.weight" in w:
        x, i = block(w, f"{name}.{i}", x), i + 1
    return x


def prompt(w, name, x):
    share = F.linear(x.mean((2, 3)), w[f"{name}.linear_layer.weight"],
                     w[f"{name}.linear_layer.bias"]).softmax(1)  # fmt: skip
    images = torch.tensordot(share[0], w[f"{name}.prompt_param"][0], 1)[None]
    images = F.interpolate(images, x.shape[2:], mode="bilinear", align_corners=False)
    return F.conv2d(images, w[f"{name}.dec_conv3x3.weight"], padding=1)


def unet(w, at, x):
    x, seen = F.conv2d(x, w[f"{at}feat_extract.weight"], padding=1), []
    for n in (1, 2, 3):
        x = blocks(w, f"{at}enc_level{n}.encoder", x)
        seen.append(x)
        down = w[f"{at}enc_level{n}.down.weight"], w[f"{at}enc_level{n}.down.bias"]
        x = F.conv2d(x, *down, stride=2, padding=1)
    x = blocks(w, f"{at}bottleneck", x)
    for n in (3, 2, 1):
        x = torch.cat([x, prompt(w, f"{at}prompt_level{n}", x)], 1)
        x = F.conv2d(blocks(w, f"{at}dec_level{n}.fuse", x), w[f"{at}dec_level{n}.reduce.weight"])
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = F.conv2d(x, w[f"{at}dec_level{n}.up.1.weight"])
        x = block(
            w, f"{at}dec_level{n}.ca", x + blocks(w, f"{at}skip_attn{n}.skip_attn", seen.pop())
        )
    return F.conv2d(x, w[f"{at}conv_last.weight"], padding=2)


def network(w, at, images):
    """Images (n, h, w): all real parts, then all imaginary ones, normalized by one number."""
    x = torch.cat([images.real, images.imag])
    mean, std = x.mean(), x.std()
    h, v = x.shape[1:]
    below, beside = -h % 8, -v % 8
    pads = (beside // 2, beside - beside // 2, below // 2, below - below // 2)
    y = unet(w, at, F.pad((x - mean) / std, pads)[None])[0]
    y = y[:, below // 2 :, beside // 2 :][:, :h, :v] * std + mean
    return torch.complex(*y.chunk(2))


def center(mask):
    """The even number of lines around the middle that are all sampled."""
    middle = len(mask) // 2
    half = next(i for i in range(middle + 1) if not (mask[middle + i] and mask[middle - 1 - i]))
    lines, start = torch.zeros_like(mask), (len(mask) - 2 * half + 1) // 2
    lines[start : start + 2 * half] = True
    return lines


def reconstructed(w, y, mask):
    """The image of the slice in the middle of k-space (slice, coil, h, w), sampled in lines."""
    w = {name: value.double() for name, value in w.items()}
    low = ift(y * center(mask)).flatten(0, 1)
    maps = torch.cat([network(w, "sens_net.norm_unet.unet.", one[None]) for one in low])
    maps = maps.reshape(y.shape)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    k, t = y, 0
    while f"cascades.{t}.dc_weight" in w:
        change = network(w, f"cascades.{t}.model.unet.", (maps.conj() * ift(k)).sum(1))
        k = k - w[f"cascades.{t}.dc_weight"] * mask * (k - y) - ft(maps * change[:, None])
        t += 1
    return ift(k)[len(y) // 2].abs().square().sum(0).sqrt()
