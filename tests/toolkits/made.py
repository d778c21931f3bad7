"""Checkpoints as DIRECT writes them, small and with random numbers."""

import re

import torch
import yaml

HIDDEN = (4, 4, 5, 5)


class Maker:
    """Random tensors by DIRECT's names.

    Args:
        told: Features of the layers that tell filters how a slice was sampled; empty for none.
        only: How many convolutions of each network have such layers; None for all.
        series: Whether convolutions go over frames, too.
    """

    def __init__(self, seed=0, told=(), only=None, series=False):
        self.generator = torch.Generator().manual_seed(seed)
        self.series = series
        self.told, self.only = told, only
        self.made = {}

    def put(self, name, *shape, mean=0.0, deviation=0.3):
        values = torch.randn(shape, generator=self.generator)
        self.made[name] = mean + deviation * values

    def layers(self, name, outputs):
        sizes = [2, *self.told, outputs]
        for i in range(len(sizes) - 1):
            self.put(f"{name}.{2 * i}.weight", sizes[i + 1], sizes[i])
            self.put(f"{name}.{2 * i}.bias", sizes[i + 1])
            if i < len(sizes) - 2:
                self.put(f"{name}.{2 * i + 1}.weight", 1, mean=0.2, deviation=0.05)

    def convolution(self, name, *shape, bias=False, modulated=False):
        depth = shape[-1:] if self.series else ()
        self.put(f"{name}.weight", *shape[:2], *depth, *shape[2:], deviation=0.8 / shape[-1])
        if modulated:
            self.layers(f"{name}.fc", shape[0] * shape[1])
        outputs = shape[1] if shape[-1] == 2 else shape[0]
        if bias:
            self.put(f"{name}.bias", outputs)
        elif modulated:
            self.layers(f"{name}.bias", outputs)

    def unet(self, prefix, inputs, channels, pools, bias, told=True):
        widths = [channels * 2**level for level in range(pools + 1)]
        told = bool(self.told) and told
        below = told and self.only is None

        def block(name, before, after, modulated):
            self.convolution(f"{name}.layer_1.conv", after, before, 3, 3, modulated=modulated)
            self.convolution(f"{name}.layer_2.conv", after, after, 3, 3, modulated=modulated)

        for level in range(pools):
            before = widths[level - 1] if level else inputs
            name = f"{prefix}down_sample_layers.{level}"
            block(name, before, widths[level], below or (told and level == 0))
        block(f"{prefix}conv", widths[-2], widths[-1], below)
        for level in range(pools):
            wide, narrow = widths[pools - level], widths[pools - level - 1]
            name = f"{prefix}up_transpose_conv.{level}.conv"
            self.convolution(name, wide, narrow, 2, 2, modulated=below)
            block(f"{prefix}up_conv.{level}", wide, narrow, below)
        self.convolution(f"{prefix}conv_out", 2, channels, 1, 1, bias=bias, modulated=below)

    def dilated(self):
        for i, (before, after) in enumerate(zip((2, *HIDDEN), HIDDEN, strict=False)):
            modulated = bool(self.told) and (self.only is None or i < self.only)
            name = f"initializer.conv_blocks.{i}.1"
            self.convolution(name, after, before, 3, 3, bias=True, modulated=modulated)


def sensitivity(seed=1, channels=2, pools=2):
    maker = Maker(seed)
    maker.unet("", 2, channels, pools, bias=True)
    return maker.made


def vsharp(
    iterations=2, steps=2, shared=False, bias=True, scales=1, slope=True, norm=False, told=(),
    only=None,
):  # fmt: skip
    maker = Maker(0, told, only)
    maker.put("learning_rate_eta", steps, mean=0.4, deviation=0.1)
    maker.put("rho", iterations, mean=0.3, deviation=0.1)
    maker.made["rho"][-1] *= -1  # training may bring it there
    for t in range(1 if shared else iterations):
        maker.unet(f"denoiser_blocks.{t}.{'unet2d.' * norm}", 6, 2, 2, bias)
    maker.dilated()
    maker.convolution(
        "initializer.out_block", 2, sum(HIDDEN[-scales:]), 1, 1, bias=True,
        modulated=bool(told) and only is None,
    )  # fmt: skip
    if slope:
        maker.put("initializer.activation.weight", 1, mean=0.25, deviation=0.05)
    return maker.made


def recurrent(blocks=2, channels=3, layers=3, learned=True, scales=1, norm=False, seed=0):
    maker = Maker(seed)
    for t in range(blocks):
        prefix = f"block_list.{t}.regularizer.{'convgru.' * norm}"
        maker.put(f"block_list.{t}.learning_rate", 1, mean=0.8, deviation=0.1)
        sizes = [2, *[channels] * layers, 2]
        for i in range(layers + 1):
            size, name = 5 if i == 0 else 3, f"{prefix}conv_blocks.{i}.1"
            maker.convolution(name, sizes[i + 1], sizes[i], size, size, bias=True)
        for i in range(layers):
            for gate in ("reset_gates", "update_gates", "out_gates"):
                name = f"{prefix}{gate}.{i}.0"
                maker.convolution(name, channels, 2 * channels, 1, 1, bias=True)
    if learned:
        maker.dilated()
        for i in range(layers):
            name = f"initializer.out_blocks.{i}.0"
            maker.convolution(name, channels, sum(HIDDEN[-scales:]), 1, 1, bias=True)
    return maker.made


def series(iterations=2, steps=2):
    """A vSHARP of series."""
    maker = Maker(series=True)
    maker.put("learning_rate_eta", steps, mean=0.4, deviation=0.1)
    maker.put("rho", iterations, mean=0.3, deviation=0.1)
    for t in range(iterations):
        maker.unet(f"denoiser_blocks.{t}.", 6, 2, 2, bias=True)
    maker.dilated()
    maker.convolution("initializer.out_block", 2, HIDDEN[-1], 1, 1, bias=True)
    maker.put("initializer.activation.weight", 1, mean=0.25, deviation=0.05)
    return maker.made


def series_names(weights, pools=2):
    """Return the names that the last block and the head of such a network have."""
    last = f"up_conv.{pools - 1}."
    return {
        name.replace(last, f"{last}0.").replace("conv_out.", f"{last}1."): value
        for name, value in weights.items()
    }


def legacy(weights, pools=2):
    """Return the names that earlier versions gave, as parallel training left them."""
    old = {}
    for name, value in weights.items():
        name = re.sub(rf"\b(up_conv\.{pools - 1})\.(layer_)", r"\1.0.\2", name)
        name = re.sub(r"\b(up_transpose_conv\.\d+)\.conv\.", r"\1.layers.0.", name)
        name = re.sub(r"layer_1\.conv\.", "layers.0.", name)
        name = re.sub(r"layer_2\.conv\.", "layers.4.", name)
        name = re.sub(r"\bconv_out\.", f"up_conv.{pools - 1}.1.", name)
        name = name.replace("initializer.out_block.", "initializer.out_block.0.")
        old[f"module.{name}"] = value
    return old


def save(path, model, maps=None, settings=None, **more):
    """Write a checkpoint and, of the same name, a configuration."""
    state = {"__author__": "N/A", "__version__": "2.2.0", "__mixed_precision__": False}
    maps = {} if maps is None else {"sensitivity_model": maps}
    torch.save({**state, "model": model, **maps, **more}, path)
    if settings is not None:
        path.with_suffix(".yaml").write_text(yaml.safe_dump(settings))
    return path


def settings(name="VSharpNet", model=None, share=0.995, operator="fft2", refined=True):
    """Return a configuration as it lies beside published weights."""
    return {
        "model": {"model_name": f"package.module.{name}", **(model or {})},
        "additional_models": {"sensitivity_model": {"model_name": "unet"}} if refined else {},
        "physics": {"forward_operator": operator},
        "inference": {"dataset": {"transforms": {"normalization": {"scale_percentile": share}}}},
    }
