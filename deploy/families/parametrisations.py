"""Noise schedules, grids, and the one formula dx/ds = a·x + b·F(c·x, tau), in double precision."""

import math
from dataclasses import dataclass

import numpy as np

SIGMA_DATA = 0.5
# The noise level at which a pass ends, whatever the schedule.
LARGEST_LEVEL = 80


def betas(schedule):
    """The betas that a schedule, as the index describes it, stands for."""
    steps, kind = schedule["timesteps"], schedule["kind"]
    start, end = schedule.get("betaStart"), schedule.get("betaEnd")
    if kind == "linear":
        return np.linspace(start, end, steps)
    if kind == "scaled_linear":
        return np.linspace(math.sqrt(start), math.sqrt(end), steps) ** 2
    if kind == "cosine":
        def level(t):
            return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

        return np.array([min(1 - level((i + 1) / steps) / level(i / steps), 0.999) for i in range(steps)])
    if kind == "given":
        return np.array(schedule["betas"])
    raise ValueError(f"no schedule {kind}")


def noise_levels(schedule):
    """sigma = sqrt(1/alpha_bar - 1) at every timestep."""
    alpha_bar = np.cumprod(1 - betas(schedule))
    return np.sqrt(1 / alpha_bar - 1)


def karras(count, lowest, highest, rho=7):
    """EDM's grid, ascending."""
    return (lowest ** (1 / rho) + np.linspace(0, 1, count) * (highest ** (1 / rho) - lowest ** (1 / rho))) ** rho


def ends(schedule):
    """The source's own times at the image and at noise, where `headwater import` lets a pass begin and end."""
    kind = schedule["kind"]
    if kind == "uniform":
        return [float(schedule["dataAt"]), float(schedule.get("noiseAt", 1 - schedule["dataAt"]))]
    if kind == "karras":
        return [schedule["sigmaMin"], schedule["sigmaMax"]]
    return [0, int(np.flatnonzero(noise_levels(schedule) <= LARGEST_LEVEL)[-1])]


def vp_time(sigma, beta_d=19.9, beta_min=0.1):
    """The inverse of EDM's VP schedule sigma(t)."""
    return (math.sqrt(beta_min**2 + 2 * beta_d * math.log1p(sigma**2)) - beta_min) / beta_d


def scalars(parametrisation, s):
    """a, b and c at the point s."""
    if parametrisation == "velocity":
        return 0.0, 1.0, 1.0
    narrow = 1 / math.sqrt(1 + s * s)
    if parametrisation in ("epsilon", "vp"):
        return 0.0, 1.0, narrow
    if parametrisation == "v":
        return s * narrow * narrow, narrow, narrow
    if parametrisation == "sample":
        return 1 / s, -1 / s, narrow
    if parametrisation == "edm":
        variance = s * s + SIGMA_DATA * SIGMA_DATA
        return s / variance, -SIGMA_DATA / math.sqrt(variance), 1 / math.sqrt(variance)
    if parametrisation == "ve":
        return 0.0, -1.0, 1.0
    raise ValueError(f"no parametrisation {parametrisation}")


@dataclass
class Grid:
    """The points of a trajectory from an image to noise: the source's own time, s, a, b, c and tau of each."""

    time: list
    s: list
    a: list
    b: list
    c: list
    tau: list

    @classmethod
    def make(cls, parametrisation, times, sigma, tau):
        """`sigma` and `tau` give s and the network's time label for each of the source's times."""
        s = [float(sigma(t)) for t in times]
        columns = zip(*(scalars(parametrisation, point) for point in s))
        return cls(list(times), s, *map(list, columns), [float(tau(t)) for t in times])


def euler(grid, x, network):
    """Every state of an explicit Euler pass; network(x, tau) is F."""
    states = [x]
    for i in range(len(grid.s) - 1):
        x = x + (grid.s[i + 1] - grid.s[i]) * slope(grid, i, x, network)
        states.append(x)
    return states


def heun(grid, x, network):
    """Every state of a pass of Heun's method, which evaluates the network at both ends of each step."""
    states = [x]
    for i in range(len(grid.s) - 1):
        step = grid.s[i + 1] - grid.s[i]
        first = slope(grid, i, x, network)
        second = slope(grid, i + 1, x + step * first, network)
        x = x + step * (first + second) / 2
        states.append(x)
    return states


def slope(grid, i, x, network):
    """dx/ds at point i."""
    return grid.a[i] * x + grid.b[i] * network(grid.c[i] * x, grid.tau[i])
