"""The parts of a training step as functions of their own, so that each can be timed apart.

Together they do what the step of `train_step` does: each goes forward and, where the stage needs
it, backward, with gradients of no more than the stage trains or passes on. Inputs are given by
shape; `filled` makes arrays of them, since their values do not change the time.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from diffcomp.config import Config, StageConfig
from diffcomp.distances.lpips import LpipsWeights, load_lpips, lpips
from diffcomp.networks.hyperprior import Latents, Rate, normalized_quality
from diffcomp.networks.model import FlatParams
from diffcomp.profiling.stopwatch import with_backward
from diffcomp.training.losses import Objective, mse_255
from diffcomp.training.optimizer import make_optimizer, trainable_part

OBJECTIVES = ("linear", "context", "decoder", "joint", "published")  # whose parts are known

# First names of the parameters' paths that each part reads, in both architectures. What it does
# not read it must not be given as trained, or it would be timed filling gradients with zeros.
_ENCODER = ("hyperprior/analysis/", "hyperprior/conditioning/", "analysis/")
_HYPER = ("hyperprior/hyper_analysis/", "hyperprior/parameters/", "hyperprior/prior/")
_HYPER += ("hyperprior/log2_gain", "hyper_analysis/", "hyper_synthesis/", "prior/", "medians")
_CONTEXT = ("context_decoder/", "context_conditioning/")
_CONTEXT_TERMS = tuple(
    f"score_network/downs_{i}/block0/{name}/" for i in range(4) for name in ("conv1", "skip")
)
_SCORE = ("score_network/", "score_conditioning/")


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


def training_parts(config: Config, stage: StageConfig, params: FlatParams) -> list[Part]:
    """All parts of a step of the stage but the data, in the order in which they run.

    Raises ValueError for an objective that is not in `OBJECTIVES`.
    """
    if stage.objective not in OBJECTIVES:
        raise ValueError(
            f"objective is {stage.objective!r}; parts are known of {', '.join(OBJECTIVES)}."
        )
    chain = _Chain(config, stage, params)
    x = _Flow(jax.ShapeDtypeStruct((stage.batch, stage.crop, stage.crop, 3), jnp.float32))
    one = _Flow(jax.ShapeDtypeStruct((stage.batch,), jnp.float32))
    if stage.objective == "published":
        _published_parts(chain, config, x, one)
    else:
        _base_parts(chain, config, stage.objective, x, one)
    return [*chain.parts, _optimiser(config, stage, params)]


def _key() -> _Flow:
    return _Flow(jax.eval_shape(lambda: jax.random.key(0)))


def _base_parts(chain: "_Chain", config: Config, objective: str, x: _Flow, one: _Flow) -> None:
    # The stages that fit a decoder alone stop gradients at y_hat.
    fits_latents = objective in ("linear", "joint")
    encode = _encode if objective in ("decoder", "joint") else _encode_linear
    y = chain.add("encoder", _ENCODER, encode, x, one, backward=fits_latents)
    if fits_latents:
        y_hat = chain.add("hyper", _HYPER, _noisy_rate, y, one, _key()).pick("y_hat")
    else:
        y_hat = chain.add("hyper", _HYPER, _round, y, one, backward=False)
    if objective == "linear":
        linear = chain.add("linear decoder", _CONTEXT, _decode_linear, y_hat)
        chain.add("losses", (), _squared_error, x, linear)
        return
    context = chain.add("context decoder", _CONTEXT, _decode_context, y_hat, one)
    base = context.pick("base")
    if objective == "context":
        chain.add("losses", (), _squared_error, x, base)
        return
    x0 = chain.add("score network", _SCORE, _denoise, x, one, one, context, one, one)
    weights = _Flow(load_lpips(config.loss.lpips_net))
    chain.add("losses", (), _all_errors, x, base, x0, weights)


def _published_parts(chain: "_Chain", config: Config, x: _Flow, one: _Flow) -> None:
    y = chain.add("encoder", _ENCODER, _published_encode, x)
    y_hat = chain.add("hyper", _HYPER, _noisy_rate, y, one, _key()).pick("y_hat")
    prefixes = _CONTEXT + _CONTEXT_TERMS
    context = chain.add("context decoder", prefixes, _decode_context, y_hat, one)
    prediction = chain.add("score network", _SCORE, _predict, x, one, context)
    weights = _Flow(load_lpips(config.loss.lpips_net) if config.loss.rho else None)
    chain.add("losses", (), _published_errors, x, prediction, one, weights)


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

    def __init__(self, config: Config, stage: StageConfig, params: FlatParams):
        self._objective = Objective(config.model, config.loss, None, config.train.compute_dtype)
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
    ) -> _Flow:
        """function(apply, *values) of the inputs, `apply` being the model's with parameters."""
        trained = self._trainable if backward else {}
        trained = {path: v for path, v in trained.items() if path.startswith(prefixes)}
        moving = {i: v.shape for i, v in enumerate(inputs) if backward and v.gradient}
        still = {i: v.shape for i, v in enumerate(inputs) if i not in moving}

        def forward(trained: FlatParams, moving: dict, frozen: FlatParams, still: dict) -> Any:
            values = still | moving
            apply = functools.partial(self._objective.apply, frozen | trained)
            return function(apply, *(values[i] for i in range(len(inputs))))

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


def _optimiser(config: Config, stage: StageConfig, params: FlatParams) -> Part:
    """Adam's update of the stage's parameters and of their average."""
    optimizer = make_optimizer(config.train, stage)
    trainable = trainable_part(stage, params)

    def update(trainable: FlatParams, gradients: FlatParams, state: Any, average: Any) -> tuple:
        updates, state = optimizer.update(gradients, state, trainable)
        moved = optax.apply_updates(trainable, updates)
        rate = 1 - config.train.average_decay
        return moved, state, optax.incremental_update(moved, average, rate)

    shapes = jax.eval_shape(lambda: trainable)
    state = jax.eval_shape(optimizer.init, trainable)
    return Part("optimiser", update, (shapes, shapes, state, shapes))


# What the parts compute. `apply` is the model's, with its parameters.


def _coding(model: nn.Module) -> nn.Module:
    """What has the transforms of y and z: the published model itself."""
    return getattr(model, "hyperprior", model)


def _published_encode(apply: Callable, x: Array) -> Array:
    return apply(x, method=lambda model, x: model.analysis(x))


def _encode(apply: Callable, x: Array, quality: Array) -> Array:
    def method(model: nn.Module, x: Array, quality: Array) -> Array:
        hyperprior = model.hyperprior
        return hyperprior.analysis(x, hyperprior.conditioning((normalized_quality(quality),)))

    return apply(x, quality, method=method)


def _encode_linear(apply: Callable, x: Array, quality: Array) -> Array:
    del quality
    return apply(x, method=lambda model, x: model.hyperprior.analysis.linear(x))


def _noisy_rate(apply: Callable, y: Array, quality: Array, key: Array) -> Rate:
    def method(model: nn.Module, y: Array, quality: Array, key: Array) -> Rate:
        return model.noisy_rate(Latents(y, _coding(model).hyper_analysis(y)), quality, key)

    return apply(y, quality, key, method=method)


def _round(apply: Callable, y: Array, quality: Array) -> Array:
    """y_hat alone: who calls this under jit does not pay for the bits."""

    def method(model: nn.Module, y: Array, quality: Array) -> Array:
        return model.rate(Latents(y, _coding(model).hyper_analysis(y)), quality).y_hat

    return apply(y, quality, method=method)


def _decode_linear(apply: Callable, y_hat: Array) -> Array:
    return apply(y_hat, method="decode_linear")


def _decode_context(apply: Callable, y_hat: Array, quality: Array) -> Any:
    return apply(y_hat, quality, method="decode_context")


def _denoise(apply: Callable, *args: Any) -> Array:
    return apply(*args, method="denoise")


def _predict(apply: Callable, *args: Any) -> Array:
    return apply(*args, method="predict")


def _squared_error(apply: Callable, x: Array, x_hat: Array) -> Array:
    del apply
    return mse_255(x, x_hat)


def _all_errors(apply: Callable, x: Array, base: Array, x0: Array, weights: LpipsWeights) -> Array:
    del apply
    return mse_255(x, base) + mse_255(x, x0) + lpips(weights, x, x0)


def _published_errors(
    apply: Callable, x: Array, prediction: Array, alpha_bar: Array, weights: LpipsWeights | None
) -> Array:
    error = mse_255(x, prediction)
    if weights is None:
        return error
    # x stands in for x_t and for the noise: only the work counts.
    x0 = apply(prediction, x, alpha_bar, method="x0_estimate")
    return error + lpips(weights, x, x0)
