"""The published model's coding part on the released code's latents, and its files."""

from pathlib import Path

import numpy as np
import pytest

from diffcomp.coding.cdf_tables import gaussian_scales, information
from diffcomp.coding.fixed_point import PARAMETER_BITS
from diffcomp.coding.single_pass_coder import ACTIVATION_BITS
from diffcomp.export.published_import import import_cdc
from diffcomp.published.model import MIN_SCALE

GOLDEN = Path(__file__).parent / "golden" / "cdc"
VARIANTS = ["xparam", "epsilonparam"]


@pytest.fixture(scope="module", params=VARIANTS)
def case(request):
    """An imported model, and what the released code computed, [h, w, C] float32."""
    model = import_cdc(GOLDEN / f"{request.param}_tiny.pt")
    with np.load(GOLDEN / f"{request.param}_tiny.golden.npz") as arrays:
        golden = {k: v[0].transpose(1, 2, 0) for k, v in arrays.items() if v.ndim == 4}
        golden |= {k: float(v[0]) for k, v in arrays.items() if k.endswith("_bits")}
    return model, golden


def z_symbols(model, golden):
    medians = model.params["medians"]
    return np.rint(golden["hyper_latent"] - medians).astype(np.int32)


def bits_of_y(coder, golden, mean, scale):
    """Ideal length of y coded with these parameters: float [h, w, C], from the golden y."""
    scales = gaussian_scales(smallest=MIN_SCALE)
    thresholds = np.sqrt(scales[1:] * scales[:-1])
    symbols = np.rint(golden["latent"] - mean).astype(np.int64)
    return information(coder.y_tables, symbols, np.searchsorted(thresholds, scale))


def test_medians_are_rounded_to_their_grid(case):
    model, _ = case
    difference = model.coder.medians * 2.0**-ACTIVATION_BITS - model.params["medians"]
    assert np.abs(difference).max() <= 2.0 ** -(ACTIVATION_BITS + 1)
    assert np.abs(model.params["medians"]).max() > 0.01  # or the test would say nothing


def test_symbols_of_z_are_the_released_ones(case):
    model, golden = case
    expected = golden["q_hyper_latent"] - model.params["medians"]
    found = model.coder.z_symbols(golden["hyper_latent"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(np.unique(found)) > 3


def test_fixed_point_parameters_are_the_released_ones_but_for_rounding(case):
    model, golden = case
    integers = model.coder.parameters(z_symbols(model, golden))
    mean, scale = (value * 2.0**-PARAMETER_BITS for value in integers)
    assert np.abs(mean - golden["mean"]).max() < 4e-3
    assert np.abs(np.maximum(scale, MIN_SCALE) - golden["scale"]).max() < 4e-3


def test_fixed_point_costs_less_than_a_ten_thousandth_of_the_rate(case):
    model, golden = case
    integers = model.coder.parameters(z_symbols(model, golden))
    fixed = bits_of_y(model.coder, golden, *(v * 2.0**-PARAMETER_BITS for v in integers))
    floats = bits_of_y(model.coder, golden, golden["mean"], golden["scale"])
    assert abs(fixed / floats - 1) < 1e-4


def test_streams_are_as_long_as_the_tables_say_and_give_back_y_hat(case):
    model, golden = case
    y, z = golden["latent"], golden["hyper_latent"]
    streams = model.coder.encode(y, z, 255)
    y_hat = model.coder.decode(streams, y.shape[:2], 255)
    assert np.abs(y_hat - golden["q_latent"]).max() < 4e-3
    bits = bits_of_y(model.coder, golden, golden["mean"], golden["scale"])
    assert abs(8 * len(streams.y_stream) - bits) < 0.002 * bits + 24
    ours = information(
        model.coder.z_tables,
        z_symbols(model, golden),
        np.broadcast_to(np.arange(z.shape[-1]), z.shape),
    )
    assert abs(8 * len(streams.z_stream) - ours) < 24
