"""States of a few arrays, of a config with two stages: what tests of checkpoints save."""

import dataclasses
import runpy
from contextlib import closing, contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache

from diffcomp.config import from_mapping
from diffcomp.training.checkpoint import Checkpoints, on_one_device
from diffcomp.training.config import Config
from diffcomp.training.train_state import start_stage

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SMOKE = from_mapping(Config, runpy.run_path(str(CONFIGS / "base.py"))["get_config"]("smoke"))
# Two stages of 10 steps, on parameters a, b and c instead of those of a network.
FIRST, SECOND = (
    dataclasses.replace(stage, steps=10, multipliers=multipliers)
    for stage, multipliers in zip(SMOKE.stages, [{"a": 1.0}, {"b": 1.0, "c": 0.1}], strict=False)
)
CONFIG = dataclasses.replace(SMOKE, stages=(FIRST, SECOND))


def params(scale=1.0):
    return {
        "a/kernel": scale * jnp.arange(24.0).reshape(8, 3),
        "b": jnp.full(4, 0.1 * scale),
        "c": jnp.float32(scale),
    }


def state_at(position, scale=1.0):
    """A state with different values everywhere."""
    state = start_stage(CONFIG, CONFIG.stages[position.stage], params(scale))
    return state._replace(
        step=jnp.int32(position.step),
        average=jax.tree.map(lambda v: v + 0.25, state.average),
        optimizer=jax.tree.map(lambda v: v + jnp.ones_like(v), state.optimizer),
    )


def form(config=CONFIG, like=None):
    """The template of states of parameters `like`, on one device."""

    def template(position):
        stage = config.stages[position.stage]
        return on_one_device(
            jax.eval_shape(lambda p: start_stage(config, stage, p), like or params(0.0))
        )

    return template


def leaves_of(state):
    return [np.array(leaf) for leaf in jax.tree.leaves(state)]


@contextmanager
def compilation_cache_off():
    """A program that came out of the cache itself cannot be serialised: it loses its functions."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
        compilation_cache.reset_cache()


def overwriting_step(state):
    """A donating x -> x + 1 as it comes out of the compilation cache: it writes over `state`."""
    step = jax.jit(lambda s: jax.tree.map(lambda v: v + 1, s), donate_argnums=0).lower(state)
    with compilation_cache_off():
        stored = serialize_executable.serialize(step.compile())
    return serialize_executable.deserialize_and_load(*stored)


def save(directory, *positions, config=CONFIG):
    checkpoints = Checkpoints(directory, config)
    for position in positions:
        checkpoints.save(position, state_at(position))
    checkpoints.close()


def restore(directory, config=CONFIG, like=None):
    with closing(Checkpoints(directory, config)) as checkpoints:
        return checkpoints.restore(form(config, like))
