"""A trained model as files: a folder with `model.json`, `coding.npz` and `weights.npz`.

`coding.npz` holds the integers of the coding part (see `latent_coder`), made once from the floats
by `export` and never recomputed. `weights.npz` holds the other parameters, large ones as float16.
"""

import dataclasses
import json
import zipfile
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from diffcomp import cdf_tables
from diffcomp.config import ModelConfig, from_mapping, to_dict
from diffcomp.entropy_models import FactorizedPrior
from diffcomp.fixed_point import PARAMETER_BITS, FixedPointLayers, dequantize_conv
from diffcomp.hyperprior import interpolate_knots
from diffcomp.latent_coder import STEP_BITS, LatentCoder
from diffcomp.model import init_params
from diffcomp.quality import CODES, code_to_quality

FORMAT = 1
CODED_LAYERS = "hyperprior/parameters/convs_"  # parameters that live in coding.npz as integers
PRIOR_TAIL = 2.0**-12  # probability of z beyond its table, left to the escape code
PRIOR_REACH = 128  # tables of z end here at the latest
SMALL = 4096  # arrays of fewer values are kept in float32

Params = dict[str, np.ndarray]

# What reading a damaged file may raise: NumPy leaves some to zipfile and zlib, and the wrong kind
# of JSON or NumPy value shows only when it is used.
_DAMAGED = (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


class ModelError(ValueError):
    """An exported model that cannot be read, with the reason."""


@dataclasses.dataclass(frozen=True, eq=False)
class ExportedModel:
    name: str
    config: ModelConfig
    params: Params  # float32, by path such as "hyperprior/analysis/basis"
    coder: LatentCoder
    card: dict  # provenance: how it was trained, for how long, on what


def export(name: str, config: ModelConfig, params: Params, card: dict) -> ExportedModel:
    """Float parameters -> integer coding part + float16 weights, exactly as `load` gives them."""
    params = {path: np.asarray(value, np.float32) for path, value in params.items()}
    kept = {p: _rounded(v) for p, v in params.items() if not p.startswith(CODED_LAYERS)}
    # From the rounded ones: what is exported again after `load` must give the same coder.
    coder = derive_coder(config, params | kept)
    return ExportedModel(name, config, kept | _float_twin(coder.layers), coder, card)


def derive_coder(config: ModelConfig, params: Params) -> LatentCoder:
    """Integer weights, CDF tables and steps from float parameters. Done once, at export."""
    coded = [p.removeprefix(CODED_LAYERS) for p in params if p.startswith(CODED_LAYERS)]
    names = sorted({p.split("/")[0] for p in coded})  # so that every export has the same bytes
    layers = FixedPointLayers.from_floats(
        {n: (params[f"{CODED_LAYERS}{n}/kernel"], params[f"{CODED_LAYERS}{n}/bias"]) for n in names}
    )
    scales = cdf_tables.gaussian_scales()
    log2_scales = np.log2(scales)
    thresholds = (log2_scales[1:] + log2_scales[:-1]) / 2
    quality = np.array([code_to_quality(code) for code in range(CODES)])
    gain = np.asarray(interpolate_knots(params["hyperprior/log2_gain"], quality), np.float64)
    return LatentCoder(
        layers=layers,
        z_tables=_prior_tables(config, params),
        y_tables=cdf_tables.gaussian_tables(scales),
        scale_thresholds=np.rint(thresholds * 2**PARAMETER_BITS).astype(np.int64),
        step=np.maximum(np.rint(np.exp2(STEP_BITS - gain)), 1).astype(np.int64),
        log2_step=np.rint(-gain * 2**PARAMETER_BITS).astype(np.int64),
    )


def _prior_tables(config: ModelConfig, params: Params) -> cdf_tables.CdfTables:
    """One table per channel of z, of the integers that are not in the tails; these escape."""
    prefix = "hyperprior/prior/"
    variables = {p.removeprefix(prefix): v for p, v in params.items() if p.startswith(prefix)}
    z = jnp.arange(-PRIOR_REACH, PRIOR_REACH + 1, dtype=jnp.float32)
    z = jnp.broadcast_to(z[:, None], (len(z), config.hyper_channels))
    bits = FactorizedPrior(config.hyper_channels).apply({"params": variables}, z)
    probabilities = np.exp2(-np.asarray(bits, np.float64)).T
    pmfs, offsets = [], []
    for p in probabilities:
        below = np.cumsum(p) <= PRIOR_TAIL / 2
        above = np.cumsum(p[::-1])[::-1] <= PRIOR_TAIL / 2
        pmfs.append(p[~(below | above)])
        offsets.append(int(below.sum()) - PRIOR_REACH)
    return cdf_tables.tables_from_pmfs(pmfs, offsets)


def _float_twin(layers: FixedPointLayers) -> Params:
    """Float parameters equal to the integers, so that training can go on from an export."""
    params = {}
    for name, conv in layers.convs.items():
        kernel, bias = dequantize_conv(conv)
        params[f"{CODED_LAYERS}{name}/kernel"] = kernel
        params[f"{CODED_LAYERS}{name}/bias"] = bias
    return params


def _rounded(value: np.ndarray) -> np.ndarray:
    return value if value.size < SMALL else value.astype(np.float16).astype(np.float32)


def save(model: ExportedModel, directory: Path) -> None:
    """Writes the folder; raises FileExistsError if it exists and is not empty."""
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(
            f"{directory} is not empty; an exported model needs a folder of its own."
        )
    directory.mkdir(parents=True, exist_ok=True)
    weights = {
        path: value if value.size < SMALL else value.astype(np.float16)
        for path, value in model.params.items()
        if not path.startswith(CODED_LAYERS)
    }
    np.savez_compressed(directory / "weights.npz", **weights)
    np.savez_compressed(directory / "coding.npz", **model.coder.to_arrays())
    description = {
        "format": FORMAT,
        "name": model.name,
        "fingerprint": f"{model.coder.fingerprint:08x}",
        "config": to_dict(model.config),
        "card": model.card,
    }
    (directory / "model.json").write_text(json.dumps(description, indent=1) + "\n")


def load(directory: Path) -> ExportedModel:
    """Reads a folder that `save` wrote.

    Raises ModelError, with the reason, for a missing or damaged file, another format, a coding
    part that is not the one that `model.json` names, and weights of another configuration.
    """
    try:
        description = json.loads((directory / "model.json").read_text())
        if description["format"] != FORMAT:
            raise ModelError(f"{directory} has format {description['format']}, not {FORMAT}.")
        name, card = description["name"], description["card"]
        fingerprint = description["fingerprint"]
        config = from_mapping(ModelConfig, description["config"])
        coder = LatentCoder.from_arrays(_read_arrays(directory / "coding.npz"))
        weights = _read_arrays(directory / "weights.npz")
        params = {path: value.astype(np.float32) for path, value in weights.items()}
    except ModelError:
        raise
    except _DAMAGED as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ModelError(f"{directory} is not a readable exported model: {reason}") from error
    if f"{coder.fingerprint:08x}" != fingerprint:
        raise ModelError(
            f"{directory}/coding.npz has fingerprint {coder.fingerprint:08x}, but model.json says"
            f" {fingerprint}: the files do not belong together."
        )
    params |= _float_twin(coder.layers)
    _check_shapes(params, config, directory)
    return ExportedModel(name, config, params, coder, card)


def _read_arrays(file: Path) -> Params:
    # np.load would leave a file that it opened itself open, if it is damaged.
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)


def _check_shapes(params: Params, config: ModelConfig, directory: Path) -> None:
    """Raises ModelError unless `params` are, in name and shape, those of a model of `config`."""
    expected = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
    shapes = {path: value.shape for path, value in expected.items()}
    found = {path: value.shape for path, value in params.items()}
    for path in sorted(shapes.keys() | found.keys()):
        if shapes.get(path) != found.get(path):
            raise ModelError(
                f"{directory}: parameter {path} has shape {found.get(path)}, but a model of this"
                f" configuration has {shapes.get(path)}."
            )
