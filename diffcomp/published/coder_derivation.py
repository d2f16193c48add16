"""The integers of the published model's coding part from its floats."""

import jax.numpy as jnp
import numpy as np

from diffcomp.coding import cdf_tables
from diffcomp.coding.fixed_point import PARAMETER_BITS, FixedPointLayers
from diffcomp.coding.single_pass_coder import ACTIVATION_BITS, LAYER_BITS, SinglePassCoder
from diffcomp.networks.prior_tables import prior_tables
from diffcomp.params import Params
from diffcomp.published.layers import subpixel_kernel
from diffcomp.published.model import MIN_SCALE
from diffcomp.published.parts import MEDIANS


def single_pass_coder(params: Params) -> SinglePassCoder:
    """The coding part of a model with these parameters, float32 by path."""
    params = {path: np.asarray(value) for path, value in params.items()}
    weights = {"head": _conv(params, "hyper_synthesis/head")}
    for i, name in enumerate(("up32", "up16")):
        kernel, bias = _conv(params, f"hyper_synthesis/ups_{i}")
        # Depth-to-space puts the four positions of an output channel side by side.
        weights[name] = np.asarray(subpixel_kernel(jnp.asarray(kernel))), np.tile(bias, 4)
    scales = cdf_tables.gaussian_scales(smallest=MIN_SCALE)
    thresholds = np.sqrt(scales[1:] * scales[:-1])
    medians = np.rint(params[MEDIANS].astype(np.float64) * 2**ACTIVATION_BITS).astype(np.int64)
    return SinglePassCoder(
        layers=FixedPointLayers.from_floats(weights, SinglePassCoder.slope, LAYER_BITS),
        z_tables=prior_tables(params, "prior/", medians * 2.0**-ACTIVATION_BITS),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        medians=medians,
    )


def _conv(params: Params, path: str) -> tuple[np.ndarray, np.ndarray]:
    return params[f"{path}/kernel"], params[f"{path}/bias"]
