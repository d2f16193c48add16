import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import MODEL

from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.registry import architecture_of
from diffcomp.networks.precision import cast_params, layers_follow_params
from diffcomp.published.config import XPARAM
from diffcomp.published.layers import UpConv


@pytest.mark.parametrize("config", [MODEL, XPARAM], ids=["base", "cdc"])
def test_what_decides_over_bits_stays_float32(config):
    forms = {path: jnp.zeros((), form.dtype) for path, form in param_shapes(config).items()}
    cast = cast_params(forms, "bfloat16", architecture_of(config).float32)
    dtypes = {path: value.dtype for path, value in cast.items()}
    kept = {path for path, dtype in dtypes.items() if dtype == jnp.float32}
    coding = ("hyperprior/parameters", "hyperprior/prior", "hyperprior/hyper_analysis", "prior")
    coding += ("medians", "hyper_analysis", "hyper_synthesis", "hyperprior/log2_gain")
    assert all(path in kept for path in forms if path.startswith(coding))
    assert {path for path in forms if path.endswith(("basis", "offset"))} <= kept
    assert all(path not in kept for path in forms if "block" in path)
    assert 0 < len(kept) < len(forms)


def test_float32_changes_nothing():
    params = {"a/kernel": jnp.ones(3)}
    assert cast_params(params, "float32", ())["a/kernel"].dtype == jnp.float32


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.Conv(4, (3, 3), name="conv")(x)
        return UpConv(2, 4, name="up")(nn.Dense(4, name="dense")(h))


def test_layers_compute_in_the_type_of_their_parameters():
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 3))
    variables = Net().init(jax.random.key(1), x)
    expected = Net().apply(variables, x)
    half = jax.tree.map(lambda value: value.astype(jnp.bfloat16), variables)
    with layers_follow_params():
        found = Net().apply(half, x)
        same = Net().apply(variables, x)
    assert (expected.dtype, found.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_array_equal(same, expected)
    np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=0.05)
    mixed = {"params": variables["params"] | {"dense": half["params"]["dense"]}}
    with layers_follow_params():
        assert Net().apply(mixed, x).dtype == jnp.float32
