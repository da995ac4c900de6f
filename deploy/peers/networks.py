"""The networks that Headwater and its peers compute, with random weights, each as a module of PyTorch called with (t, x).

PRG's network is written again from Dhariwal and Nichol 2021, its parameters named as in the checkpoints. The networks of
published families are those of the packages that define them, with weights of which none is zero. Both have three output
channels and no classes.
"""

import math
import sys
from pathlib import Path

PRG = {
    # width, residual blocks a level, multipliers, attention at these downsampling rates, heads, pixels
    "small": (32, 1, (1, 2, 4), (4,), 4, 32),
    "u32": (128, 3, (1, 2, 2, 2), (2, 4), 4, 32),
    "u64": (128, 3, (1, 2, 3, 4), (4, 8), 4, 64),
}


def unet(torch, name):
    """The network of that name with random weights."""
    nn, F = torch.nn, torch.nn.functional

    class Residual(nn.Module):
        def __init__(self, inputs, outputs, embedding):
            super().__init__()
            self.in_layers = nn.Sequential(
                nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
            )
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * outputs))
            self.out_layers = nn.Sequential(
                nn.GroupNorm(32, outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
            )
            self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

        def forward(self, x, embedding):
            scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, 1)
            hidden = self.out_layers[0](self.in_layers(x)) * (1 + scale) + shift
            return self.skip_connection(x) + self.out_layers[1:](hidden)

    class Attention(nn.Module):
        def __init__(self, channels, heads):
            super().__init__()
            self.norm = nn.GroupNorm(32, channels)
            self.qkv = nn.Conv1d(channels, 3 * channels, 1)
            self.proj_out = nn.Conv1d(channels, channels, 1)
            self.heads = heads

        def forward(self, x, embedding):
            batch, channels, height, width = x.shape
            tokens = x.reshape(batch, channels, -1)
            mixed = self.qkv(self.norm(tokens)).reshape(batch * self.heads, 3 * channels // self.heads, -1)
            q, k, v = mixed.chunk(3, 1)
            factor = (channels // self.heads) ** -0.25
            weights = torch.softmax(torch.einsum("bct,bcs->bts", q * factor, k * factor), -1)
            attended = torch.einsum("bts,bcs->bct", weights, v).reshape(batch, channels, -1)
            return x + self.proj_out(attended).reshape(batch, channels, height, width)

    class Convolution(nn.Conv2d):
        def forward(self, x, embedding):
            return super().forward(x)

    class Downsample(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

        def forward(self, x, embedding):
            return self.op(x)

    class Upsample(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv = nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, x, embedding):
            return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))

    class UNet(nn.Module):
        def __init__(self, width, blocks, multipliers, attention, heads, _pixels):
            super().__init__()
            self.width = width
            embedding = 4 * width
            self.time_embed = nn.Sequential(
                nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
            )
            channels, rate = width, 1
            encoder, skips = [nn.ModuleList([Convolution(3, width, 3, padding=1)])], [width]
            for level, multiplier in enumerate(multipliers):
                for _ in range(blocks):
                    stage = [Residual(channels, multiplier * width, embedding)]
                    channels = multiplier * width
                    if rate in attention:
                        stage.append(Attention(channels, heads))
                    encoder.append(nn.ModuleList(stage))
                    skips.append(channels)
                if level < len(multipliers) - 1:
                    encoder.append(nn.ModuleList([Downsample(channels)]))
                    skips.append(channels)
                    rate *= 2
            self.input_blocks = nn.ModuleList(encoder)
            self.middle_block = nn.ModuleList(
                [
                    Residual(channels, channels, embedding),
                    Attention(channels, heads),
                    Residual(channels, channels, embedding),
                ]
            )
            decoder = []
            for level, multiplier in reversed(list(enumerate(multipliers))):
                for position in range(blocks + 1):
                    stage = [Residual(channels + skips.pop(), multiplier * width, embedding)]
                    channels = multiplier * width
                    if rate in attention:
                        stage.append(Attention(channels, heads))
                    if level and position == blocks:
                        stage.append(Upsample(channels))
                        rate //= 2
                    decoder.append(nn.ModuleList(stage))
            self.output_blocks = nn.ModuleList(decoder)
            self.out = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, 3, 3, padding=1))

        def forward(self, t, x):
            half = self.width // 2
            frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
            arguments = (t.float()[:, None] * frequencies[None]).to(x.dtype)
            embedding = self.time_embed(torch.cat([arguments.cos(), arguments.sin()], 1))
            skips = []
            for stage in self.input_blocks:
                for block in stage:
                    x = block(x, embedding)
                skips.append(x)
            for block in self.middle_block:
                x = block(x, embedding)
            for stage in self.output_blocks:
                x = torch.cat([x, skips.pop()], 1)
                for block in stage:
                    x = block(x, embedding)
            return self.out(x)

    return UNet(*PRG[name]).eval()


# Pixels, and the name in deploy/families/published.py of the network that it is but for its output.
PUBLISHED = {
    "ddpm-cifar10": (32, "google/ddpm-cifar10-32"),
    "adm-64": (64, "guided-diffusion-64"),
    "ddpm-256": (256, "google/ddpm-celebahq-256"),
}


def published(torch, name):
    """A published family's network with random weights."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
    import fixtures
    import published
    from weights import fill_randomly

    if name == "adm-64":
        network = fixtures.unet(name, published.ADM_64 | {"outputChannels": 3, "classes": 0}, fill=fill_randomly)
    else:
        network = next(model for model in published.ALL if model.name == PUBLISHED[name][1]).build(name)

    class TimeFirst(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, t, x):
            output = self.network(x, t)
            return getattr(output, "sample", output)

    return TimeFirst().eval()


def pixels(name):
    """The side of a network's images."""
    return PRG[name][-1] if name in PRG else PUBLISHED[name][0]


def build(torch, name):
    """The network of that name."""
    return unet(torch, name) if name in PRG else published(torch, name)
