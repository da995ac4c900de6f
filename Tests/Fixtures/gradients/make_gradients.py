"""Losses and gradients of a small velocity network by PyTorch's automatic differentiation, in double.

    python make_gradients.py        # writes gradients.safetensors next to this file

Needs torch, numpy and safetensors. Parameters and inputs are not stored: both sides make them from SplitMix64, each
tensor from a seed of its own (`seeded`), as Tests/ReferenceNetwork/SeededParameters.swift does. Of each parameter's
gradient the file keeps up to 32 evenly spaced numbers, its norm, and its product with a seeded tensor, which no wrong
number leaves unchanged.
"""

import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

CHANNELS, MULTIPLIERS, ATTENTION, HEADS, SIDE = 32, (1, 2), (2,), 4, 16
POOLED, HIDDEN, CLASSES = 8, 24, 5
SAMPLES = 32


def seeded(seed, count):
    """`count` numbers from -1 up to 1 out of SplitMix64, of 24 bits each."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64)
        z = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32)


class Parameters:
    """Makes each parameter when it is declared; the order of declaration is that of the layout."""

    def __init__(self):
        self.tensors = {}

    def declare(self, key, *shape):
        for suffix, extents in ((".weight", shape), (".bias", shape[:1])):
            numbers = seeded(len(self.tensors) + 1, int(np.prod(extents)))
            if len(extents) > 1:
                numbers = numbers * np.float32(np.sqrt(3 / np.prod(extents[1:])))
            else:
                numbers = numbers * np.float32(0.125) + np.float32(1 if suffix == ".weight" else 0)
            self.tensors[key + suffix] = torch.tensor(
                numbers.astype(np.float64).reshape(extents), requires_grad=True)

    def __call__(self, key):
        return self.tensors[key + ".weight"], self.tensors.get(key + ".bias")

    def forget_gradients(self):
        for tensor in self.tensors.values():
            tensor.grad = None


def declare_residual(p, key, inputs, outputs):
    p.declare(key + ".in_layers.0", inputs)
    p.declare(key + ".in_layers.2", outputs, inputs, 3, 3)
    p.declare(key + ".emb_layers.1", 2 * outputs, 4 * CHANNELS)
    p.declare(key + ".out_layers.0", outputs)
    p.declare(key + ".out_layers.3", outputs, outputs, 3, 3)
    if inputs != outputs:
        p.declare(key + ".skip_connection", outputs, inputs, 1, 1)


def declare_attention(p, key, channels):
    p.declare(key + ".norm", channels)
    p.declare(key + ".qkv", 3 * channels, channels, 1)
    p.declare(key + ".proj_out", channels, channels, 1)


def residual(p, key, x, embedding):
    h = F.silu(F.group_norm(x, 32, *p(key + ".in_layers.0")))
    h = F.conv2d(h, *p(key + ".in_layers.2"), padding=1)
    scale, shift = F.linear(embedding, *p(key + ".emb_layers.1"))[:, :, None, None].chunk(2, dim=1)
    h = F.group_norm(h, 32, *p(key + ".out_layers.0")) * (1 + scale) + shift
    h = F.conv2d(F.silu(h), *p(key + ".out_layers.3"), padding=1)
    if key + ".skip_connection.weight" in p.tensors:
        x = F.conv2d(x, *p(key + ".skip_connection"))
    return x + h


def attention(p, key, x):
    n, c, side, _ = x.shape
    y = F.group_norm(x, 32, *p(key + ".norm")).flatten(2)
    q, k, v = F.conv1d(y, *p(key + ".qkv")).reshape(n, HEADS, 3, c // HEADS, side * side).unbind(2)
    weights = torch.softmax(torch.einsum("nhdq,nhdk->nhqk", q, k) / (c // HEADS) ** 0.5, dim=-1)
    y = torch.einsum("nhqk,nhdk->nhdq", weights, v).reshape(n, c, side * side)
    return x + F.conv1d(y, *p(key + ".proj_out")).reshape(x.shape)


class Network:
    """One residual block a level; blocks are (kind, key, channels in, channels out), by stages."""

    def __init__(self):
        self.p = Parameters()
        self.encoder, self.decoder = [[("conv", "input_blocks.0.0", 3, CHANNELS)]], []
        widths, channels = [CHANNELS], CHANNELS
        for level, multiplier in enumerate(MULTIPLIERS):
            width, key = multiplier * CHANNELS, f"input_blocks.{len(self.encoder)}"
            stage = [("residual", key + ".0", channels, width)]
            if 2**level in ATTENTION:
                stage.append(("attention", key + ".1", width, width))
            self.encoder.append(stage)
            widths.append(width)
            channels = width
            if level + 1 < len(MULTIPLIERS):
                self.encoder.append([("down", f"input_blocks.{len(self.encoder)}.0.op", width, width)])
                widths.append(width)
        self.middle = [("residual", "middle_block.0", channels, channels),
                       ("attention", "middle_block.1", channels, channels),
                       ("residual", "middle_block.2", channels, channels)]
        for level in reversed(range(len(MULTIPLIERS))):
            width = MULTIPLIERS[level] * CHANNELS
            for position in range(2):
                key = f"output_blocks.{len(self.decoder)}"
                stage = [("residual", key + ".0", channels + widths.pop(), width)]
                if 2**level in ATTENTION:
                    stage.append(("attention", key + ".1", width, width))
                if level > 0 and position == 1:
                    stage.append(("up", f"{key}.{len(stage)}.conv", width, width))
                self.decoder.append(stage)
                channels = width
        self.declare(channels)

    def declare(self, channels):
        p = self.p
        p.declare("time_embed.0", 4 * CHANNELS, CHANNELS)
        p.declare("time_embed.2", 4 * CHANNELS, 4 * CHANNELS)
        for stage in [*self.encoder, self.middle, *self.decoder]:
            for kind, key, inputs, outputs in stage:
                if kind == "residual":
                    declare_residual(p, key, inputs, outputs)
                elif kind == "attention":
                    declare_attention(p, key, inputs)
                else:
                    p.declare(key, outputs, inputs, 3, 3)
        p.declare("out.0", channels)
        p.declare("out.2", 3, channels, 3, 3)
        p.declare("classifier.0", 3 * POOLED**2)
        p.declare("classifier.1", HIDDEN, 3 * POOLED**2)
        p.declare("classifier.3", CLASSES, HIDDEN)
        del p.tensors["classifier.3.bias"]

    def run(self, stage, x, embedding):
        for kind, key, _, _ in stage:
            if kind == "residual":
                x = residual(self.p, key, x, embedding)
            elif kind == "attention":
                x = attention(self.p, key, x)
            else:
                if kind == "up":
                    x = F.interpolate(x, scale_factor=2, mode="nearest")
                x = F.conv2d(x, *self.p(key), padding=1, stride=2 if kind == "down" else 1)
        return x

    def velocity(self, times, x):
        half = CHANNELS // 2
        frequencies = np.exp(-np.log(10000.0) * np.arange(half) / half).astype(np.float32)
        arguments = torch.tensor((np.float32(times)[:, None] * frequencies).astype(np.float64))
        embedding = torch.cat([arguments.cos(), arguments.sin()], dim=1)
        embedding = F.linear(F.silu(F.linear(embedding, *self.p("time_embed.0"))), *self.p("time_embed.2"))
        embedding = F.silu(embedding)
        skips = []
        for stage in self.encoder:
            x = self.run(stage, x, embedding)
            skips.append(x)
        x = self.run(self.middle, x, embedding)
        for stage in self.decoder:
            x = self.run(stage, torch.cat([x, skips.pop()], dim=1), embedding)
        return F.conv2d(F.silu(F.group_norm(x, 32, *self.p("out.0"))), *self.p("out.2"), padding=1)

    def logits(self, state):
        x = F.adaptive_avg_pool2d(state, POOLED).flatten(1)
        x = F.layer_norm(x, x.shape[1:], *self.p("classifier.0"))
        return F.linear(torch.tanh(F.linear(x, *self.p("classifier.1"))), *self.p("classifier.3"))


def images(seed, count):
    numbers = seeded(seed, count * 3 * SIDE * SIDE).astype(np.float64)
    return torch.tensor(numbers.reshape(count, 3, SIDE, SIDE))


def record(tensors, case, network):
    samples, norms, projections = [], [], []
    for index, tensor in enumerate(network.p.tensors.values()):
        gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        gradient = gradient.flatten().numpy()
        taken = min(SAMPLES, gradient.size)
        samples.append(gradient[[i * gradient.size // taken for i in range(taken)]])
        norms.append(np.linalg.norm(gradient))
        projections.append(gradient @ seeded(5000 + index, gradient.size).astype(np.float64))
    tensors[case + ".samples"] = np.concatenate(samples).astype(np.float32)
    tensors[case + ".norms"] = np.array(norms, dtype=np.float32)
    tensors[case + ".projections"] = np.array(projections, dtype=np.float32)
    network.p.forget_gradients()


def main():
    network, tensors = Network(), {}

    # Flow matching: three images at three times, the ends of the path among them.
    velocity = network.velocity([0.0, 0.37, 1.0], images(1001, 3))
    loss = 0.5 * (velocity - images(1002, 3)).square().sum(dim=1).mean()
    loss.backward()
    tensors["flow.loss"] = np.array([loss.item()], dtype=np.float32)
    tensors["flow.velocity"] = velocity.detach().numpy().astype(np.float32)
    record(tensors, "flow", network)

    # Reverse fine-tuning: three Euler steps of unequal size, the head, cross-entropy with smoothed labels.
    start = images(1003, 2).requires_grad_()
    state = start
    for time, size in ((1.0, -0.25), (0.75, -0.125), (0.625, -0.25)):
        state = state + size * network.velocity([time, time], state)
    loss = F.cross_entropy(network.logits(state), torch.tensor([3, 0]), label_smoothing=0.1)
    loss.backward()
    tensors["reverse.loss"] = np.array([loss.item()], dtype=np.float32)
    tensors["reverse.state"] = state.detach().numpy().astype(np.float32)
    tensors["reverse.start"] = start.grad.numpy().astype(np.float32)
    record(tensors, "reverse", network)

    save_file(tensors, pathlib.Path(__file__).with_name("gradients.safetensors"))


if __name__ == "__main__":
    main()
