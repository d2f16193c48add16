"""The integers of the base model's coding part from its floats."""

import numpy as np

from diffcomp.coding import cdf_tables
from diffcomp.coding.checkerboard_coder import LAYER_BITS, CheckerboardCoder
from diffcomp.coding.fixed_point import PARAMETER_BITS, FixedPointLayers
from diffcomp.coding.latent_coder import STEP_BITS
from diffcomp.coding.quality import CODES, code_to_quality
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.hyperprior import interpolate_knots
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
    quality = np.array([code_to_quality(code) for code in range(CODES)])
    gain = np.asarray(interpolate_knots(params["hyperprior/log2_gain"], quality), np.float64)
    return CheckerboardCoder(
        layers=layers,
        z_tables=prior_tables(params, "hyperprior/prior/", np.zeros(config.hyper_channels)),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        step=np.maximum(np.rint(np.exp2(STEP_BITS - gain)), 1).astype(np.int64),
        log2_step=np.rint(-gain * 2**PARAMETER_BITS).astype(np.int64),
    )
