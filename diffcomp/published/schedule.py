"""The noise levels of the published model: a table, of which a sampler visits some."""

import jax.numpy as jnp
import numpy as np

from diffcomp.diffusion.noise_schedule import SampleGrid
from diffcomp.published.config import CdcConfig


def published_alpha_bar(config: CdcConfig) -> np.ndarray:
    """alpha_bar at the training steps of the published model, float64 [training_steps].

    The cosine schedule is that of Nichol & Dhariwal 2021 (eq. 17) with s = 0.008, the linear one
    that of Ho et al. 2020 (section 4), whose 1000 steps are stretched to their number here.
    """
    steps = config.training_steps
    if config.schedule == "linear":
        betas = np.linspace(0.1, 20.0, steps) / steps
    else:
        # The published code spreads steps + 1 points over [0, steps + 1], ends included.
        u = np.linspace(0.0, 1.0, steps + 1)
        alpha_bar = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.clip(1 - alpha_bar[1:] / alpha_bar[:-1], 0, 0.999)
    return np.cumprod(1 - betas)


def published_grid(config: CdcConfig, steps: int) -> SampleGrid:
    """The levels that the published sampler visits: `steps` training steps, evenly spread.

    Raises ValueError unless steps is in [1, training_steps].
    """
    last = config.training_steps - 1
    if not 1 <= steps <= config.training_steps:
        raise ValueError(
            f"steps is {steps}; the published model takes 1 to {config.training_steps}."
        )
    number = np.arange(steps)[::-1]
    index = number * last // (steps - 1) if steps > 1 else np.array([last])
    t = index / config.training_steps if config.time_input == "index" else number / steps
    alpha_bar = published_alpha_bar(config)[index]
    return SampleGrid(t=jnp.asarray(t, jnp.float32), alpha_bar=jnp.asarray(alpha_bar, jnp.float32))
