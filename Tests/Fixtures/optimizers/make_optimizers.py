"""What PyTorch's Adam and AdamW make of seeded parameters and gradients, in double.

    python make_optimizers.py        # writes optimizers.safetensors next to this file

Needs torch, numpy and safetensors. Parameters and gradients are not stored: both sides make them from SplitMix64
(`seeded`), as Tests/TestFixtures/SeededGenerator.swift does. The file holds the parameters after every step.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

COUNT, STEPS = 37, 6
RATES = [0.01, 0.02, 0.03, 0.02, 0.01, 0.001]


def seeded(seed, count):
    """`count` numbers from -1 up to 1 out of SplitMix64, of 24 bits each."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64)
        z = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1


def run(make, clip=None):
    values = torch.tensor(seeded(1, COUNT), requires_grad=True)
    optimizer = make([values])
    rows = []
    for step in range(STEPS):
        # Of very different sizes, down to where epsilon counts.
        values.grad = torch.tensor(seeded(2 + step, COUNT) * 10.0 ** -np.arange(COUNT).clip(0, 9))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([values], clip)
        for group in optimizer.param_groups:
            group["lr"] = RATES[step]
        optimizer.step()
        rows.append(values.detach().numpy().copy())
    return np.stack(rows)


cases = {
    "adam": run(lambda p: torch.optim.Adam(p, betas=(0.9, 0.999), eps=1e-8)),
    "adamw": run(lambda p: torch.optim.AdamW(p, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)),
    "clipped": run(lambda p: torch.optim.AdamW(p, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.5), clip=0.25),
}
save_file(cases, pathlib.Path(__file__).with_name("optimizers.safetensors"))
