import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_stage import stage

from diffcomp.training.config import TrainConfig
from diffcomp.training.optimizer import learning_rate, make_optimizer, multiplier, trainable_part

TRAIN = TrainConfig(
    seed=0,
    init="",
    klt_patches=2_000,
    compute_dtype="float32",
    matmul_precision="default",
    clip_norm=1.0,
    adam_b2=0.99,
    average_decay=0.999,
    average_every=1,
    average_power=0.75,
    log_every=1,
    validate_every=1,
    checkpoint_minutes=5.0,
    keep_checkpoints=2,
    profile_start=0,
    profile_steps=0,
    keep_best=0,
)


def params(*paths):
    keys = jax.random.split(jax.random.key(0), len(paths))
    return {p: jax.random.normal(k, (3, 2)) for p, k in zip(paths, keys, strict=True)}


def test_the_longest_prefix_decides():
    s = stage(multipliers={"a": 1.0, "a/b": 0.1, "a/b/kernel": 0.01, "a/c": 0.0})
    assert multiplier(s, "a") == 1.0
    assert multiplier(s, "a/x/kernel") == 1.0
    assert multiplier(s, "a/b/bias") == 0.1
    assert multiplier(s, "a/b/kernel") == 0.01
    assert multiplier(s, "a/c/kernel") == 0.0


def test_a_prefix_ends_where_a_name_ends():
    s = stage(multipliers={"score": 1.0})
    assert multiplier(s, "score/kernel") == 1.0
    assert multiplier(s, "score_network/kernel") == 0.0
    assert multiplier(s, "other/score") == 0.0


def test_what_no_prefix_names_is_frozen():
    s = stage(multipliers={"a": 0.5, "b/frozen": 0.0})
    everything = params("a/kernel", "a/bias", "b/kernel", "b/frozen", "c")
    assert trainable_part(s, everything).keys() == {"a/kernel", "a/bias"}


def test_a_prefix_that_names_nothing_is_refused():
    s = stage(multipliers={"a": 1.0, "hyperprio": 1.0})
    with pytest.raises(
        ValueError, match="stage 'score' trains 'hyperprio', which names no parameter"
    ):
        trainable_part(s, params("a", "hyperprior/prior"))


def test_the_rate_rises_linearly_then_falls_by_a_cosine():
    rate = learning_rate(stage())
    steps = np.arange(101)
    rise = 0.02 * steps / 10
    fall = 0.02 * (0.3 + 0.7 * (1 + np.cos(np.pi * (steps - 10) / 90)) / 2)
    expected = np.where(steps < 10, rise, fall)
    np.testing.assert_allclose([rate(i) for i in steps], expected, rtol=1e-5, atol=1e-9)
    assert float(rate(0)) == 0.0
    assert float(rate(10)) == pytest.approx(0.02)
    assert float(rate(100)) == float(rate(1_000)) == pytest.approx(0.006)


@pytest.mark.parametrize(("steps", "warmup"), [(2, 1), (1, 1), (5, 10), (3, 0)])
def test_short_stages_have_a_rate_too(steps, warmup):
    rate = learning_rate(stage(steps=steps, warmup=warmup))
    values = [float(rate(i)) for i in range(steps + 1)]
    assert all(0 <= v <= 0.02 for v in values)
    assert values[warmup:][:1] in ([], [pytest.approx(0.02)])


def run(s, gradients, train=TRAIN):
    """Parameters after one update per element of `gradients`, from zero."""
    optimizer = make_optimizer(train, s, ())
    values = jax.tree.map(jnp.zeros_like, gradients[0])
    state = optimizer.init(values)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, values)
        values = optax.apply_updates(values, updates)
    return values


def test_a_multiplier_scales_the_update_of_adam():
    s = stage(multipliers={"a": 1.0, "b": 0.1})
    same = params("a")["a"]
    gradients = [{"a": scale * same, "b": scale * same} for scale in (0.0, 1.0, -0.5, 2.0)]
    moved = run(s, gradients)
    assert np.abs(moved["a"]).min() > 1e-4
    np.testing.assert_allclose(moved["b"], 0.1 * moved["a"], rtol=1e-5)


def test_updates_are_those_of_adam_against_the_gradient():
    """Kingma & Ba 2015, algorithm 1, with beta 0.9 and 0.99 and this stage's rate."""
    s = stage(warmup=0, multipliers={"a": 1.0})
    gradients = [0.1 * params("a")["a"] * scale for scale in (1.0, 0.5, -2.0)]
    first = second = expected = np.zeros((3, 2))
    for i, g in enumerate(np.asarray(gradients, np.float64)):
        first = 0.9 * first + 0.1 * g
        second = 0.99 * second + 0.01 * g**2
        unbiased = (first / (1 - 0.9 ** (i + 1))) / (np.sqrt(second / (1 - 0.99 ** (i + 1))) + 1e-8)
        expected = expected - float(learning_rate(s)(i)) * unbiased
    moved = run(s, [{"a": g} for g in gradients])["a"]
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


def test_gradients_are_clipped_by_the_norm_of_all_together():
    s = stage(warmup=0, multipliers={"a": 1.0, "b": 1.0})
    small = {"a": jnp.array([0.3]), "b": jnp.array([0.4])}  # of norm 0.5
    steep = {"a": jnp.array([30.0]), "b": jnp.array([40.0])}  # clipped to norm 1: 0.6, 0.8
    clipped = {"a": jnp.array([0.6]), "b": jnp.array([0.8])}
    got, expected = run(s, [small, steep]), run(s, [small, clipped])
    for path in got:
        np.testing.assert_allclose(got[path], expected[path], rtol=1e-5)
    loose = dataclasses.replace(TRAIN, clip_norm=100.0)
    assert np.abs(run(s, [small, steep], loose)["a"] - got["a"]).max() > 1e-4


def test_stairs_fall_by_a_factor_and_stop_at_the_floor():
    rate = learning_rate(stage(schedule="stairs", warmup=0, steps=1000, final_rate=0.2))
    found = [float(rate(step)) for step in (0, 19, 20, 39, 40, 60, 999)]
    np.testing.assert_allclose(found, 0.02 * np.array([1, 1, 0.5, 0.5, 0.25, 0.2, 0.2]), rtol=1e-6)


def test_stairs_rise_first_if_there_is_a_warm_up():
    rate = learning_rate(stage(schedule="stairs", warmup=10, stair_steps=50))
    np.testing.assert_allclose([float(rate(s)) for s in (0, 5, 10)], [0, 0.01, 0.02], rtol=1e-6)


def test_a_schedule_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="has schedule 'stair'; it must be one of cosine, stairs"):
        learning_rate(stage(schedule="stair"))


def test_what_is_left_out_does_not_count_in_the_clipping():
    chosen = stage(multipliers={"a": 1.0, "medians": 1.0}, warmup=0)
    start = params("a", "medians")
    optimizer = make_optimizer(TRAIN, chosen, ("medians",))

    def moment(size):
        gradients = {"a": 0.5 * start["a"], "medians": jnp.full((3, 2), size)}
        _, state = optimizer.update(gradients, optimizer.init(start), start)
        return state[1].mu

    small, large = moment(0.0), moment(100.0)
    np.testing.assert_array_equal(small["a"], large["a"])
    np.testing.assert_allclose(large["medians"], 10.0)  # 0.1 of the gradient, not clipped
