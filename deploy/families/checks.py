"""The formula dx/ds = a·x + b·F(c·x, tau) against the packages' own samplers, in double precision."""

import numpy as np
import torch
from diffusers import DDIMScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from guided_diffusion import gaussian_diffusion as gd
from guided_diffusion.respace import SpacedDiffusion

import parametrisations as p
from references import double_precision


def require_close(what, ours, theirs, tolerance):
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    if not error <= tolerance:
        raise AssertionError(f"{what}: relative error {error:.2e}, more than {tolerance:.0e}")
    return error


def ddim_inversion(fixture, image):
    """Euler of an epsilon-prediction is guided-diffusion's unclipped DDIM inversion at every step of the fixture's grid."""
    grid, schedule = fixture.grid, fixture.entry["schedule"]
    rescale = schedule["timeScale"] != 1
    diffusion = SpacedDiffusion(
        use_timesteps=set(grid.time), betas=p.betas(schedule), model_mean_type=gd.ModelMeanType.EPSILON,
        model_var_type=gd.ModelVarType.FIXED_LARGE, loss_type=gd.LossType.MSE, rescale_timesteps=rescale)

    def network(x, times):
        return fixture.reference(x, float(times[0]))

    states, x = [image], image
    for i in range(len(grid.time) - 1):
        with double_precision():
            x = diffusion.ddim_reverse_sample(network, x, torch.tensor([i]), clip_denoised=False)["sample"]
        states.append(x)
    ours = p.euler(grid, image / grid.c[0], fixture.reference)
    return max(
        require_close(f"{fixture.name}: DDIM inversion, point {i}", grid.c[i] * ours[i], states[i], 1e-9)
        for i in range(1, len(states)))


def predictions():
    """A step of diffusers' DDIMScheduler is a step of Euler, for each of its prediction types."""
    generator = torch.Generator().manual_seed(1)
    state, output = (torch.randn(1, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    for kind, name in (("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "sample")):
        scheduler = DDIMScheduler(prediction_type=kind, clip_sample=False)
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
        scheduler.set_timesteps(10)
        time = int(scheduler.timesteps[3])
        levels = torch.sqrt(1 / scheduler.alphas_cumprod - 1)
        here, there = float(levels[time]), float(levels[time - 100])
        theirs = scheduler.step(output, time, state).prev_sample
        a, b, c = p.scalars(name, here)
        x = state / c
        ours = (x + (there - here) * (a * x + b * output)) * p.scalars(name, there)[2]
        require_close(f"diffusers' {kind}", ours, theirs, 1e-9)


def sigma_schedulers():
    """A step of diffusers' schedulers for EDM and for flows is a step of Euler, back towards the image."""
    generator = torch.Generator().manual_seed(2)
    state, output = (torch.randn(1, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    for scheduler, name in ((EDMEulerScheduler(), "edm"), (FlowMatchEulerDiscreteScheduler(), "velocity")):
        scheduler.set_timesteps(10)
        # Otherwise EDMEulerScheduler warns that its input isn't scaled, which is right here.
        scheduler.is_scale_input_called = True
        here, there = (float(scheduler.sigmas[i]) for i in (0, 1))
        theirs = scheduler.step(output, scheduler.timesteps[0], state).prev_sample
        a, b, _ = p.scalars(name, here)
        # The schedulers compute in single precision.
        require_close(f"diffusers' {name}", state + (there - here) * (a * state + b * output), theirs, 1e-5)


def denoisers():
    """The slope is (x - D)/sigma for each of EDM's preconditionings, D = skip·x + out·F."""
    x, output = 1.25, -0.75
    for sigma in (0.002, 0.3, 5.0, 80.0):
        deviation = p.SIGMA_DATA
        for name, skip, out in (
            ("edm", deviation**2 / (sigma**2 + deviation**2), sigma * deviation / np.sqrt(sigma**2 + deviation**2)),
            ("vp", 1, -sigma), ("ve", 1, sigma),
        ):
            a, b, _ = p.scalars(name, sigma)
            ours, theirs = (a * x + b * output, (x - (skip * x + out * output)) / sigma)
            require_close(f"{name} at {sigma}", *torch.tensor([[ours], [theirs]], dtype=torch.float64), 1e-9)
