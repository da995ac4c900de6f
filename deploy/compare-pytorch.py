#!/usr/bin/env python3
"""Times the same networks in PyTorch eager f32, for comparison with `headwater bench`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE /tmp/peers/bin/python deploy/compare-pytorch.py u32 8

The network is written anew from the description in docs/architecture.md and Dhariwal and Nichol 2021; weights are random.
"""

import math
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

NETWORKS = {
    # width, residual blocks a level, multipliers, attention at these downsampling rates, heads, pixels
    "bundled": (32, 1, (1, 2, 4), (4,), 4, 32),
    "u32": (128, 3, (1, 2, 2, 2), (2, 4), 4, 32),
    "u64": (128, 3, (1, 2, 3, 4), (4, 8), 4, 64),
}


class Residual(nn.Module):
    def __init__(self, inputs, outputs, embedding):
        super().__init__()
        self.input_norm = nn.GroupNorm(32, inputs)
        self.input_conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * outputs)
        self.output_norm = nn.GroupNorm(32, outputs)
        self.output_conv = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, embedding):
        hidden = self.input_conv(F.silu(self.input_norm(x)))
        scale, shift = self.film(F.silu(embedding))[:, :, None, None].chunk(2, 1)
        hidden = self.output_norm(hidden) * (1 + scale) + shift
        return self.skip(x) + self.output_conv(F.silu(hidden))


class Attention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels)
        self.mix = nn.Conv1d(channels, 3 * channels, 1)
        self.project = nn.Conv1d(channels, channels, 1)
        self.heads = heads

    def forward(self, x, embedding):
        batch, channels, height, width = x.shape
        tokens = x.reshape(batch, channels, -1)
        mixed = self.mix(self.norm(tokens)).reshape(batch * self.heads, 3 * channels // self.heads, -1)
        q, k, v = mixed.chunk(3, 1)
        factor = (channels // self.heads) ** -0.25
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q * factor, k * factor), -1)
        attended = torch.einsum("bts,bcs->bct", weights, v).reshape(batch, channels, -1)
        return x + self.project(attended).reshape(batch, channels, height, width)


class Convolution(nn.Conv2d):
    def forward(self, x, embedding):
        return super().forward(x)


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
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
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
                encoder.append(nn.ModuleList([Convolution(channels, channels, 3, stride=2, padding=1)]))
                skips.append(channels)
                rate *= 2
        self.encoder = nn.ModuleList(encoder)
        self.middle = nn.ModuleList(
            [Residual(channels, channels, embedding), Attention(channels, heads), Residual(channels, channels, embedding)]
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
        self.decoder = nn.ModuleList(decoder)
        self.out = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, 3, 3, padding=1))

    def forward(self, t, x):
        half = self.width // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
        arguments = t[:, None] * frequencies[None]
        embedding = self.time(torch.cat([arguments.cos(), arguments.sin()], 1))
        skips = []
        for stage in self.encoder:
            for block in stage:
                x = block(x, embedding)
            skips.append(x)
        for block in self.middle:
            x = block(x, embedding)
        for stage in self.decoder:
            x = torch.cat([x, skips.pop()], 1)
            for block in stage:
                x = block(x, embedding)
        return self.out(x)


def main():
    name, batch = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(1)
    network = UNet(*NETWORKS[name]).eval()
    pixels = NETWORKS[name][-1]
    x, t = torch.randn(batch, 3, pixels, pixels), torch.rand(batch)
    times = []
    with torch.inference_mode():
        network(t, x)
        start = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - start < 5:
            began = time.perf_counter()
            network(t, x)
            times.append((time.perf_counter() - began) * 1e3 / batch)
    print(
        f"PyTorch {torch.__version__} eager f32, {torch.get_num_threads()} threads, {name} batch {batch}: "
        f"{statistics.median(times):.2f} ms an image and evaluation ({min(times):.2f}-{max(times):.2f})"
    )


main()
