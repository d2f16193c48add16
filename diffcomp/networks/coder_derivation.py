"""The integers of the base model's coding part from its floats."""

import numpy as np

from diffcomp.coding import cdf_tables
from diffcomp.coding.checkerboard_coder import LAYER_BITS, CheckerboardCoder
from diffcomp.coding.fixed_point import PARAMETER_BITS, FixedPointLayers
from diffcomp.coding.latent_coder import STEP_BITS
from diffcomp.coding.quality import CODES, code_to_quality, normalized_quality
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.parts import CODED_LAYERS
from diffcomp.networks.prior_tables import prior_tables
from diffcomp.params import Params


def checkerboard_coder(config: ModelConfig, params: Params) -> CheckerboardCoder:
    """The coding part of a model with these parameters, float32 by path."""
    params = {path: np.asarray(value) for path, value in params.items()}
    weights = {
        name: (params[f"{CODED_LAYERS}{name}/kernel"], params[f"{CODED_LAYERS}{name}/bias"])
        for name in sorted(LAYER_BITS)  # so that every export has the same bytes
    }
    layers = FixedPointLayers.from_floats(weights, CheckerboardCoder.slope, LAYER_BITS)
    scales = cdf_tables.gaussian_scales()
    log2_scales = np.log2(scales)
    thresholds = (log2_scales[1:] + log2_scales[:-1]) / 2
    gain = _gains(params["hyperprior/log2_gain"])
    return CheckerboardCoder(
        layers=layers,
        z_tables=prior_tables(params, "hyperprior/prior/", np.zeros(config.hyper_channels)),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        step=np.maximum(np.rint(np.exp2(STEP_BITS - gain)), 1).astype(np.int64),
        log2_step=np.rint(-gain * 2**PARAMETER_BITS).astype(np.int64),
    )


def _gains(knots: np.ndarray) -> np.ndarray:
    """`hyperprior.interpolate_knots` of float32 knots [K, C] at every quality code: [CODES, C].

    In single precision but for the step in between: what every machine rounds alike. In a matrix
    product it depends on the machine which products are rounded before they are added.
    """
    quality = np.array([code_to_quality(code) for code in range(CODES)])
    position = normalized_quality(quality) * (len(knots) - 1)
    gain = np.zeros((CODES, knots.shape[1]), np.float32)
    for k, knot in enumerate(knots.astype(np.float64)):
        weight = np.maximum(1 - abs(position - k), 0.0).astype(np.float32)
        gain = (gain + weight[:, None].astype(np.float64) * knot).astype(np.float32)
    return gain.astype(np.float64)
