"""Weights without a zero layer: for tiny networks exact in bf16 and small when compressed, for those of full size random."""

import math
import zlib

import numpy as np
import torch

# A prime, so that no two rows of a weight are equal; so few numbers that a file becomes a thirtieth when it is compressed.
PERIOD = 509


def _table():
    """PERIOD numbers of variance 1 from SplitMix64, rounded to bf16."""
    with np.errstate(over="ignore"):
        z = np.arange(1, PERIOD + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    uniform = (z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1
    return torch.tensor(uniform * np.sqrt(3)).to(torch.bfloat16).to(torch.float32)


TABLE = _table()


def numbers(name, shape):
    """Numbers of variance 1: the table, read from a position that the name decides."""
    count = int(np.prod(shape))
    positions = (torch.arange(count) + zlib.crc32(name.encode()) % PERIOD) % PERIOD
    return TABLE[positions].reshape(shape).clone()


def parameter(name, shape, is_norm_weight=False):
    """A weight, a bias, or a norm's weight near 1.

    All have one scale, at which these narrow layers keep or double their input's deviation: equal numbers compress across tensors.
    """
    if is_norm_weight:
        return (1 + numbers(name, shape) / 4).to(torch.bfloat16).to(torch.float32)
    return numbers(name, shape) / 8


def fill(network, seed):
    """Replaces every parameter of the network, those that its constructor sets to zero included."""
    with torch.no_grad():
        for path, module in network.named_modules():
            is_norm = "GroupNorm" in type(module).__name__
            for key, value in module.named_parameters(recurse=False):
                name = f"{seed}/{path}.{key}"
                value.copy_(parameter(name, tuple(value.shape), is_norm and key == "weight"))
    return network.eval()


def fill_randomly(network, seed):
    """Replaces every parameter of a network of any width by normal numbers, with which activations stay of order one."""
    generator = torch.Generator().manual_seed(zlib.crc32(seed.encode()))
    with torch.no_grad():
        for module in network.modules():
            is_norm = "GroupNorm" in type(module).__name__
            for key, value in module.named_parameters(recurse=False):
                if value.ndim == 1:
                    value.normal_(1 if is_norm and key == "weight" else 0, 0.1, generator=generator)
                else:
                    inputs = 1 if isinstance(module, torch.nn.Embedding) else value[0].numel()
                    value.normal_(0, 1 / math.sqrt(inputs), generator=generator)
    return network.eval()
