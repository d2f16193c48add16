import dataclasses
import functools
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.architectures.parameters import init_params
from diffcomp.architectures.registry import architecture_of
from diffcomp.config import from_mapping
from diffcomp.networks.parts import FLOAT32
from diffcomp.objectives.base import draw_conditions, linear_objective
from diffcomp.objectives.objective import Objective
from diffcomp.pixels import to_float
from diffcomp.training import sharding
from diffcomp.training.config import Config, MeshConfig
from diffcomp.training.optimizer import trainable_part
from diffcomp.training.train_state import start_stage_on
from diffcomp.training.train_step import make_train_step

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CONFIG = from_mapping(Config, runpy.run_path(str(CONFIGS / "base.py"))["get_config"]("smoke"))
MESH = sharding.make_mesh(MeshConfig(data=-1, fsdp=1))
STAGES = {stage.objective: stage for stage in CONFIG.stages}


def stage(objective, **changes):
    changes = {"steps": 100, "warmup": 0, "learning_rate": 3e-3} | changes
    return dataclasses.replace(STAGES[objective], **changes)


EQUAL_LMBDAS = dataclasses.replace(
    CONFIG, loss=dataclasses.replace(CONFIG.loss, lmbda_low=0.01, lmbda_high=0.01)
)
JOINT = stage("joint", learning_rate=0.01)


@pytest.fixture(scope="module")
def params():
    """Random weights, the same in every test; the linear codec spans the coarsest patterns."""
    shapes = jax.eval_shape(lambda: init_params(CONFIG.model, jax.random.key(0)))
    rng = np.random.default_rng(0)
    values = {}
    for path, leaf in shapes.items():
        scale = 0.5 / np.sqrt(np.prod(leaf.shape[:-1])) if path.endswith("kernel") else 0.0
        if path.startswith("hyperprior/prior"):
            scale = 0.3
        values[path] = scale * rng.normal(size=leaf.shape)
    basis = np.linalg.qr(rng.normal(size=(768, 24)))[0]
    values["hyperprior/analysis/basis"], values["context_decoder/basis"] = basis, basis.T
    values["hyperprior/log2_gain"] += 2
    return {path: np.asarray(value, np.float32) for path, value in values.items()}


@pytest.fixture(scope="module")
def batch():
    """Flat colours with a vertical edge: uint8 [2, 64, 64, 3]."""
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, 256, (2, 2, 1, 1, 3))
    columns = np.arange(64)[None, None, :, None]
    pixels = np.where(columns < 40, left, right)
    return np.broadcast_to(pixels, (2, 64, 64, 3)).astype(np.uint8)


def start(chosen, params):
    # Copies: the step writes over the state that it is given.
    return start_stage_on(MESH, CONFIG, chosen, sharding.place(MESH, params))


def host(tree):
    """A copy that outlives donation."""
    return jax.tree.map(np.array, tree)


@pytest.fixture(scope="module")
def linear_step():
    return make_train_step(CONFIG, stage("linear"), stage_index=0, mesh=MESH)


@pytest.fixture(scope="module")
def joint_step():
    """Of JOINT: with one lmbda for all qualities, so that losses of its steps can be compared."""
    return make_train_step(EQUAL_LMBDAS, JOINT, 0, MESH)


def test_the_loss_of_a_repeated_batch_falls(params, batch, joint_step):
    state = start(JOINT, params)
    losses = []
    for _ in range(12):
        state, metrics = joint_step(state, batch)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    assert int(state.step) == 12


def test_only_the_stages_parameters_move_and_all_of_them_do(params, batch, linear_step):
    state = start(stage("linear"), params)
    for _ in range(2):
        state, _ = linear_step(state, batch)
    trained = trainable_part(stage("linear"), params).keys()
    assert 0 < len(trained) < len(params)
    for path, before in params.items():
        same = np.array_equal(before, state.params[path])
        # z_hat is zero at first, so the kernel that reads it has no gradient.
        if path != "hyperprior/parameters/convs_up32/kernel":
            assert same is (path not in trained), path
        if path not in trained:
            assert np.array_equal(before, state.average[path]), path
    moments = state.optimizer[1].mu
    assert moments.keys() == trained


def test_metrics_are_scalars_of_this_step(params, batch, linear_step):
    _, metrics = linear_step(start(stage("linear"), params), batch)
    assert {"loss", "bpp", "mse", "gradient_norm", "learning_rate"} <= metrics.keys()
    assert all(value.shape == () and np.isfinite(value) for value in metrics.values())
    assert float(metrics["learning_rate"]) == pytest.approx(3e-3)  # no warm-up
    assert float(metrics["gradient_norm"]) > 0


def test_the_old_state_is_donated(params, batch, linear_step):
    state = start(stage("linear"), params)
    after, _ = linear_step(state, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


def test_a_new_stages_average_is_a_copy_of_the_parameters(params):
    state = start(stage("linear"), params)
    assert int(state.step) == 0
    for path, value in state.params.items():
        np.testing.assert_array_equal(state.average[path], value)
        assert state.average[path].unsafe_buffer_pointer() != value.unsafe_buffer_pointer()
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(state.optimizer))


@pytest.mark.parametrize(
    ("step", "decay"),
    [(0, 1 - 2**-0.75), (1, 1 - 3**-0.75), (98, 1 - 100**-0.75), (1_000_000, 0.999)],
)
def test_the_average_follows_quickly_at_first(params, batch, linear_step, step, decay):
    state = start(stage("linear"), params)._replace(step=jnp.int32(step))
    before = {path: v + 1 for path, v in host(state.average).items()}
    state = state._replace(average=sharding.place(MESH, before))
    after, _ = linear_step(state, batch)
    path = "hyperprior/log2_gain"
    expected = decay * before[path] + (1 - decay) * np.asarray(after.params[path])
    np.testing.assert_allclose(after.average[path], expected, rtol=1e-5)
    assert CONFIG.train.average_decay == 0.999


def test_randomness_is_a_function_of_seed_stage_and_step(params, batch, linear_step):
    chosen = stage("linear")

    def loss(step_fn, step):
        state = start(chosen, params)._replace(step=jnp.int32(step))
        return float(step_fn(state, batch)[1]["bpp"])

    first = loss(linear_step, 0)
    assert loss(make_train_step(CONFIG, chosen, 0, mesh=MESH), 0) == first
    other_seed = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=1))
    others = [
        loss(linear_step, 1),
        loss(make_train_step(CONFIG, chosen, 1, mesh=MESH), 0),
        loss(make_train_step(other_seed, chosen, 0, mesh=MESH), 0),
    ]
    assert len({first, *others}) == 4


def test_a_state_set_aside_goes_on_as_if_never_interrupted(params, batch, linear_step):
    state = start(stage("linear"), params)
    state, _ = linear_step(state, batch)
    aside = host(state)
    straight, _ = linear_step(state, batch)
    again = make_train_step(CONFIG, stage("linear"), 0, mesh=MESH)
    resumed, _ = again(jax.tree.map(jnp.array, aside), batch)
    for a, b in zip(jax.tree.leaves(straight), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_average_moves_every_so_many_steps(params, batch):
    train = dataclasses.replace(CONFIG.train, average_every=3)
    step = make_train_step(dataclasses.replace(CONFIG, train=train), stage("linear"), 0, MESH)
    state, path = start(stage("linear"), params), "hyperprior/log2_gain"
    averages = [np.array(state.average[path])]
    for _ in range(3):
        state, _ = step(state, batch)
        averages.append(np.array(state.average[path]))
    np.testing.assert_array_equal(averages[0], averages[1])
    np.testing.assert_array_equal(averages[0], averages[2])
    expected = 2**-0.75 * np.asarray(state.params[path]) + (1 - 2**-0.75) * averages[0]
    np.testing.assert_allclose(averages[3], expected, rtol=1e-5)


def test_micro_batches_are_averaged(params, batch):
    """Micro-batch m has the rows m, m + count, ... and random numbers of its own."""
    chosen = stage("linear", batch=4, accumulate=2)
    other = np.ascontiguousarray(batch[:, ::-1, ::-1])
    both = np.stack([batch, other], axis=1).reshape(4, 64, 64, 3)  # micro-batches interleaved
    step = make_train_step(CONFIG, chosen, 0, MESH)
    _, metrics = step(start(chosen, params), both)
    objective = Objective(architecture_of(CONFIG.model).network(CONFIG.model), CONFIG.loss, FLOAT32)
    loss_of = jax.jit(functools.partial(linear_objective, objective))
    losses = []
    for number, rows in enumerate((batch, other)):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(CONFIG.train.seed), 0), 0)
        drawn = draw_conditions(CONFIG.loss, to_float(rows), jax.random.fold_in(key, number))
        losses.append(float(loss_of(params, to_float(rows), drawn)[0]))
    assert losses[0] != losses[1]
    assert float(metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def test_bfloat16_networks_give_nearly_the_same_and_keep_float32_parameters(
    params, batch, joint_step
):
    train = dataclasses.replace(CONFIG.train, compute_dtype="bfloat16")
    half = make_train_step(dataclasses.replace(EQUAL_LMBDAS, train=train), JOINT, 0, MESH)
    state, found = half(start(JOINT, params), batch)
    _, expected = joint_step(start(JOINT, params), batch)
    for name in ("loss", "bpp", "mse", "mse_x0", "lpips_x0"):
        assert float(found[name]) == pytest.approx(float(expected[name]), rel=0.05), name
        assert found[name].dtype == jnp.float32
    assert float(found["loss"]) != float(expected["loss"])
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {
        jnp.dtype("float32"),
        jnp.dtype("int32"),
    }


def test_each_compilation_leaves_a_line_in_the_log(params, batch, caplog):
    step, chosen = make_train_step(CONFIG, stage("linear"), 0, MESH), stage("linear")
    with caplog.at_level("INFO", logger="diffcomp"):
        state, _ = step(start(chosen, params), batch)
        state, _ = step(state, batch)
        assert [r.message for r in caplog.records] == [
            "compiling the step of stage linear for batches (2, 64, 64, 3)"
        ]
        step(state, batch[:1])
    assert "for batches (1, 64, 64, 3)" in caplog.records[-1].message


def test_a_batch_that_the_mesh_does_not_divide_is_refused():
    chosen = stage("linear", batch=10, accumulate=4)
    with pytest.raises(ValueError, match="batch is 10; it must be a multiple of 4: 1 .data. x 1"):
        make_train_step(CONFIG, chosen, 0, MESH)
