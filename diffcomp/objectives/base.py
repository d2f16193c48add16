"""What training the base model minimises. One objective per kind of stage, all of the form

    loss = bpp + lmbda(q) * [w_b mse(base) + (1 - w_b) ((1 - rho) w_t mse(x_0) + rho s lpips(x_0))]

(paper, section 3.3, with the base reconstruction's error added). bpp counts bits per pixel of y and
z; mse is on the scale 0..255, averaged over pixels and channels; rho = rho_max * r, r the realism
knob of the sample; s (`lpips_scale`) puts LPIPS on the scale of mse; w_t is the signal-to-noise
ratio of x_t, cut off to `snr_weights`. A stage may add rho `dists_scale` dists(x_0) and rho
`lpips_vgg_scale` lpips_vgg(x_0) to its LPIPS for some images of each batch, or for squares in their
middle: VGG16 is too slow for all. Added, each by its scale, are rho `grid_scale` grid_error(x_0),
rho `structure_scale` structure_error(x_0), and, whatever the realism, box_error of base and x_0
with `box_scales`. Where a file states the colour (`flat_areas`), base and x_0 count as x: the
objectives decoder and joint ask nothing there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.quality import MAX_QUALITY, MIN_QUALITY, normalized_quality
from diffcomp.diffusion.noise_schedule import add_noise, alpha_bar_cosine, snr
from diffcomp.distances.box_error import box_error
from diffcomp.distances.dists import dists
from diffcomp.distances.grid_error import grid_error
from diffcomp.distances.lpips import lpips
from diffcomp.distances.structure_error import structure_error
from diffcomp.networks.latents import Latents, Rate
from diffcomp.networks.model import CompressionModel
from diffcomp.networks.parts import STEPS
from diffcomp.networks.transforms import ContextMaps
from diffcomp.objectives.config import LossConfig
from diffcomp.objectives.flat_areas import flat_mask
from diffcomp.objectives.objective import Loss, Metrics, Objective, batch_means
from diffcomp.params import Params

NOISE_LEVELS = 4  # equal parts of t in [0, 1], by which the error of x_0 is reported


class Conditions(NamedTuple):
    """What is drawn at random for each image of a batch."""

    quality: Array  # [B] in [1, 8]
    realism: Array  # [B] in [0, 1]
    t: Array  # [B] in [0, 1]
    eps: Array  # [B, H, W, 3], standard normal; at t = 1 times gamma
    key: Array  # for the quantisation noise


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


def linear_objective(objective: Objective, params: Params, x: Array, c: Conditions) -> Loss:
    """Rate and distortion of the linear codec: fits hyperprior, prior and gains."""
    model = objective.bind(params)
    rate = model.noisy_rate(model.encode_linear(x), c.quality, c.key)
    mse = mse_255(x, model.decode_linear(rate.y_hat))
    terms = rate_terms(rate, x) | {"mse": mse}
    return _balanced(
        objective.loss, c, terms["bpp"] + lmbda(objective.loss, c.quality) * mse, terms
    )


def rate_objective(objective: Objective, params: Params, x: Array, c: Conditions) -> Loss:
    """Rate of the encoder's y, which stays as it is: fits the entropy model, given z.

    What the steps of y hang on is held: bits alone would make them as coarse as they can be.
    """
    held = {path: jax.lax.stop_gradient(params[path]) for path in params if path.startswith(STEPS)}
    model = objective.bind({**params, **held})
    y = jax.lax.stop_gradient(model.analyze(x, c.quality))
    terms = rate_terms(model.noisy_rate(model.latents(y), c.quality, c.key), x)
    return _balanced(objective.loss, c, terms["bpp"], terms)


def context_objective(objective: Objective, params: Params, x: Array, c: Conditions) -> Loss:
    """Error of the base reconstruction from the linear codec's y_hat: fits the context decoder."""
    model = objective.bind(params)
    y_hat = jax.lax.stop_gradient(model.rate(model.encode_linear(x), c.quality).y_hat)
    base = model.decode_context(y_hat, c.quality).base
    linear = model.decode_linear(y_hat)
    terms = {"mse": mse_255(x, base), "mse_linear": mse_255(x, linear)}
    return _balanced(objective.loss, c, lmbda(objective.loss, c.quality) * terms["mse"], terms)


def decoder_objective(objective: Objective, params: Params, x: Array, c: Conditions) -> Loss:
    """Distortion and perception given the encoder's y_hat: fits both parts of the decoder."""
    model = objective.bind(params)
    y_hat = jax.lax.stop_gradient(model.rate(model.encode(x, c.quality), c.quality).y_hat)
    context = model.decode_context(y_hat, c.quality)
    distortion, terms = _decoder_terms(objective, model, x, flat_mask(x), c, context)
    return _balanced(objective.loss, c, lmbda(objective.loss, c.quality) * distortion, terms)


def joint_objective(objective: Objective, params: Params, x: Array, c: Conditions) -> Loss:
    """Everything at once: rate, distortion and perception."""
    model = objective.bind(params)
    rate = model.noisy_rate(model.encode(x, c.quality), c.quality, c.key)
    context = model.decode_context(rate.y_hat, c.quality)
    distortion, terms = _decoder_terms(objective, model, x, flat_mask(x), c, context)
    terms |= rate_terms(rate, x)
    loss = terms["bpp"] + lmbda(objective.loss, c.quality) * distortion
    return _balanced(objective.loss, c, loss, terms)


def latents_loss(
    objective: Objective,
    model: CompressionModel,
    x: Array,
    flat: Array,
    latents: Latents,
    c: Conditions,
) -> Array:
    """The joint loss of each image [B] with these latents, rounded as in a file: fits latents.

    `flat` is bool [B, H, W, 1], where the file states the colour.
    """
    rate = model.rate(latents, c.quality)
    context = model.decode_context(rate.y_hat, c.quality)
    distortion, _ = _decoder_terms(objective, model, x, flat, c, context)
    return rate_terms(rate, x)["bpp"] + lmbda(objective.loss, c.quality) * distortion


def file_score(
    loss: LossConfig, quality: float | None, bpp: float, mse: float, distance: float
) -> float:
    """The loss of an image as a file gives it; less is better.

    bpp + lmbda(quality) * [w_b mse + (1 - w_b) ((1 - rho) w_t mse + rho s lpips)], with the bits
    of the file, and mse (0..255) and LPIPS (`distance`) of the decoded image, which stands for the
    base reconstruction too. At realism 1 and t = 1, where decoding begins: rho is rho_max, and w_t
    the lower of `snr_weights`. `balance` does not enter.
    """
    rho = loss.rho_max
    natural = (1 - rho) * loss.snr_weights[0] * mse + rho * loss.lpips_scale * distance
    distortion = loss.base_weight * mse + (1 - loss.base_weight) * natural
    return bpp + float(lmbda(loss, jnp.float32(quality))) * distortion


def mse_255(x: Array, x_hat: Array) -> Array:
    """Mean squared error of each image on the scale 0..255: two [B, H, W, 3] in [-1, 1] -> [B]."""
    return jnp.mean(jnp.square(x - x_hat), axis=(1, 2, 3)) * 127.5**2


def rate_terms(rate: Rate, x: Array) -> Metrics:
    """Estimated bits per pixel of each image, in all and by latent."""
    pixels = x.shape[1] * x.shape[2]
    bpp_y, bpp_z = rate.bits_y / pixels, rate.bits_z / pixels
    return {"bpp": bpp_y + bpp_z, "bpp_y": bpp_y, "bpp_z": bpp_z}


def central_square(x: Array, side: int) -> Array:
    """The square in the middle of each image: [B, H, W, 3] -> [B, side, side, 3]."""
    top, left = ((length - side) // 2 for length in x.shape[1:3])
    return x[:, top : top + side, left : left + side]


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


def _decoder_terms(
    objective: Objective,
    model: CompressionModel,
    x: Array,
    flat: Array,
    c: Conditions,
    context: ContextMaps,
) -> tuple[Array, Metrics]:
    """Per-image distortion [B] of base and x_0 estimate, and its parts."""
    loss = objective.loss
    alpha_bar = alpha_bar_cosine(c.t)
    # Decoding starts from noise alone: of x not even the little that alpha_bar(1) > 0 would leave,
    # which a network can read where gamma is small.
    x_t = add_noise(x, c.eps, jnp.where(c.t == 1, 0.0, alpha_bar))
    x0 = model.denoise(x_t, c.t, alpha_bar, context, c.quality, c.realism)
    base, x0 = (jnp.where(flat, x, x_hat) for x_hat in (context.base, x0))
    mse_base, mse_x0 = mse_255(x, base), mse_255(x, x0)
    perception = lpips(objective.lpips_weights, x, x0)
    weight = jnp.clip(snr(alpha_bar), *loss.snr_weights)
    rho = loss.rho_max * c.realism
    grid = grid_error(x, x0)
    natural = loss.lpips_scale * perception + loss.grid_scale * grid
    terms = {"mse": mse_base, "mse_x0": mse_x0, "lpips_x0": perception, "grid_x0": grid}
    if loss.structure_scale:
        terms["structure_x0"] = structure_error(x, x0)
        natural += loss.structure_scale * terms["structure_x0"]
    score = (1 - rho) * weight * mse_x0 + rho * natural
    box_base, box = (box_error(x, x_hat, loss.box_scales) for x_hat in (base, x0))
    terms |= {"box_base": box_base, "box_x0": box}
    if objective.vgg_images:
        top = jnp.argsort(-c.realism)[: objective.vgg_images]
        by_vgg, found = vgg_terms(objective, x[top], x0[top])
        score = score.at[top].add(rho[top] * by_vgg)
        terms |= found
    mse_base, score = mse_base + box_base, score + box
    distortion = loss.base_weight * mse_base + (1 - loss.base_weight) * score
    return distortion, terms | noise_level_terms(mse_x0, c.t)


def vgg_terms(objective: Objective, x: Array, x0: Array) -> tuple[Array, Metrics]:
    """What VGG16 finds wrong with the x_0 estimates, weighted [B], and its parts."""
    loss = objective.loss
    if objective.vgg_side:
        x, x0 = (central_square(image, objective.vgg_side) for image in (x, x0))
    terms = {"dists_x0": dists(objective.dists_weights, x, x0)}
    total = loss.dists_scale * terms["dists_x0"]
    if loss.lpips_vgg_scale:
        terms["lpips_vgg_x0"] = lpips(objective.lpips_vgg_weights, x, x0)
        total += loss.lpips_vgg_scale * terms["lpips_vgg_x0"]
    return total, terms


def _balanced(loss: LossConfig, c: Conditions, values: Array, terms: Metrics) -> Loss:
    """Mean over the batch, with low rates weighted up by `balance`."""
    middle = (loss.lmbda_low * loss.lmbda_high) ** 0.5
    weights = (middle / lmbda(loss, c.quality)) ** loss.balance
    return Loss(jnp.mean(weights * values), batch_means(terms))
