"""What a process of PyTorch does: take one step of training, and then measure steps whenever it is asked."""

import json
import os
import resource
import sys

import networks
from engines import timed

CLASSES, POOLED, EULER_STEPS = 10, 16, 3


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def serve(engine, name, stage, batch):
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(1)
    before = peak()
    step = {"pretrain": pretraining, "finetune": finetuning}[stage](torch, name, batch, engine)

    def guarded():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=engine == "torch-bf16"):
            loss = step()
        if not torch.isfinite(loss):
            sys.exit(f"{engine}: the loss is {float(loss)}")

    guarded()
    print(json.dumps({"error": None}), flush=True)
    for line in sys.stdin:
        milliseconds = batch * timed(guarded, 1, batch, float(line))
        print(json.dumps({"step": milliseconds, "peak": peak(), "before": before}), flush=True)


def network_of(torch, name, engine):
    network = networks.unet(torch, name).train()
    layout = torch.channels_last if engine == "torch-channels-last" else torch.contiguous_format
    return network.to(memory_format=layout), layout


def update(torch, optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    # Autocast is for the forward pass.
    with torch.autocast("cpu", enabled=False):
        loss.backward()
        optimizer.step()
    return loss.detach()


def pretraining(torch, name, batch, engine):
    network, layout = network_of(torch, name, engine)
    pixels = networks.pixels(name)
    images = (4 * torch.rand(batch, 3, pixels, pixels) - 2).contiguous(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def step():
        noise, t = torch.randn_like(images), torch.rand(batch)
        share = t[:, None, None, None]
        velocity = network(t, (1 - share) * noise + share * images)
        loss = 0.5 * (velocity.float() - (images - noise)).square().sum(1).mean()
        return update(torch, optimizer, loss)

    return step


def finetuning(torch, name, batch, engine):
    network, layout = network_of(torch, name, engine)
    nn, pixels = torch.nn, networks.pixels(name)
    width = 3 * POOLED**2
    head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, CLASSES, bias=False))
    images = (4 * torch.rand(batch, 3, pixels, pixels) - 2).contiguous(memory_format=layout)
    labels = torch.arange(batch) % CLASSES
    optimizer = torch.optim.AdamW(
        [*network.parameters(), *head.parameters()], lr=1e-4, weight_decay=0.05, fused=True
    )

    def step():
        x = images
        for k in range(EULER_STEPS):
            t = torch.full((batch,), 1 - k / EULER_STEPS)
            x = x - network(t, x) / EULER_STEPS
        logits = head(nn.functional.adaptive_avg_pool2d(x, POOLED).flatten(1))
        loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)
        return update(torch, optimizer, loss)

    return step


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
