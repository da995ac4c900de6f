"""The same weights in the keys and layouts of other dialects.

The starting point is always a state dict of guided-diffusion's UNetModel with q, k and v in thirds, or of SongUNet.
"""

import re
from collections import OrderedDict

import torch

RESIDUAL = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}
EDM_RESIDUAL = {
    "in_layers.0": "norm0", "in_layers.2": "conv0", "emb_layers.1": "affine", "out_layers.0": "norm1",
    "out_layers.3": "conv1", "skip_connection": "skip",
}


def legacy_rows(rows, heads):
    """From thirds, row pC + hd + i, to the heads one after another, row (3h + p)d + i."""
    return rows.reshape(3, heads, -1, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)


def interleaved_rows(rows, heads):
    """From thirds to EDM's order, row 3hd + 3i + p."""
    return rows.reshape(3, heads, -1, *rows.shape[1:]).movedim(0, 2).reshape(rows.shape)


def with_qkv(state, head_width, order):
    """The state with every `qkv` in another order of rows."""
    return OrderedDict(
        (key, order(value, value.shape[0] // 3 // head_width) if ".qkv." in key else value)
        for key, value in state.items())


def with_planar_attention(state):
    """The state with 1x1 convolutions for attention's products, [out, in, 1, 1], as consistency_models has them."""
    return OrderedDict(
        (key, value[..., None] if re.search(r"\.(qkv|proj_out)\.weight$", key) else value)
        for key, value in state.items())


class Stages:
    """What each entry of `input_blocks` and `output_blocks` is, read from the keys: (level, index in the level), and whether it
    resamples."""

    def __init__(self, state, residual_blocks):
        entries = {kind: 1 + max(int(key.split(".")[1]) for key in state if key.startswith(kind + "."))
                   for kind in ("input_blocks", "output_blocks")}
        self.per_level = residual_blocks + 1
        self.levels = entries["output_blocks"] // self.per_level
        self.state = state

    def down(self, i):
        """The level of input block i > 0, its index there, and whether it is the level's downsampling."""
        level, index = divmod(i - 1, self.per_level)
        return level, index, index == self.per_level - 1

    def up(self, i):
        """The level of output block i and its index there."""
        return self.levels - 1 - i // self.per_level, i % self.per_level

    def upsampling(self, i):
        """The key in output block i of the residual block that doubles the size; None if it has none."""
        level, index = self.up(i)
        if level == 0 or index != self.per_level - 1:
            return None
        return "2" if f"output_blocks.{i}.2.in_layers.0.weight" in self.state else "1"


def diffusers(state, residual_blocks):
    """The keys of UNet2DModel with residual resampling, for a state in thirds."""
    stages = Stages(state, residual_blocks)
    result = OrderedDict()
    fixed = {
        "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
        "label_emb": "class_embedding", "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
    }
    for key, value in state.items():
        block, rest, suffix = _split(key)
        if key.rsplit(".", 1)[0] in fixed:
            result[f"{fixed[key.rsplit('.', 1)[0]]}.{suffix}"] = value
            continue
        kind, entry, part = block
        if kind == "middle_block":
            prefix = {"0": "mid_block.resnets.0", "1": "mid_block.attentions.0", "2": "mid_block.resnets.1"}[entry]
        elif kind == "input_blocks":
            level, index, resamples = stages.down(int(entry))
            prefix = f"down_blocks.{level}." + (
                "downsamplers.0" if resamples else f"{'attentions' if part == '1' else 'resnets'}.{index}")
        else:
            level, index = stages.up(int(entry))
            prefix = f"up_blocks.{stages.levels - 1 - level}." + (
                "upsamplers.0" if part == stages.upsampling(int(entry))
                else f"{'attentions' if part == '1' else 'resnets'}.{index}")
        if rest in RESIDUAL:
            result[f"{prefix}.{RESIDUAL[rest]}.{suffix}"] = value
        elif rest == "norm":
            result[f"{prefix}.group_norm.{suffix}"] = value
        elif rest == "proj_out":
            result[f"{prefix}.to_out.0.{suffix}"] = value.flatten(1) if suffix == "weight" else value
        else:
            for name, third in zip("qkv", value.chunk(3)):
                result[f"{prefix}.to_{name}.{suffix}"] = third.flatten(1).clone() if suffix == "weight" else third.clone()
    return result


def old_diffusers(state):
    """The names of attention in files that older versions of diffusers wrote, which current versions still read."""
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    result = OrderedDict()
    for key, value in state.items():
        for new, old in names.items():
            key = key.replace(f".{new}.", f".{old}.")
        result[key] = value
    return result


def dhariwal(state, residual_blocks, side, augmentations=0):
    """The state dict of EDM's EDMPrecond around DhariwalUNet, for a state in the interleaved order."""
    stages = Stages(state, residual_blocks)
    box = torch.full((1, 1, 2, 2), 0.25)
    result = OrderedDict()
    fixed = {"time_embed.0": "map_layer0", "time_embed.2": "map_layer1", "out.0": "out_norm", "out.2": "out_conv"}
    if augmentations:
        channels = state["time_embed.0.weight"].shape[1]
        result["model.map_augment.weight"] = torch.ones(channels, augmentations)
    for key, value in state.items():
        block, rest, suffix = _split(key)
        if key == "label_emb.weight":
            result["model.map_label.weight"] = value.T.contiguous()
            continue
        if key.rsplit(".", 1)[0] in fixed:
            result[f"model.{fixed[key.rsplit('.', 1)[0]]}.{suffix}"] = value
            continue
        kind, entry, part = block
        resampling = False
        if kind == "middle_block":
            size = side >> stages.levels - 1
            prefix = f"dec.{size}x{size}_in{0 if entry in '01' else 1}"
        elif key.startswith("input_blocks.0."):
            result[f"model.enc.{side}x{side}_conv.{suffix}"] = value
            continue
        elif kind == "input_blocks":
            level, index, resampling = stages.down(int(entry))
            size = side >> level + resampling
            prefix = f"enc.{size}x{size}_" + ("down" if resampling else f"block{index}")
        else:
            level, index = stages.up(int(entry))
            resampling = part == stages.upsampling(int(entry))
            size = side >> level - resampling
            prefix = f"dec.{size}x{size}_" + ("up" if resampling else f"block{index}")
        if rest in EDM_RESIDUAL:
            name = EDM_RESIDUAL[rest]
        else:
            name = {"norm": "norm2", "qkv": "qkv", "proj_out": "proj"}[rest]
            value = value[..., None] if suffix == "weight" and name != "norm2" else value
        result[f"model.{prefix}.{name}.{suffix}"] = value
        if resampling and name == "conv0" and suffix == "bias":
            result[f"model.{prefix}.conv0.resample_filter"] = box
            result[f"model.{prefix}.skip.resample_filter"] = box
    return result


def score_sde(state):
    """The named parameters of the DDPM++ of score_sde and RectifiedFlow, in their order, for a state of SongUNet."""
    result = OrderedDict()
    index = 0

    def add(name, value):
        result[f"module.all_modules.{index}.{name}"] = value.contiguous()

    def add_linear(source, name):
        add(f"{name}weight", state[f"{source}.weight"])
        add(f"{name}bias", state[f"{source}.bias"])

    def add_inner(rows, bias, number):
        add(f"NIN_{number}.W", rows.flatten(1).T)
        add(f"NIN_{number}.b", bias)

    for layer in ("map_layer0", "map_layer1"):
        add_linear(layer, "")
        index += 1
    blocks = OrderedDict.fromkeys(".".join(key.split(".")[:2]) for key in state if key.startswith(("enc.", "dec.")))
    for block in blocks:
        if f"{block}.norm0.weight" not in state:
            add_linear(block, "")
            index += 1
            continue
        names = {"norm0": "GroupNorm_0", "conv0": "Conv_0", "affine": "Dense_0", "norm1": "GroupNorm_1",
                 "conv1": "Conv_1", "skip": "Conv_2"}
        for source, name in names.items():
            if f"{block}.{source}.weight" in state:
                add_linear(f"{block}.{source}", f"{name}.")
        index += 1
        if f"{block}.qkv.weight" in state:
            add_linear(f"{block}.norm2", "GroupNorm_0.")
            for part in range(3):
                add_inner(state[f"{block}.qkv.weight"][part::3], state[f"{block}.qkv.bias"][part::3], part)
            add_inner(state[f"{block}.proj.weight"], state[f"{block}.proj.bias"], 3)
            index += 1
    return result


def _split(key):
    """A key's block (kind, entry, part of the entry), what follows, and `weight` or `bias`."""
    path, suffix = key.rsplit(".", 1)
    parts = path.split(".")
    if parts[0] == "middle_block":
        return ("middle_block", parts[1], None), ".".join(parts[2:]), suffix
    if parts[0] in ("input_blocks", "output_blocks"):
        return (parts[0], parts[1], parts[2]), ".".join(parts[3:]), suffix
    return None, path, suffix
