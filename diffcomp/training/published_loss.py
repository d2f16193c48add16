"""What training the published model minimises (Yang & Mandt 2023, section 3, and its code):

    loss = lmbda * bpp + (1 - rho) * w_t * error(prediction) + rho * lpips(x, x_0 estimate) + aux

bpp counts bits per pixel of y and z, with uniform noise in place of rounding. The error is the mean
of squares (x_0) or of magnitudes (noise), images in [-1, 1]. w_t = min(snr(t), largest_weight).
aux = sum |logit of the prior at the medians| moves the medians alone, and nothing else moves them.

Trained from the start at its final lmbda the model gets stuck at grey images: a long first stage
has a lmbda of next to nothing (`warmup_lmbda`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.diffusion.noise_schedule import add_noise, published_alpha_bar, snr
from diffcomp.distances.lpips import lpips
from diffcomp.networks.model import FlatParams
from diffcomp.published.config import CdcConfig, CdcLossConfig
from diffcomp.training.losses import Objective, mse_255, noise_level_terms, rate_terms

MEDIANS = "medians"


class CdcConditions(NamedTuple):
    """What is drawn at random for each image of a batch, and where the schedule of lmbda is."""

    t: Array  # [B], index of the noise level / their number
    alpha_bar: Array  # [B]
    eps: Array  # [B, H, W, 3], standard normal
    key: Array  # for the quantisation noise
    lmbda: Array  # []


def lmbda_at(loss: CdcLossConfig, step: Array) -> Array:
    """Weight of the rate at a step of training."""
    return jnp.where(step < loss.warmup_steps, loss.warmup_lmbda, loss.lmbda)


def draw_cdc_conditions(
    model: CdcConfig, loss: CdcLossConfig, x: Array, key: Array, step: Array
) -> CdcConditions:
    """Noise levels uniform over the training steps of the diffusion."""
    keys = jax.random.split(key, 3)
    index = jax.random.randint(keys[0], x.shape[:1], 0, model.training_steps)
    alpha_bar = jnp.asarray(published_alpha_bar(model), jnp.float32)[index]
    return CdcConditions(
        t=index / jnp.float32(model.training_steps),
        alpha_bar=alpha_bar,
        eps=jax.random.normal(keys[1], x.shape),
        key=keys[2],
        lmbda=lmbda_at(loss, step),
    )


def published_objective(
    objective: Objective, params: FlatParams, x: Array, c: CdcConditions
) -> tuple:
    """Rate, error of the prediction, perception, and the medians' auxiliary loss."""
    model, loss = objective.model, objective.loss
    one = jnp.ones(x.shape[0])
    latents = objective.apply(params, x, one, method="encode")
    rate = objective.apply(params, latents, one, c.key, method="noisy_rate")
    terms = objective.apply(params, rate.y_hat, one, method="decode_context")
    x_t = add_noise(x, c.eps, c.alpha_bar)
    prediction = objective.apply(params, x_t, c.t, terms, method="predict")
    x0 = objective.apply(params, prediction, x_t, c.alpha_bar, method="x0_estimate")

    error = weighted_error(model, loss, prediction, x if model.prediction == "x0" else c.eps, c)
    metrics = rate_terms(rate, x) | {"error": error}
    distortion = (1 - loss.rho) * error
    if objective.lpips_weights is not None:
        metrics["lpips_x0"] = lpips(objective.lpips_weights, x, x0)
        distortion += loss.rho * metrics["lpips_x0"]
    aux = auxiliary_loss(objective, params)
    value = jnp.mean(c.lmbda * metrics["bpp"] + distortion) + aux
    # Far from the image the estimate of a predicted noise can be anything: cut off, as decoded.
    metrics |= noise_level_terms(mse_255(x, jnp.clip(x0, -1, 1)), c.t)
    means = {name: jnp.mean(term) for name, term in metrics.items()}
    return value, means | {"aux": aux, "lmbda": c.lmbda}


def weighted_error(
    model: CdcConfig, loss: CdcLossConfig, prediction: Array, target: Array, c: CdcConditions
) -> Array:
    """The prediction's error of each image, [B], weighted by its noise level."""
    difference = prediction - target
    size = jnp.square(difference) if loss.error == "squared" else jnp.abs(difference)
    error = jnp.mean(size, axis=(1, 2, 3))
    if not loss.largest_weight:
        return error
    return jnp.minimum(snr(c.alpha_bar), loss.largest_weight) * error


def auxiliary_loss(objective: Objective, params: FlatParams) -> Array:
    """sum |logit(median)| over the channels of z, with a gradient in the medians only."""
    fixed = {p: v if p == MEDIANS else jax.lax.stop_gradient(v) for p, v in params.items()}
    return jnp.sum(jnp.abs(objective.apply(fixed, method="median_logits")))
