"""The integers of the base model's coding part from its floats."""

import numpy as np

from diffcomp.coding import cdf_tables
from diffcomp.coding.entropy_parameters import CHANGE_BITS, LARGEST_CHANGE, layer_shapes
from diffcomp.coding.fixed_point import LARGEST, PARAMETER_BITS, FixedPointLayers
from diffcomp.coding.grouped_coder import ACTIVATION_BITS, LAYER_BITS, GroupedCoder
from diffcomp.coding.latent_coder import FACTOR_BITS, STEP_BITS
from diffcomp.coding.quality import CODES, code_to_quality, normalized_quality
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.parts import BY_PASS, BY_QUALITY, CODED_LAYERS
from diffcomp.networks.prior_tables import prior_tables
from diffcomp.params import Params


def grouped_coder(config: ModelConfig, params: Params) -> GroupedCoder:
    """The coding part of a model with these parameters, float32 by path."""
    params = {path: np.asarray(value) for path, value in params.items()}
    shapes = layer_shapes(config.hyper_channels, config.coding_width, config.groups)
    weights = {
        name: (params[f"{CODED_LAYERS}{name}/kernel"], params[f"{CODED_LAYERS}{name}/bias"])
        for name in sorted(shapes)  # so that every export has the same bytes
    }
    bits = {name: LAYER_BITS[name.partition("_")[0]] for name in weights}
    layers = FixedPointLayers.from_floats(weights, GroupedCoder.slope, bits)
    scales = cdf_tables.gaussian_scales()
    log2_scales = np.log2(scales)
    thresholds = (log2_scales[1:] + log2_scales[:-1]) / 2
    gain = _at_codes(params["hyperprior/log2_gain"])
    by_quality = params[BY_QUALITY]
    by_quality = _at_codes(by_quality.reshape(len(by_quality), -1)).reshape(
        CODES, *by_quality.shape[1:]
    )
    return GroupedCoder(
        layers=layers,
        z_tables=prior_tables(params, "hyperprior/prior/", np.zeros(config.hyper_channels)),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        step=np.maximum(np.rint(np.exp2(STEP_BITS - gain)), 1).astype(np.int64),
        log2_step=np.rint(-gain * 2**PARAMETER_BITS).astype(np.int64),
        step_factors=_step_factors(),
        group_starts=np.array(config.group_starts, np.int32),
        group_passes=np.array(config.group_passes, np.int32),
        by_quality=_activations(by_quality),
        by_pass=_activations(params[BY_PASS].astype(np.float64)),
    )


def _step_factors() -> np.ndarray:
    """2 to the power of every change of a step."""
    octaves = np.arange(-LARGEST_CHANGE, LARGEST_CHANGE + 1) * 2.0**-CHANGE_BITS
    return np.rint(np.exp2(octaves + FACTOR_BITS)).astype(np.int32)


def _activations(values: np.ndarray) -> np.ndarray:
    largest, limit = np.abs(values).max(), LARGEST / 2**ACTIVATION_BITS
    if not largest <= limit:
        raise ValueError(f"what the networks are told reaches {largest:g}; 16 bits hold {limit:g}.")
    return np.rint(values * 2**ACTIVATION_BITS).astype(np.int16)


def _at_codes(knots: np.ndarray) -> np.ndarray:
    """`interpolate_knots` of float32 knots [K, C] at every quality code: [CODES, C].

    In single precision but for the step in between: what every machine rounds alike. In a matrix
    product it depends on the machine which products are rounded before they are added.
    """
    quality = np.array([code_to_quality(code) for code in range(CODES)])
    position = normalized_quality(quality) * (len(knots) - 1)
    values = np.zeros((CODES, knots.shape[1]), np.float32)
    for k, knot in enumerate(knots.astype(np.float64)):
        weight = np.maximum(1 - abs(position - k), 0.0).astype(np.float32)
        values = (values + weight[:, None].astype(np.float64) * knot).astype(np.float32)
    return values.astype(np.float64)
