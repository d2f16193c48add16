"""The parts of a training step as functions of their own, so that each can be timed apart.

Together they do what the step of `train_step` does: each goes forward and, where the stage needs
it, backward, with gradients of no more than the stage trains or passes on. Inputs are given by
shape; `filled` makes arrays of them, since their values do not change the time.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from diffcomp.architectures.registry import architecture_of
from diffcomp.distances.box_error import box_error
from diffcomp.distances.dists import DistsWeights, dists, load_dists
from diffcomp.distances.grid_error import grid_error
from diffcomp.distances.lpips import lpips
from diffcomp.distances.lpips_weights import LpipsWeights, load_lpips
from diffcomp.distances.structure_error import structure_error
from diffcomp.networks.latents import Rate
from diffcomp.networks.parts import STEPS
from diffcomp.networks.precision import layers_follow_params
from diffcomp.objectives.base import central_square, mse_255
from diffcomp.objectives.objective import Objective
from diffcomp.params import Params, under
from diffcomp.profiling.stopwatch import with_backward
from diffcomp.training.config import Config, StageConfig
from diffcomp.training.optimizer import make_optimizer, trainable_part


class Part(NamedTuple):
    name: str
    function: Callable
    args: tuple  # trees of arrays and of `jax.ShapeDtypeStruct`s


class _Flow(NamedTuple):
    """A value between two parts, by shape, and whether a gradient comes back through it."""

    shape: Any
    gradient: bool = False

    def pick(self, name: str) -> "_Flow":
        return _Flow(getattr(self.shape, name), self.gradient)


def training_parts(config: Config, stage: StageConfig, params: Params) -> list[Part]:
    """All parts of a step of the stage but the data, in the order in which they run.

    Raises:
        ValueError: The parts of the configuration's architecture are not known here.
    """
    chain = _Chain(config, stage, params)
    x = _Flow(jax.ShapeDtypeStruct((stage.batch, stage.crop, stage.crop, 3), jnp.float32))
    one = _Flow(jax.ShapeDtypeStruct((stage.batch,), jnp.float32))
    name = chain.family.name
    if name not in PARTS:
        raise ValueError(f"the architecture is '{name}'; parts are known of {', '.join(PARTS)}")
    PARTS[name](chain, config, stage, x, one)
    return [*chain.parts, _optimiser(config, stage, params)]


def _key() -> _Flow:
    return _Flow(jax.eval_shape(lambda: jax.random.key(0)))


def _base_parts(chain: "_Chain", config: Config, stage: StageConfig, x: _Flow, one: _Flow) -> None:
    # The stages that fit a decoder alone stop gradients at y_hat.
    fits_latents = stage.objective in ("linear", "joint")
    linear = stage.objective in ("linear", "context")
    analyze = _analyze_linear if linear else _analyze
    y = chain.add("encoder", chain.family.encoder, analyze, x, one, backward=fits_latents)
    if stage.objective == "rate":
        chain.add("hyper", chain.family.hyper, _noisy_rate, y, one, _key(), held=STEPS)
        return
    if fits_latents:
        y_hat = chain.add("hyper", chain.family.hyper, _noisy_rate, y, one, _key()).pick("y_hat")
    else:
        y_hat = chain.add("hyper", chain.family.hyper, _round, y, one, backward=False)
    if stage.objective == "linear":
        x_hat = chain.add("linear decoder", chain.family.context, _decode_linear, y_hat)
        chain.add("losses", (), _squared_error, x, x_hat)
        return
    context = chain.add("context decoder", chain.family.context, _decode_context, y_hat, one)
    base = context.pick("base")
    if stage.objective == "context":
        chain.add("losses", (), _squared_error, x, base)
        return
    x0 = chain.add("score network", chain.family.score, _denoise, x, one, one, context, one, one)
    lpips_weights = _Flow(load_lpips(config.loss.lpips_net))
    chain.add("losses", (), _all_errors, x, base, x0, lpips_weights)
    if config.loss.structure_scale:
        chain.add("losses: MS-SSIM", (), _structure_error, x, x0)
    if stage.vgg_images:
        errors = functools.partial(_by_vgg, dists, stage)
        chain.add("losses: DISTS", (), errors, x, x0, _Flow(load_dists()))
        if config.loss.lpips_vgg_scale:
            errors = functools.partial(_by_vgg, lpips, stage)
            chain.add("losses: LPIPS by VGG16", (), errors, x, x0, _Flow(load_lpips("vgg")))


def _published_parts(
    chain: "_Chain", config: Config, stage: StageConfig, x: _Flow, one: _Flow
) -> None:
    del stage
    y = chain.add("encoder", chain.family.encoder, _analyze, x, one)
    y_hat = chain.add("hyper", chain.family.hyper, _noisy_rate, y, one, _key()).pick("y_hat")
    context = chain.add("context decoder", chain.family.context, _decode_context, y_hat, one)
    prediction = chain.add("score network", chain.family.score, _predict, x, one, context)
    weights = _Flow(load_lpips(config.loss.lpips_net) if config.loss.rho else None)
    chain.add("losses", (), _published_errors, x, prediction, one, weights)


PARTS = {"base": _base_parts, "cdc": _published_parts}  # by the family's name


def filled(tree: Any, seed: int = 0) -> Any:
    """Arrays for the shapes in the tree: floats uniform in [0, 1), integers 0, a key."""
    rng = np.random.default_rng(seed)

    def fill(leaf: Any) -> Array:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(seed)
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype)
        return jnp.asarray(rng.random(leaf.shape, np.float32), leaf.dtype)

    return jax.tree.map(fill, tree)


class _Chain:
    """Collects parts; keeps track of what is trained and where gradients flow."""

    def __init__(self, config: Config, stage: StageConfig, params: Params):
        self.family = architecture_of(config.model)
        network = self.family.network(config.model)
        self._objective = Objective(
            network, config.loss, self.family.float32, config.train.compute_dtype
        )
        self._params = params
        self._trainable = trainable_part(stage, params)
        self.parts: list[Part] = []

    def add(
        self,
        name: str,
        prefixes: tuple[str, ...],
        function: Callable,
        *inputs: _Flow,
        backward: bool = True,
        held: tuple[str, ...] = (),
    ) -> _Flow:
        """function(model, *values) of the inputs, `model` being the network with its parameters.

        Trained is what lies under the prefixes, but for paths that begin as `held` says. What a
        part does not read it must not be given as trained, or it would be timed filling gradients
        with zeros.
        """
        trained = self._trainable if backward else {}
        trained = {
            path: v
            for path, v in trained.items()
            if under(path, prefixes) and not (held and path.startswith(held))
        }
        moving = {i: v.shape for i, v in enumerate(inputs) if backward and v.gradient}
        still = {i: v.shape for i, v in enumerate(inputs) if i not in moving}

        def forward(trained: Params, moving: dict, frozen: Params, still: dict) -> Any:
            values = still | moving
            with layers_follow_params():
                model = self._objective.bind(frozen | trained)
                return function(model, *(values[i] for i in range(len(inputs))))

        frozen = {path: v for path, v in self._params.items() if path not in trained}
        args = (trained, moving, frozen, still)
        out = jax.eval_shape(forward, *args)
        if not trained and not moving:
            self.parts.append(Part(name, forward, args))
            return _Flow(out)

        def both(cotangents: Any, trained: Any, moving: Any, frozen: Any, still: Any) -> Any:
            gradients_of = with_backward(lambda t, m: forward(t, m, frozen, still))
            return gradients_of(cotangents, trained, moving)

        self.parts.append(Part(name, both, (out, *args)))
        return _Flow(out, gradient=True)


def _optimiser(config: Config, stage: StageConfig, params: Params) -> Part:
    """Adam's update of the stage's parameters and of their average."""
    optimizer = make_optimizer(config.train, stage, architecture_of(config.model).unclipped)
    trainable = trainable_part(stage, params)

    def update(trainable: Params, gradients: Params, state: Any, average: Any) -> tuple:
        updates, state = optimizer.update(gradients, state, trainable)
        moved = optax.apply_updates(trainable, updates)
        rate = 1 - config.train.average_decay
        return moved, state, optax.incremental_update(moved, average, rate)

    shapes = jax.eval_shape(lambda: trainable)
    state = jax.eval_shape(optimizer.init, trainable)
    return Part("optimiser", update, (shapes, shapes, state, shapes))


# What the parts compute. `model` is the network with its parameters.


def _analyze(model: Any, x: Array, quality: Array) -> Array:
    return model.analyze(x, quality)


def _analyze_linear(model: Any, x: Array, quality: Array) -> Array:
    del quality
    return model.analyze_linear(x)


def _noisy_rate(model: Any, y: Array, quality: Array, key: Array) -> Rate:
    return model.noisy_rate(model.latents(y), quality, key)


def _round(model: Any, y: Array, quality: Array) -> Array:
    """y_hat alone: who calls this under jit does not pay for the bits."""
    return model.rate(model.latents(y), quality).y_hat


def _decode_linear(model: Any, y_hat: Array) -> Array:
    return model.decode_linear(y_hat)


def _decode_context(model: Any, y_hat: Array, quality: Array) -> Any:
    return model.decode_context(y_hat, quality)


def _denoise(model: Any, *args: Any) -> Array:
    return model.denoise(*args)


def _predict(model: Any, *args: Any) -> Array:
    return model.predict(*args)


def _squared_error(model: Any, x: Array, x_hat: Array) -> Array:
    del model
    return mse_255(x, x_hat)


def _all_errors(model: Any, x: Array, base: Array, x0: Array, weights: LpipsWeights) -> Array:
    del model
    boxes = box_error(x, base, (1.0, 1.0)) + box_error(x, x0, (1.0, 1.0))
    pixels = mse_255(x, base) + mse_255(x, x0) + boxes
    return pixels + lpips(weights, x, x0) + grid_error(x, x0)


def _structure_error(model: Any, x: Array, x0: Array) -> Array:
    del model
    return structure_error(x, x0)


def _by_vgg(
    distance: Callable[..., Array],
    stage: StageConfig,
    model: Any,
    x: Array,
    x0: Array,
    weights: DistsWeights | LpipsWeights,
) -> Array:
    del model
    side = stage.vgg_side or stage.crop
    seen = (central_square(images[: stage.vgg_images], side) for images in (x, x0))
    return distance(weights, *seen)


def _published_errors(
    model: Any, x: Array, prediction: Array, alpha_bar: Array, weights: LpipsWeights | None
) -> Array:
    error = mse_255(x, prediction)
    if weights is None:
        return error
    # x stands in for x_t and for the noise: only the work counts.
    x0 = model.x0_estimate(prediction, x, alpha_bar)
    return error + lpips(weights, x, x0)
