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

from diffcomp.diffusion.noise_schedule import add_noise, snr
from diffcomp.distances.lpips import lpips
from diffcomp.objectives.base import mse_255, noise_level_terms, rate_terms
from diffcomp.objectives.objective import Loss, Objective, batch_means
from diffcomp.params import Params
from diffcomp.published.config import CdcConfig, CdcLossConfig
from diffcomp.published.parts import MEDIANS
from diffcomp.published.schedule import published_alpha_bar


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


def published_objective(objective: Objective, params: Params, x: Array, c: CdcConditions) -> Loss:
    """Rate, error of the prediction, perception, and the medians' auxiliary loss."""
    model, loss, one = objective.bind(params), objective.loss, jnp.ones(x.shape[0])
    rate = model.noisy_rate(model.encode(x, one), one, c.key)
    context = model.decode_context(rate.y_hat, one)
    x_t = add_noise(x, c.eps, c.alpha_bar)
    prediction = model.predict(x_t, c.t, context)
    x0 = model.x0_estimate(prediction, x_t, c.alpha_bar)

    config = objective.network.config
    target = x if config.prediction == "x0" else c.eps
    terms = rate_terms(rate, x) | {"error": weighted_error(loss, prediction, target, c)}
    distortion = (1 - loss.rho) * terms["error"]
    if objective.lpips_weights is not None:
        terms["lpips_x0"] = lpips(objective.lpips_weights, x, x0)
        distortion += loss.rho * terms["lpips_x0"]
    aux = auxiliary_loss(objective, params)
    value = jnp.mean(c.lmbda * terms["bpp"] + distortion) + aux
    # Far from the image the estimate of a predicted noise can be anything: cut off, as decoded.
    terms |= noise_level_terms(mse_255(x, jnp.clip(x0, -1, 1)), c.t)
    return Loss(value, batch_means(terms) | {"aux": aux, "lmbda": c.lmbda})


def file_score(
    loss: CdcLossConfig, quality: float | None, bpp: float, mse: float, distance: float
) -> float:
    """The loss of an image as a file gives it: lmbda bpp + (1 - rho) mse / 127.5^2 + rho lpips.

    With the bits of the file, and mse (0..255) and LPIPS (`distance`) of the decoded image.
    """
    del quality
    return loss.lmbda * bpp + (1 - loss.rho) * mse / 127.5**2 + loss.rho * distance


def weighted_error(
    loss: CdcLossConfig, prediction: Array, target: Array, c: CdcConditions
) -> Array:
    """The prediction's error of each image, [B], weighted by its noise level."""
    difference = prediction - target
    size = jnp.square(difference) if loss.error == "squared" else jnp.abs(difference)
    error = jnp.mean(size, axis=(1, 2, 3))
    if not loss.largest_weight:
        return error
    return jnp.minimum(snr(c.alpha_bar), loss.largest_weight) * error


def auxiliary_loss(objective: Objective, params: Params) -> Array:
    """sum |logit(median)| over the channels of z, with a gradient in the medians only."""
    fixed = {p: v if p == MEDIANS else jax.lax.stop_gradient(v) for p, v in params.items()}
    return jnp.sum(jnp.abs(objective.bind(fixed).median_logits()))
