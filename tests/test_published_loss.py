"""The published loss on a narrow model with random weights."""

import dataclasses
import functools
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import random_params

from diffcomp.objectives.objective import Objective
from diffcomp.objectives.published import (
    CdcConditions,
    auxiliary_loss,
    draw_cdc_conditions,
    lmbda_at,
    published_objective,
    weighted_error,
)
from diffcomp.published.config import EPSILONPARAM, XPARAM, CdcLossConfig
from diffcomp.published.model import CdcModel
from diffcomp.published.parts import FLOAT32
from diffcomp.published.schedule import published_alpha_bar

LOSS = CdcLossConfig(
    lmbda=0.1,
    warmup_lmbda=1e-6,
    warmup_steps=100,
    rho=0.0,
    lpips_net="alex",
    error="squared",
    largest_weight=5.0,
)
# Of fewer resolutions than the published ones, for these take half a minute to compile; all of them
# are in test_train_loop.py's run of the smoke configuration.
SHALLOW = {"width": 4, "compressor_multipliers": (1, 2), "score_multipliers": (1, 2, 3)}
MODELS = {
    "x0": dataclasses.replace(XPARAM, context_channels=4, **SHALLOW),
    "eps": dataclasses.replace(EPSILONPARAM, **SHALLOW),
}


@functools.cache
def params(prediction):
    return random_params(MODELS[prediction])


def image():
    return jnp.tanh(jax.random.normal(jax.random.key(1), (2, 64, 64, 3)))


def conditions(model, lmbda=0.1):
    drawn = draw_cdc_conditions(model, LOSS, image(), jax.random.key(2), jnp.int32(1000))
    return drawn._replace(lmbda=jnp.float32(lmbda))


def objective_of(prediction, loss=LOSS):
    return Objective(CdcModel(MODELS[prediction]), loss, FLOAT32)


@functools.cache
def loss_and_gradients(prediction, loss=LOSS):
    objective = objective_of(prediction, loss)
    run = jax.jit(
        jax.value_and_grad(functools.partial(published_objective, objective), has_aux=True)
    )
    found = run(params(prediction), image(), conditions(MODELS[prediction]))
    return jax.device_get(found)  # NumPy compiles nothing


def test_the_rate_is_all_but_free_in_the_warm_up():
    steps = jnp.array([0, 99, 100, 10**6])
    np.testing.assert_allclose(lmbda_at(LOSS, steps), [1e-6, 1e-6, 0.1, 0.1])


@pytest.mark.parametrize("prediction", MODELS)
def test_noise_levels_are_those_of_the_published_schedule(prediction):
    model = MODELS[prediction]
    x = jnp.zeros((4096, 1, 1, 3))
    drawn = draw_cdc_conditions(model, LOSS, x, jax.random.key(0), jnp.int32(0))
    index = np.rint(np.asarray(drawn.t, np.float64) * model.training_steps).astype(int)
    assert 0 <= index.min() < 0.01 * model.training_steps
    assert 0.99 * model.training_steps < index.max() < model.training_steps
    np.testing.assert_allclose(drawn.alpha_bar, published_alpha_bar(model)[index], rtol=1e-6)
    assert float(drawn.eps.std()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("prediction", MODELS)
def test_the_loss_is_the_sum_of_its_terms(prediction):
    (value, terms), _ = loss_and_gradients(prediction)
    expected = 0.1 * terms["bpp"] + terms["error"] + terms["aux"]
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms["bpp"]) == pytest.approx(float(terms["bpp_y"] + terms["bpp_z"]), rel=1e-6)
    shares = [float(terms[f"share_t{k}"]) for k in range(4)]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("prediction", MODELS)
def test_every_parameter_is_trained_but_what_the_network_does_not_use(prediction):
    _, gradients = loss_and_gradients(prediction)
    still = {path for path, g in gradients.items() if not np.any(g)}
    assert not still
    assert all(np.isfinite(g).all() for g in gradients.values())


def test_medians_follow_their_own_loss_alone():
    objective = objective_of("x0")
    aux = jax.jit(jax.grad(lambda p: auxiliary_loss(objective, p)))(params("x0"))
    aux = jax.device_get(aux)
    _, gradients = loss_and_gradients("x0")
    np.testing.assert_allclose(gradients["medians"], aux["medians"], rtol=1e-4)
    assert np.all(aux["medians"] != 0)
    assert not any(np.any(g) for path, g in aux.items() if path != "medians")


def test_descent_on_the_auxiliary_loss_finds_the_median():
    objective = objective_of("x0")
    values = dict(params("x0"))
    gradient = jax.jit(jax.grad(lambda p: auxiliary_loss(objective, p)))
    loss = jax.jit(lambda p: auxiliary_loss(objective, p))
    start = float(loss(values))
    for i in range(200):
        step = 0.3 * 0.98**i * np.sign(gradient(values)["medians"])
        values["medians"] = values["medians"] - step.astype(np.float32)
    assert float(loss(values)) < 0.05 * start


def test_the_error_is_weighted_by_the_signal_to_noise_ratio_up_to_a_limit():
    alpha_bar = jnp.array([0.5, 0.75, 0.99])  # 1, 3 and 99
    c = CdcConditions(None, alpha_bar, None, None, None)
    target, prediction = jnp.zeros((3, 2, 2, 3)), jnp.full((3, 2, 2, 3), -2.0)
    squared = weighted_error(LOSS, prediction, target, c)
    np.testing.assert_allclose(squared, [4, 12, 20], rtol=1e-5)
    plain = dataclasses.replace(LOSS, error="absolute", largest_weight=0.0)
    absolute = weighted_error(plain, prediction, target, c)
    np.testing.assert_allclose(absolute, [2, 2, 2])


def test_an_unknown_error_is_refused():
    with pytest.raises(ValueError, match="error is 'l2'; it must be squared or absolute"):
        dataclasses.replace(LOSS, error="l2")


@pytest.mark.parametrize("name", ["kodak_lambda", "kodak_lambda_epsilon"])
def test_a_rung_of_the_ladder_is_a_variant(name):
    file = Path(__file__).resolve().parents[1] / "configs" / f"{name}.py"
    config = runpy.run_path(str(file))
    assert len(config["sweep"]()) == len(config["LADDER"]) == 6
    for variant, (lmbda, rho) in zip(config["sweep"](), config["LADDER"], strict=True):
        loss = config["get_config"](variant).loss
        assert (loss.lmbda, loss.rho) == (lmbda, rho)
    assert config["get_config"]("smoke,lmbda=0.5").loss.lmbda == 0.5
    with pytest.raises(
        ValueError, match="it must be '' or 'smoke', 'lmbda=NUMBER' or 'rho=NUMBER'"
    ):
        config["get_config"]("lmbda")
