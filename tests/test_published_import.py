import json
import math
from pathlib import Path

import numpy as np
import pytest

from diffcomp.export.published_import import (
    infer_config,
    load_cdc,
    published_name,
    published_shapes,
    to_params,
)
from diffcomp.published.config import EPSILONPARAM, XPARAM
from diffcomp.published.weights import WeightsError, read_weights

GOLDEN = Path(__file__).parent / "golden" / "cdc"
VARIANTS = {"xparam": XPARAM, "epsilonparam": EPSILONPARAM}


@pytest.fixture(scope="module")
def manifests():
    """Name and shape of every tensor of the full-size networks, by variant."""
    shapes = json.loads((GOLDEN / "full_size.json").read_text())
    joined = {variant: shapes["both"] | shapes[variant] for variant in VARIANTS}
    return {v: {k: tuple(shape) for k, shape in m.items()} for v, m in joined.items()}


@pytest.fixture(scope="module")
def weights():
    return read_weights(GOLDEN / "epsilonparam_tiny.pt")


@pytest.fixture(scope="module")
def params(weights):
    return to_params(weights, infer_config(weights))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_full_size_model_has_the_released_tensors(variant, manifests):
    assert published_shapes(VARIANTS[variant]) == manifests[variant]


@pytest.mark.parametrize(("variant", "millions"), [("xparam", 53.9), ("epsilonparam", 53.6)])
def test_the_full_size_model_has_the_released_number_of_parameters(variant, millions, manifests):
    count = sum(math.prod(shape) for shape in manifests[variant].values())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_full_size_configuration_is_inferred(variant, manifests):
    shapes = {k: s for k, s in manifests[variant].items() if k.endswith("bias")}
    assert infer_config({name: np.zeros(s) for name, s in shapes.items()}) == VARIANTS[variant]


@pytest.mark.parametrize(("variant", "context"), [("xparam", 4), ("epsilonparam", 3)])
def test_a_released_file_becomes_parameters(variant, context):
    config, params = load_cdc(GOLDEN / f"{variant}_tiny.pt")
    assert (config.width, config.context_channels) == (4, context)
    assert (config.prediction, config.schedule) == (
        VARIANTS[variant].prediction,
        VARIANTS[variant].schedule,
    )
    assert params["medians"].shape == (16,)
    assert all(value.dtype == np.float32 for value in params.values())


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("analysis/blocks_0/conv1/kernel", (2, 3, 1, 0)),
        ("context_decoder/ups_0/kernel", (2, 3, 0, 1)),
        ("score_network/ups_1/block0/time/kernel", (1, 0)),
        ("score_network/middle_attention/qkv", (2, 3, 1, 0)),
        ("prior/matrix0", (1, 2, 0, 4, 3)),
        ("medians", (0, 2, 3, 1)),
    ],
)
def test_axes_are_put_in_order(path, order, weights, params):
    name, _ = published_name(path, EPSILONPARAM)
    expected = weights[name].transpose(order).reshape(params[path].shape)
    np.testing.assert_array_equal(params[path], expected)


def test_a_path_that_the_model_lacks_has_no_name():
    for path in ("score_network/downs_0/block2/conv3/kernel", "decoder/kernel"):
        with pytest.raises(KeyError):
            published_name(path, XPARAM)


def test_all_faults_are_listed_at_once(weights):
    spoiled = dict(weights)
    del spoiled["context_fn.prior.a.1"], spoiled["denoise_fn.final_conv.1.bias"]
    spoiled["context_fn.extra"] = np.zeros(1, np.float32)
    spoiled["denoise_fn.mid_attn.fn.norm.g"] = np.zeros((1, 24), np.float32)
    spoiled["denoise_fn.time_mlp.0.weight"] = np.zeros((1, 16), np.float32)
    with pytest.raises(WeightsError) as caught:
        to_params(spoiled, infer_config(weights))
    assert str(caught.value) == (
        "the weights do not fit the published model: "
        "context_fn.prior.a.1 is missing; "
        "denoise_fn.final_conv.1.bias is missing; "
        "context_fn.extra is unknown; "
        "denoise_fn.mid_attn.fn.norm.g has shape (1, 24), not (1, 24, 1, 1); "
        "denoise_fn.time_mlp.0.weight has shape (1, 16), not (16, 1)."
    )


def test_weights_of_something_else_are_refused(weights):
    text = "weights of neither published variant: xparam has .*dec.3.1.conv.bias, epsilonparam has"
    for missing in ("denoise_fn.time_mlp.2.bias", "context_fn.dec.3.2.conv.bias"):
        with pytest.raises(WeightsError, match=text):
            infer_config({name: v for name, v in weights.items() if name != missing})
