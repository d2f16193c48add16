import dataclasses
import gc
import runpy
from contextlib import closing, contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache

from diffcomp.checkpoint import Checkpoints, Position, on_one_device
from diffcomp.config import Config, from_mapping
from diffcomp.train_step import start_stage

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
        "a/kernel": scale * jnp.arange(6.0).reshape(2, 3),
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


def save(directory, *positions, config=CONFIG):
    checkpoints = Checkpoints(directory, config)
    for position in positions:
        checkpoints.save(position, state_at(position))
    checkpoints.close()


def form(config=CONFIG, like=None):
    """The template of states of parameters `like`, on one device."""

    def template(position):
        stage = config.stages[position.stage]
        return on_one_device(
            jax.eval_shape(lambda p: start_stage(config, stage, p), like or params(0.0))
        )

    return template


def restore(directory, config=CONFIG, like=None):
    with closing(Checkpoints(directory, config)) as checkpoints:
        return checkpoints.restore(form(config, like))


def test_nothing_is_restored_from_a_new_folder(tmp_path):
    assert restore(tmp_path) is None


@pytest.mark.parametrize("position", [Position(0, 3), Position(0, 10), Position(1, 7)])
def test_a_state_comes_back_bit_for_bit_with_its_optimiser(tmp_path, position):
    save(tmp_path, position)
    found, state = restore(tmp_path)
    assert found == position
    expected = state_at(position)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_the_newest_is_restored_and_only_so_many_are_kept(tmp_path):
    save(tmp_path, *(Position(0, step) for step in (2, 4, 6)), Position(1, 1))
    names = sorted(int(folder.name) for folder in (tmp_path / "checkpoints").iterdir())
    assert CONFIG.train.keep_checkpoints == 2
    assert names == [6, 11]  # numbered by steps since the start of the run
    assert restore(tmp_path)[0] == Position(1, 1)


def test_what_is_saved_already_is_not_written_again(tmp_path):
    checkpoints = Checkpoints(tmp_path, CONFIG)
    checkpoints.save(Position(0, 4), state_at(Position(0, 4)))
    checkpoints.save(Position(0, 4), state_at(Position(0, 4), scale=9.0))
    checkpoints.close()
    np.testing.assert_array_equal(restore(tmp_path)[1].params["b"], params()["b"])


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


def test_a_saved_state_may_be_written_over_at_once(tmp_path):
    stage = dataclasses.replace(FIRST, multipliers={"a": 1.0})
    config = dataclasses.replace(CONFIG, stages=(stage,))
    large = {f"a/{i}": jnp.full((500, 1000), float(i)) for i in range(8)}
    state = start_stage(config, stage, large)
    step, expected = overwriting_step(state), leaves_of(state)
    checkpoints = Checkpoints(tmp_path, config)
    checkpoints.save(Position(0, 1), state)
    for _ in range(3):
        state = step(state)
    jax.block_until_ready(state)
    checkpoints.close()
    assert not np.array_equal(leaves_of(state)[1], expected[1])
    _, restored = restore(tmp_path, config, like=large)
    for found, value in zip(leaves_of(restored), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_a_restored_state_is_ours_to_write_over(tmp_path):
    """The memory that it was read into belongs to others, who may give it back any time."""
    save(tmp_path, Position(0, 4))
    _, state = restore(tmp_path)
    expected = leaves_of(state)
    step = overwriting_step(state)
    for _ in range(3):
        state = step(state)
    gc.collect()
    for found, value in zip(leaves_of(state), expected, strict=True):
        np.testing.assert_array_equal(found, value + 3)


def test_parameters_of_another_shape_or_name_are_refused(tmp_path):
    save(tmp_path, Position(0, 4))
    with pytest.raises(
        ValueError, match=r"shape: \(5,\) is not compatible with the stored shape: \(4,\)"
    ):
        restore(tmp_path, like=params() | {"b": jnp.zeros(5)})
    with pytest.raises(ValueError, match=r"structures do not match: .*'d': Diff"):
        restore(tmp_path, like=params() | {"d": jnp.zeros(5)})


def test_a_stage_that_the_config_has_not_is_refused(tmp_path):
    save(tmp_path, Position(1, 7))
    shorter = dataclasses.replace(CONFIG, stages=(FIRST,))
    with pytest.raises(ValueError, match="checkpoint 17 is of stage 1; the config ends at stage 0"):
        restore(tmp_path, config=shorter)
