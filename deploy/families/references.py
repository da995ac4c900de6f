"""The reference networks of the installed packages, evaluated in double precision, and the places of their activations.

A reference answers F(x, tau) for a batch, the first three channels of the output, and keeps the means of each place's
activations: `down.i`, `middle` and `up.i` as docs/api.md names them. Time embeddings stay single precision, as in every package, since
the rounding of tau times a frequency belongs to what a network computes.
"""

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path

import torch


def _load(name, *parts):
    """A module or package by its path: its parents' __init__ would import what isn't needed here."""
    parent = importlib.util.find_spec(parts[0]).submodule_search_locations[0]
    path = Path(parent, *parts[1:])
    locations = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(
        name, path / "__init__.py" if locations else path, submodule_search_locations=locations)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


adm = importlib.import_module("guided_diffusion.unet")
adm_nn = importlib.import_module("guided_diffusion.nn")
_load("torchcfm_unet", "torchcfm", "models", "unet")
cfm = importlib.import_module("torchcfm_unet.unet")
cfm_nn = importlib.import_module("torchcfm_unet.nn")
song = _load("rectified_flow_unet", "rectified_flow", "models", "unet.py")


class _Attention:
    """Softmax attention in the precision of its input, instead of EDM's, which is always single."""

    @staticmethod
    def apply(q, k):
        return (q.transpose(1, 2) @ k / q.shape[1] ** 0.5).softmax(dim=2)


@contextmanager
def double_precision():
    """Within it, no package converts doubles to single precision."""
    to_float = torch.Tensor.float
    forwards = [(nn.GroupNorm32, nn.GroupNorm32.forward) for nn in (adm_nn, cfm_nn)]
    attention = song.AttentionOp
    torch.Tensor.float = lambda self: self if self.dtype == torch.float64 else to_float(self)
    for norm, _ in forwards:
        norm.forward = torch.nn.GroupNorm.forward
    song.AttentionOp = _Attention
    try:
        with torch.no_grad():
            yield
    finally:
        torch.Tensor.float = to_float
        for norm, forward in forwards:
            norm.forward = forward
        song.AttentionOp = attention


class Reference:
    """A network that keeps the spatial means of its activations, in double precision unless another one is given."""

    def __init__(self, network, precision=torch.float64):
        # UNet2DModel's own `to` warns of every conversion.
        self.network, self.precision = torch.nn.Module.to(network, precision).eval(), precision
        # Of the last evaluation, by the place's name, [N, channels].
        self.kept = {}
        for place, module in self.modules():
            module.register_forward_hook(
                lambda _, __, output, place=place: self.kept.__setitem__(place, output.mean(dim=(2, 3))))

    def __call__(self, x, tau):
        """F of a batch [N, 3, S, S] at one time label, [N, 3, S, S]."""
        with double_precision():
            times = torch.full((len(x),), tau, dtype=torch.float32)
            return self.call(x, times)[:, :3]

    def means(self, x, tau):
        """The spatial means of every place, by its name, [N, channels]."""
        self(x, tau)
        return dict(self.kept)


class ADM(Reference):
    """UNetModel of guided-diffusion or torchcfm, which also is improved-diffusion's and consistency_models'."""

    def __init__(self, network, label=None, **options):
        self.label = label
        super().__init__(network, **options)
        network.dtype = self.precision
        network.time_embed.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(self.precision),))

    def modules(self):
        for i, block in enumerate(self.network.input_blocks):
            yield f"down.{i}", block
        yield "middle", self.network.middle_block
        for i, block in enumerate(self.network.output_blocks):
            yield f"up.{i}", block

    def call(self, x, times):
        labels = None if self.label is None else torch.full((len(x),), self.label)
        if isinstance(self.network, cfm.UNetModel):
            return self.network(times, x, labels)
        return self.network(x, times, labels)


class Diffusers(Reference):
    """UNet2DModel of diffusers."""

    def __init__(self, network, label=None, **options):
        self.label = label
        super().__init__(network, **options)

    def modules(self):
        network = self.network
        down = [network.conv_in]
        for block in network.down_blocks:
            down += list(getattr(block, "attentions", block.resnets))
            down += list(block.downsamplers or [])
        yield from ((f"down.{i}", module) for i, module in enumerate(down))
        yield "middle", network.mid_block
        up = []
        for block in network.up_blocks:
            up += list(getattr(block, "attentions", block.resnets))
            if block.upsamplers:
                up[-1] = block.upsamplers[0]
        yield from ((f"up.{i}", module) for i, module in enumerate(up))

    def call(self, x, times):
        labels = None if self.label is None else torch.full((len(x),), self.label)
        return self.network(x, times, labels).sample


class Song(Reference):
    """SongUNet, EDM's DDPM++, in rectified-flow's edition: it multiplies its time by 1000 unless it is told not to."""

    def __init__(self, network, label=None, **options):
        self.label = label
        embed = type(network.map_time).forward
        network.map_time.forward = lambda times: embed(network.map_time, times, 1.0).to(self.precision)
        # A network of published size has 32 groups everywhere; a layer of fewer than 128 channels would have fewer.
        for module in network.modules():
            if isinstance(module, song.GroupNorm):
                module.num_groups = 32
        super().__init__(network, **options)

    def modules(self):
        for i, block in enumerate(self.network.enc.values()):
            yield f"down.{i}", block
        up = []
        for name, block in self.network.dec.items():
            if name.endswith("_in1"):
                yield "middle", block
            elif name.endswith("_up"):
                up[-1] = block
            elif "_block" in name:
                up.append(block)
        yield from ((f"up.{i}", block) for i, block in enumerate(up))

    def call(self, x, times):
        classes = self.network.config.label_dim
        labels = None
        if classes:
            labels = torch.zeros(len(x), classes, dtype=self.precision)
            if self.label is not None:
                labels[:, self.label] = 1
        return self.network(x, times, labels)
