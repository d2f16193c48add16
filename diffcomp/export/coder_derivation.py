"""The integers of a coding part from a model's floats: weights, CDF tables, thresholds, steps.

Done once, when a model is exported: another machine's floats could round otherwise.
"""

import jax.numpy as jnp
import numpy as np

from diffcomp.coding import cdf_tables
from diffcomp.coding import single_pass_coder as cdc
from diffcomp.coding.fixed_point import PARAMETER_BITS, FixedPointLayers, dequantize_conv
from diffcomp.coding.latent_coder import STEP_BITS, CheckerboardCoder, LatentCoder
from diffcomp.coding.quality import CODES, code_to_quality
from diffcomp.coding.single_pass_coder import SinglePassCoder
from diffcomp.config import ModelConfig
from diffcomp.networks.entropy_models import FactorizedPrior
from diffcomp.networks.hyperprior import interpolate_knots
from diffcomp.networks.model import Architecture
from diffcomp.published.config import CdcConfig
from diffcomp.published.layers import subpixel_kernel
from diffcomp.published.model import MIN_SCALE

CODED_LAYERS = "hyperprior/parameters/convs_"  # base model: parameters that only the coder keeps
PRIOR_TAIL = 2.0**-12  # probability of z beyond its table, left to the escape code
PRIOR_REACH = 128  # tables of z end here at the latest

Params = dict[str, np.ndarray]


def coder_type(config: Architecture) -> type[LatentCoder]:
    """The class of an architecture's coding part."""
    return SinglePassCoder if isinstance(config, CdcConfig) else CheckerboardCoder


def derive_coder(config: Architecture, params: Params) -> LatentCoder:
    """The coding part of a model with these parameters, float32 by path."""
    params = {path: np.asarray(value) for path, value in params.items()}
    if isinstance(config, CdcConfig):
        return _single_pass_coder(config, params)
    return _checkerboard_coder(config, params)


def is_coded(config: Architecture, path: str) -> bool:
    """Whether the coding part is derived from the parameter at this path."""
    prefixes = ("hyper_synthesis/", "prior/", "medians")
    if not isinstance(config, CdcConfig):
        prefixes = ("hyperprior/parameters/", "hyperprior/prior/", "hyperprior/log2_gain")
    return path.startswith(prefixes)


def float_twin(coder: LatentCoder) -> Params:
    """Float parameters equal to the integers, where only these are kept: the base model.

    Training that goes on from an export thus starts from what its files are coded with.
    """
    if not isinstance(coder, CheckerboardCoder):
        return {}
    params = {}
    for name, conv in coder.layers.convs.items():
        kernel, bias = dequantize_conv(conv)
        params[f"{CODED_LAYERS}{name}/kernel"] = kernel
        params[f"{CODED_LAYERS}{name}/bias"] = bias
    return params


def _checkerboard_coder(config: ModelConfig, params: Params) -> CheckerboardCoder:
    coded = [p.removeprefix(CODED_LAYERS) for p in params if p.startswith(CODED_LAYERS)]
    names = sorted({p.split("/")[0] for p in coded})  # so that every export has the same bytes
    layers = FixedPointLayers.from_floats(
        {n: _conv(params, f"{CODED_LAYERS}{n}") for n in names}, CheckerboardCoder.slope
    )
    scales = cdf_tables.gaussian_scales()
    log2_scales = np.log2(scales)
    thresholds = (log2_scales[1:] + log2_scales[:-1]) / 2
    quality = np.array([code_to_quality(code) for code in range(CODES)])
    gain = np.asarray(interpolate_knots(params["hyperprior/log2_gain"], quality), np.float64)
    return CheckerboardCoder(
        layers=layers,
        z_tables=_prior_tables(params, "hyperprior/prior/", np.zeros(config.hyper_channels)),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        step=np.maximum(np.rint(np.exp2(STEP_BITS - gain)), 1).astype(np.int64),
        log2_step=np.rint(-gain * 2**PARAMETER_BITS).astype(np.int64),
    )


def _single_pass_coder(config: CdcConfig, params: Params) -> SinglePassCoder:
    weights = {"head": _conv(params, "hyper_synthesis/head")}
    for i, name in enumerate(("up32", "up16")):
        kernel, bias = _conv(params, f"hyper_synthesis/ups_{i}")
        # Depth-to-space puts the four positions of an output channel side by side.
        weights[name] = np.asarray(subpixel_kernel(jnp.asarray(kernel))), np.tile(bias, 4)
    scales = cdf_tables.gaussian_scales(smallest=MIN_SCALE)
    thresholds = np.sqrt(scales[1:] * scales[:-1])
    medians = np.rint(params["medians"].astype(np.float64) * 2**cdc.ACTIVATION_BITS).astype(
        np.int64
    )
    return SinglePassCoder(
        layers=FixedPointLayers.from_floats(
            weights, cdc.SLOPE, z_hat_bits=cdc.ACTIVATION_BITS, activation_bits=cdc.ACTIVATION_BITS
        ),
        z_tables=_prior_tables(params, "prior/", medians * 2.0**-cdc.ACTIVATION_BITS),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        medians=medians,
    )


def _conv(params: Params, path: str) -> tuple[np.ndarray, np.ndarray]:
    return params[f"{path}/kernel"], params[f"{path}/bias"]


def _prior_tables(params: Params, prefix: str, medians: np.ndarray) -> cdf_tables.CdfTables:
    """One table per channel of z, of the integers that are not in the tails; these escape.

    A symbol stands for the value of z at that distance from the channel's median, medians [D].
    """
    variables = {p.removeprefix(prefix): v for p, v in params.items() if p.startswith(prefix)}
    reach = jnp.arange(-PRIOR_REACH, PRIOR_REACH + 1, dtype=jnp.float32)
    z = reach[:, None] + jnp.asarray(medians, jnp.float32)[None]
    bits = FactorizedPrior(len(medians)).apply({"params": variables}, z)
    probabilities = np.exp2(-np.asarray(bits, np.float64)).T
    pmfs, offsets = [], []
    for p in probabilities:
        below = np.cumsum(p) <= PRIOR_TAIL / 2
        above = np.cumsum(p[::-1])[::-1] <= PRIOR_TAIL / 2
        pmfs.append(p[~(below | above)])
        offsets.append(int(below.sum()) - PRIOR_REACH)
    return cdf_tables.tables_from_pmfs(pmfs, offsets)
