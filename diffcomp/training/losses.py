"""What training minimises. One objective per kind of stage, all of the form

    loss = bpp + lmbda(q) * [w_b mse(base) + (1 - w_b) ((1 - rho) w_t mse(x_0) + rho s lpips(x_0))]

(paper, section 3.3, with the base reconstruction's error added). bpp counts bits per pixel of y and
z; mse is on the scale 0..255, averaged over pixels and channels; rho = rho_max * r, r the realism
knob of the sample; s (`lpips_scale`) puts LPIPS on the scale of mse; w_t is the signal-to-noise
ratio of x_t, cut off to `snr_weights`. A stage may add rho `dists_scale` dists(x_0) to its LPIPS
for some images of each batch: VGG16 is too slow for all of them. rho `grid_scale` grid_error(x_0)
is always added.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.quality import MAX_QUALITY, MIN_QUALITY
from diffcomp.config import LossConfig
from diffcomp.diffusion.noise_schedule import add_noise, alpha_bar_cosine, snr
from diffcomp.distances.dists import DistsWeights, dists
from diffcomp.distances.grid_error import grid_error
from diffcomp.distances.lpips import LpipsWeights, lpips
from diffcomp.networks.hyperprior import Latents, Rate, normalized_quality
from diffcomp.networks.model import Architecture, FlatParams, network, variables_of
from diffcomp.networks.transforms import ContextMaps
from diffcomp.published.config import CdcLossConfig
from diffcomp.training.precision import cast_params, layers_follow_params

Metrics = dict[str, Array]
NOISE_LEVELS = 4  # equal parts of t in [0, 1], by which the error of x_0 is reported


class Conditions(NamedTuple):
    """What is drawn at random for each image of a batch."""

    quality: Array  # [B] in [1, 8]
    realism: Array  # [B] in [0, 1]
    t: Array  # [B] in [0, 1]
    eps: Array  # [B, H, W, 3], standard normal; at t = 1 times gamma
    key: Array  # for the quantisation noise


class Objective(NamedTuple):
    """A loss, with all that it needs besides parameters and data."""

    model: Architecture
    loss: LossConfig | CdcLossConfig
    lpips_weights: LpipsWeights | None
    compute_dtype: str = "float32"
    dists_weights: DistsWeights | None = None
    dists_images: int = 0  # of a batch, those of highest realism, whose DISTS counts

    def apply(self, params: FlatParams, *args: object, method: str) -> object:
        variables = variables_of(cast_params(params, self.compute_dtype))
        with layers_follow_params():
            return network(self.model).apply(variables, *args, method=method)


def lmbda(loss: LossConfig, quality: Array) -> Array:
    """Weight of distortion, bits per pixel per unit of mse (0..255): geometric in the quality."""
    ratio = loss.lmbda_high / loss.lmbda_low
    return loss.lmbda_low * ratio ** normalized_quality(quality)


def draw_conditions(loss: LossConfig, x: Array, key: Array) -> Conditions:
    """Quality uniform; realism and gamma uniform over their ranges, cut off to [0, 1]; t likewise.

    Decoding calls the network at t = 1 first, with noise of deviation gamma in place of x_t, and
    with one step only there; so `start_share` of the images are drawn there, with such noise.
    """
    keys = jax.random.split(key, 6)
    n = x.shape[:1]
    t = jnp.minimum(jax.random.uniform(keys[2], n, maxval=1 / (1 - loss.start_share)), 1.0)
    deviation = jnp.where(t == 1, _cut_off(keys[5], n, loss.gamma_range), 1.0)
    return Conditions(
        quality=jax.random.uniform(keys[0], n, minval=MIN_QUALITY, maxval=MAX_QUALITY),
        realism=_cut_off(keys[1], n, loss.realism_range),
        t=t,
        eps=deviation[:, None, None, None] * jax.random.normal(keys[3], x.shape),
        key=keys[4],
    )


def linear_objective(objective: Objective, params: FlatParams, x: Array, c: Conditions) -> tuple:
    """Rate and distortion of the linear codec: fits hyperprior, prior and gains."""
    latents = objective.apply(params, x, method="encode_linear")
    rate = objective.apply(params, latents, c.quality, c.key, method="noisy_rate")
    mse = mse_255(x, objective.apply(params, rate.y_hat, method="decode_linear"))
    terms = rate_terms(rate, x) | {"mse": mse}
    return _reduce(objective.loss, c, terms["bpp"] + lmbda(objective.loss, c.quality) * mse, terms)


def context_objective(objective: Objective, params: FlatParams, x: Array, c: Conditions) -> tuple:
    """Error of the base reconstruction from the linear codec's y_hat: fits the context decoder."""
    latents = objective.apply(params, x, method="encode_linear")
    y_hat = _fixed_y_hat(objective, params, latents, c.quality)
    base = objective.apply(params, y_hat, c.quality, method="decode_context").base
    linear = objective.apply(params, y_hat, method="decode_linear")
    terms = {"mse": mse_255(x, base), "mse_linear": mse_255(x, linear)}
    return _reduce(objective.loss, c, lmbda(objective.loss, c.quality) * terms["mse"], terms)


def decoder_objective(objective: Objective, params: FlatParams, x: Array, c: Conditions) -> tuple:
    """Distortion and perception given the encoder's y_hat: fits both parts of the decoder."""
    latents = objective.apply(params, x, c.quality, method="encode")
    y_hat = _fixed_y_hat(objective, params, latents, c.quality)
    context = objective.apply(params, y_hat, c.quality, method="decode_context")
    distortion, terms = _decoder_terms(objective, params, x, c, context)
    return _reduce(objective.loss, c, lmbda(objective.loss, c.quality) * distortion, terms)


def joint_objective(objective: Objective, params: FlatParams, x: Array, c: Conditions) -> tuple:
    """Everything at once: rate, distortion and perception."""
    latents = objective.apply(params, x, c.quality, method="encode")
    rate = objective.apply(params, latents, c.quality, c.key, method="noisy_rate")
    context = objective.apply(params, rate.y_hat, c.quality, method="decode_context")
    distortion, terms = _decoder_terms(objective, params, x, c, context)
    terms |= rate_terms(rate, x)
    loss = terms["bpp"] + lmbda(objective.loss, c.quality) * distortion
    return _reduce(objective.loss, c, loss, terms)


def mse_255(x: Array, x_hat: Array) -> Array:
    """Mean squared error of each image on the scale 0..255: two [B, H, W, 3] in [-1, 1] -> [B]."""
    return jnp.mean(jnp.square(x - x_hat), axis=(1, 2, 3)) * 127.5**2


def rate_terms(rate: Rate, x: Array) -> Metrics:
    """Estimated bits per pixel of each image, in all and by latent."""
    pixels = x.shape[1] * x.shape[2]
    bpp_y, bpp_z = rate.bits_y / pixels, rate.bits_z / pixels
    return {"bpp": bpp_y + bpp_z, "bpp_y": bpp_y, "bpp_z": bpp_z}


def noise_level_terms(mse_x0: Array, t: Array) -> Metrics:
    """Errors [B] by the part of [0, 1] that t [B] is in, with the share of images in it.

    The mean error in part k is the mean of `mse_x0_tk` over that of `share_tk`, from any batches.
    """
    level = jnp.minimum(jnp.floor(t * NOISE_LEVELS), NOISE_LEVELS - 1)
    terms = {}
    for k in range(NOISE_LEVELS):
        inside = (level == k).astype(mse_x0.dtype)
        terms |= {f"mse_x0_t{k}": inside * mse_x0, f"share_t{k}": inside}
    return terms


def _cut_off(key: Array, shape: tuple[int, ...], limits: tuple[float, float]) -> Array:
    """Uniform between the limits, then cut off to [0, 1]: piles up at an end that they exceed."""
    low, high = limits
    return jnp.clip(jax.random.uniform(key, shape, minval=low, maxval=high), 0.0, 1.0)


def _fixed_y_hat(
    objective: Objective, params: FlatParams, latents: Latents, quality: Array
) -> Array:
    rate = objective.apply(params, latents, quality, method="rate")
    return jax.lax.stop_gradient(rate.y_hat)


def _decoder_terms(
    objective: Objective, params: FlatParams, x: Array, c: Conditions, context: ContextMaps
) -> tuple[Array, Metrics]:
    """Per-image distortion [B] of base and x_0 estimate, and its parts."""
    loss = objective.loss
    alpha_bar = alpha_bar_cosine(c.t)
    # Decoding starts from noise alone: of x not even the little that alpha_bar(1) > 0 would leave,
    # which a network can read where gamma is small.
    x_t = add_noise(x, c.eps, jnp.where(c.t == 1, 0.0, alpha_bar))
    args = (x_t, c.t, alpha_bar, context, c.quality, c.realism)
    x0 = objective.apply(params, *args, method="denoise")
    mse_base, mse_x0 = mse_255(x, context.base), mse_255(x, x0)
    perception = lpips(objective.lpips_weights, x, x0)
    weight = jnp.clip(snr(alpha_bar), *loss.snr_weights)
    rho = loss.rho_max * c.realism
    grid = grid_error(x, x0)
    score = (1 - rho) * weight * mse_x0
    score += rho * (loss.lpips_scale * perception + loss.grid_scale * grid)
    terms = {"mse": mse_base, "mse_x0": mse_x0, "lpips_x0": perception, "grid_x0": grid}
    if objective.dists_images:
        top = jnp.argsort(-c.realism)[: objective.dists_images]
        terms["dists_x0"] = dists(objective.dists_weights, x[top], x0[top])
        score = score.at[top].add(rho[top] * loss.dists_scale * terms["dists_x0"])
    distortion = loss.base_weight * mse_base + (1 - loss.base_weight) * score
    return distortion, terms | noise_level_terms(mse_x0, c.t)


def _reduce(loss: LossConfig, c: Conditions, values: Array, terms: Metrics) -> tuple:
    """Mean over the batch, with low rates weighted up by `balance`."""
    middle = (loss.lmbda_low * loss.lmbda_high) ** 0.5
    weights = (middle / lmbda(loss, c.quality)) ** loss.balance
    metrics = {name: jnp.mean(value) for name, value in terms.items()}
    return jnp.mean(weights * values), metrics
