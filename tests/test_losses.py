import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import LOSS, MODEL

from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.registry import BASE
from diffcomp.distances.dists import load_dists
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.networks.latents import Rate
from diffcomp.networks.model import CompressionModel
from diffcomp.objectives.base import (
    Conditions,
    decoder_objective,
    draw_conditions,
    lmbda,
    mse_255,
    rate_terms,
    vgg_terms,
)
from diffcomp.objectives.objective import Objective

PATHS = {  # objective -> a parameter that it trains
    "linear": "hyperprior/log2_gain",
    "rate": "hyperprior/parameters/by_pass",
    "context": "context_decoder/basis",
    "decoder": "score_network/head/kernel",
    "joint": "hyperprior/analysis/basis",
}
OBJECTIVES = BASE.objectives
every_objective = pytest.mark.parametrize("name", list(OBJECTIVES))


@functools.cache
def random_model():
    """A model as if in training: no parameter is zero, y and z are worth bits."""
    shapes = param_shapes(MODEL)
    rng = np.random.default_rng(0)
    values = {}
    for path, leaf in shapes.items():
        fan_in = np.prod(leaf.shape[:-1]) if path.endswith(("kernel", "basis")) else 100
        values[path] = np.float32(rng.normal(size=leaf.shape) / np.sqrt(fan_in))
    values["hyperprior/log2_gain"] += np.linspace(1.0, 4.0, 8, dtype=np.float32)[:, None]
    values["hyperprior/hyper_analysis/head/bias"] += 2.0  # z_hat is not zero
    return values


@pytest.fixture(scope="module")
def params():
    return random_model()


def objective_of(loss=LOSS, network=BASE.network(MODEL), **changes):  # noqa: B008
    weights = load_lpips("alex")
    return Objective(network, loss, BASE.float32, lpips_weights=weights, **changes)


@functools.cache
def jitted(name):
    objective = objective_of()
    run = jax.jit(jax.value_and_grad(functools.partial(OBJECTIVES[name], objective), has_aux=True))
    return lambda *args: jax.device_get(run(*args))  # NumPy compiles nothing


def image(seed=0):
    """Smooth noise: float32 [1, 64, 64, 3] in [-1, 1]."""
    coarse = jax.random.normal(jax.random.key(seed), (1, 8, 8, 3))
    return jnp.clip(0.5 * jax.image.resize(coarse, (1, 64, 64, 3), "cubic"), -1, 1)


def conditions(quality=3.0, realism=0.0, t=0.5, seed=1):
    eps_key, key = jax.random.split(jax.random.key(seed))
    return Conditions(
        quality=jnp.full(1, quality),
        realism=jnp.full(1, realism),
        t=jnp.full(1, t),
        eps=jax.random.normal(eps_key, (1, 64, 64, 3)),
        key=key,
    )


def test_lmbda_is_geometric_between_its_ends():
    values = lmbda(LOSS, jnp.array([1.0, 4.5, 8.0]))
    np.testing.assert_allclose(values, [0.0002, (0.0002 * 0.02) ** 0.5, 0.02], rtol=1e-5)
    ratios = np.asarray(lmbda(LOSS, jnp.linspace(1.0, 8.0, 15)))
    np.testing.assert_allclose(ratios[1:] / ratios[:-1], 100 ** (1 / 14), rtol=1e-5)


def test_conditions_are_drawn_over_their_ranges():
    n = 20_000
    c = draw_conditions(LOSS, jnp.zeros((n, 1, 1, 3)), jax.random.key(0))
    quality, realism, t, eps = (np.asarray(v, np.float64) for v in c[:4])
    assert quality.shape == realism.shape == t.shape == (n,)
    assert eps.shape == (n, 1, 1, 3)
    assert 1 <= quality.min() < 1.01
    assert 7.99 < quality.max() <= 8
    assert quality.mean() == pytest.approx(4.5, abs=0.07)
    # Uniform in [-0.5, 1.75] and cut off: so much of it at the ends, at which decoding happens.
    assert (realism.min(), realism.max()) == (0, 1)
    assert np.mean(realism == 0) == pytest.approx(0.5 / 2.25, abs=0.015)
    assert np.mean(realism == 1) == pytest.approx(0.75 / 2.25, abs=0.015)
    assert 0 <= t.min() < 0.01
    assert t.max() == 1
    assert np.mean(t == 1) == pytest.approx(0.25, abs=0.01)
    assert eps.mean() == pytest.approx(0, abs=0.02)
    assert eps[t < 1].std() == pytest.approx(1, abs=0.01)
    # gamma is uniform in [-1, 1] and cut off: half are 0, the mean square of the others is 1/3.
    assert np.mean(eps[t == 1] == 0) == pytest.approx(0.5, abs=0.02)
    assert np.mean(eps[t == 1] ** 2) == pytest.approx(1 / 6, abs=0.02)
    for a, b in [(quality, realism), (quality, t), (realism, t)]:
        assert np.corrcoef(a, b)[0, 1] == pytest.approx(0, abs=0.04)


def test_conditions_are_a_function_of_the_key():
    x = jnp.zeros((3, 4, 4, 3))
    first, same, other = (draw_conditions(LOSS, x, jax.random.key(seed)) for seed in (0, 0, 1))
    for a, b, c in zip(first[:4], same[:4], other[:4], strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    assert first.key == same.key
    assert first.key != other.key


def test_mse_is_of_each_image_on_the_scale_of_bytes():
    bytes_a = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3))
    bytes_b = bytes_a.copy()
    bytes_b[1, 2, 3, 0] += 12
    a, b = (jnp.asarray(v / 127.5 - 1, jnp.float32) for v in (bytes_a, bytes_b))
    np.testing.assert_allclose(mse_255(a, b), [0, 12**2 / 72], rtol=1e-3)


def test_rate_terms_are_bits_per_pixel():
    rate = Rate(jnp.zeros(()), bits_y=jnp.array([100.0, 64.0]), bits_z=jnp.array([28.0, 0.0]))
    terms = rate_terms(rate, jnp.zeros((2, 8, 16, 3)))
    np.testing.assert_allclose(terms["bpp_y"], [100 / 128, 0.5])
    np.testing.assert_allclose(terms["bpp_z"], [28 / 128, 0])
    np.testing.assert_allclose(terms["bpp"], [1, 0.5])


def expected_loss(name, metrics, quality, realism, t):
    """The formula in the module's docstring, in float64, from the parts of the loss."""
    m = {key: float(value) for key, value in metrics.items()}
    weight = 0.0002 * 100 ** ((quality - 1) / 7)
    balance = np.sqrt(np.sqrt(0.0002 * 0.02) / weight)
    if name == "rate":
        distortion = 0.0
    elif name in ("linear", "context"):
        distortion = m["mse"]
    else:
        alpha_bar = np.clip(np.cos(np.pi * t / 2) ** 2, 1e-5, 1 - 1e-5)
        snr_weight = np.clip(alpha_bar / (1 - alpha_bar), 1, 5)
        rho = 0.9 * realism
        score = (1 - rho) * snr_weight * m["mse_x0"]
        score += rho * (175 * m["lpips_x0"] + 20 * m["grid_x0"])
        distortion = 0.3 * m["mse"] + 0.7 * score
    return balance * (m.get("bpp", 0.0) + weight * distortion)


@every_objective
@pytest.mark.parametrize(
    ("quality", "realism", "t"), [(3.0, 0.0, 0.3), (6.5, 0.0, 1.0), (1.0, 0.0, 0.01)]
)
def test_without_realism_the_loss_is_rate_and_squared_error(params, name, quality, realism, t):
    c = conditions(quality, realism, t)
    (loss, metrics), _ = jitted(name)(params, image(), c)
    assert ("bpp" in metrics) is (name in ("linear", "rate", "joint"))
    assert float(loss) == pytest.approx(expected_loss(name, metrics, quality, realism, t), rel=1e-4)


@pytest.mark.parametrize("name", ["decoder", "joint"])
@pytest.mark.parametrize("realism", [0.4, 1.0])
def test_realism_trades_squared_error_of_the_sample_for_perception(params, name, realism):
    c = conditions(4.0, realism, 0.4)
    (loss, metrics), _ = jitted(name)(params, image(), c)
    assert float(metrics["lpips_x0"]) > 0.001
    assert float(loss) == pytest.approx(expected_loss(name, metrics, 4.0, realism, 0.4), rel=1e-4)


def test_metrics_are_those_of_the_reconstructions(params):
    objective = objective_of()
    x, c = image(), conditions()
    (_, metrics), _ = jitted("context")(params, x, c)

    @jax.jit
    def reconstruct(params):
        model = objective.bind(params)
        y_hat = model.rate(model.encode_linear(x), c.quality).y_hat
        base = model.decode_context(y_hat, c.quality).base
        return {"mse": base, "mse_linear": model.decode_linear(y_hat)}

    for key, image_hat in reconstruct(params).items():
        squared = (127.5 * (np.asarray(image_hat, np.float64) - np.asarray(x))) ** 2
        assert float(metrics[key]) == pytest.approx(squared.mean(), rel=1e-3)


class Echo(CompressionModel):
    """Takes what the score network is shown for its estimate of x_0."""

    def denoise(self, x_t, *args):
        return x_t


def test_at_t_1_the_network_sees_noise_alone_as_in_decoding(params):
    """With gamma = 0 any trace of x would show it the image that it is asked for."""
    objective = objective_of(network=Echo(MODEL))
    x = image()
    for t, seen in ((1.0, 0.0), (0.5, np.sqrt(0.5))):
        c = conditions(t=t)._replace(eps=jnp.zeros_like(x))
        _, metrics = jax.jit(functools.partial(OBJECTIVES["decoder"], objective))(params, x, c)
        assert float(metrics["mse_x0"]) == pytest.approx(float(mse_255(x, seen * x)[0]), rel=1e-5)


def test_the_loss_of_a_batch_is_the_mean_of_its_images(params):
    """Each weighted by its own quality, so that the strong lmbda of one does not drown another."""
    first, second = conditions(quality=1.0), conditions(quality=8.0, seed=2)
    run = jitted("context")
    losses = [float(run(params, image(), c)[0][0]) for c in (first, second)]
    parts = zip(first[:4], second[:4], strict=True)
    both = Conditions(*map(jnp.concatenate, parts), key=first.key)
    (loss, _), _ = run(params, jnp.concatenate([image(), image()]), both)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-4)
    assert losses[0] != pytest.approx(losses[1], rel=0.1)


@every_objective
def test_loss_metrics_and_gradients_are_finite(params, name):
    for t in (0.0, 1.0):
        (loss, metrics), gradients = jitted(name)(params, image(), conditions(5.0, 0.5, t))
        assert loss.shape == ()
        assert float(loss) > 0
        for value in (loss, *metrics.values(), *gradients.values()):
            assert np.isfinite(value).all()
        assert np.abs(gradients[PATHS[name]]).max() > 0


@pytest.mark.parametrize("name", ["context", "decoder"])
def test_the_decoder_is_fitted_without_any_pull_on_the_encoder(params, name):
    _, gradients = jitted(name)(params, image(), conditions(realism=0.5))
    coding = {path for path in gradients if path.startswith("hyperprior/")}
    assert len(coding) > 10
    assert all((np.asarray(gradients[path]) == 0).all() for path in coding)


def test_the_rate_pulls_on_the_entropy_model_alone(params):
    _, gradients = jitted("rate")(params, image(), conditions())
    pulled = {path for path, gradient in gradients.items() if np.any(gradient)}
    held = ("convs_up", "convs_features", "convs_step")  # which the steps of y hang on, as z does
    fitted = {
        path
        for path in gradients
        if path.startswith(("hyperprior/parameters", "hyperprior/prior"))
        and not path.split("/")[2].startswith(held)
    }
    assert pulled == fitted


def test_the_joint_loss_pulls_on_every_parameter(params):
    _, gradients = jitted("joint")(params, image(), conditions(realism=0.5))
    still = {path for path, gradient in gradients.items() if not np.any(gradient)}
    assert still == set()


def test_the_linear_loss_knows_nothing_of_the_networks(params):
    _, gradients = jitted("linear")(params, image(), conditions())
    for path, gradient in gradients.items():
        if path.startswith(("score_", "context_conditioning", "context_decoder/residual")):
            assert (np.asarray(gradient) == 0).all()


# With every term that a stage may add. Reconstructions of random weights are so far off that the
# perceptual ones need large scales if none is to be lost beside the squared error.
FULL = dataclasses.replace(
    LOSS,
    lpips_scale=2e5,
    lpips_vgg_scale=3e5,
    dists_scale=1e5,
    grid_scale=1e4,
    box_scales=(200.0, 800.0),
    structure_scale=1e5,
)


@functools.cache
def with_all_terms(loss=FULL):
    """The decoder's loss and terms; VGG16 looks at the one most realistic image of a batch."""
    objective = objective_of(
        loss,
        dists_weights=load_dists(),
        lpips_vgg_weights=load_lpips("vgg"),
        vgg_images=1,
    )
    return jax.jit(functools.partial(decoder_objective, objective))


def test_vgg_sees_the_square_in_the_middle_alone():
    objective = objective_of(
        FULL,
        dists_weights=load_dists(),
        lpips_vgg_weights=load_lpips("vgg"),
        vgg_images=1,
        vgg_side=32,
    )
    terms = jax.jit(lambda x, x0: vgg_terms(objective, x, x0)[1])
    x, x0 = image(), image()[:, ::-1]
    seen = terms(x, x0)
    for row, differs in ((3, False), (40, True)):
        changed = x0.at[:, row, 20:40].multiply(-1)
        for name, value in terms(x, changed).items():
            assert (abs(value - seen[name]) > 1e-4) == differs, (name, row)


def loss_of_two(realism):
    """Of the same image twice, each of its own realism: the loss, and the means of its terms."""
    c = jax.tree.map(lambda v: np.repeat(v, 2, axis=0), conditions()._replace(key=None))
    c = c._replace(realism=np.float32(realism), key=jax.random.key(3))
    x = np.repeat(image(), 2, axis=0)
    loss, terms = with_all_terms()(random_model(), x, c)
    return float(loss), {name: float(value) for name, value in terms.items()}


def scaled(distortion, quality=3.0):
    """The loss of a decoder's distortion at this quality."""
    weight = float(lmbda(LOSS, jnp.float32(quality)))
    balance = ((LOSS.lmbda_low * LOSS.lmbda_high) ** 0.5 / weight) ** LOSS.balance
    return balance * weight * distortion


def by_vgg(terms):
    """The share of VGG16's terms in the distortion of an image of realism 1."""
    seen = FULL.lpips_vgg_scale * terms["lpips_vgg_x0"] + FULL.dists_scale * terms["dists_x0"]
    return (1 - FULL.base_weight) * FULL.rho_max * seen


@pytest.mark.parametrize("realism", [0.0, 0.5, 1.0])
def test_every_further_term_counts_by_its_scale(realism):
    """The error of areas counts at every realism, the others by rho."""
    loss, m = loss_of_two([realism, realism])
    rho = FULL.rho_max * realism
    natural = FULL.lpips_scale * m["lpips_x0"] + FULL.grid_scale * m["grid_x0"]
    natural += FULL.structure_scale * m["structure_x0"]
    score = (1 - rho) * m["mse_x0"] + rho * natural + m["box_x0"]  # at t = 0.5 the SNR is 1
    base = m["mse"] + m["box_base"]
    # VGG16 sees one of the two.
    expected = FULL.base_weight * base + (1 - FULL.base_weight) * score
    expected += realism * by_vgg(m) / 2
    assert loss == pytest.approx(scaled(expected), rel=1e-4)
    assert m["box_base"] != pytest.approx(m["box_x0"], rel=0.01)
    scales = {"lpips_vgg_x0": FULL.lpips_vgg_scale, "dists_x0": FULL.dists_scale}
    scales |= {"lpips_x0": FULL.lpips_scale, "grid_x0": FULL.grid_scale, "box_base": 1, "box_x0": 1}
    scales |= {"structure_x0": FULL.structure_scale}
    for name, scale in scales.items():  # none is too little to be missed
        assert scale * m[name] > 0.01 * expected, name


def test_vgg_looks_at_the_most_realistic_images():
    """Of a batch with realism 0 and 1: what it sees counts in the second, as if alone."""
    plain, _ = loss_of_two([0.0, 0.0])
    natural, alone = loss_of_two([1.0, 1.0])  # VGG16 looks at one of them
    loss, terms = loss_of_two([0.0, 1.0])
    for name in ("dists_x0", "lpips_vgg_x0"):
        assert terms[name] == pytest.approx(alone[name], rel=1e-3)
    assert loss == pytest.approx((plain + natural + scaled(by_vgg(alone)) / 2) / 2, rel=1e-4)


def test_without_a_scale_lpips_by_vgg_is_not_computed(params):
    loss = dataclasses.replace(FULL, lpips_vgg_scale=0.0)
    terms = jax.eval_shape(with_all_terms(loss), params, image(), conditions())[1]
    assert "dists_x0" in terms
    assert "lpips_vgg_x0" not in terms
