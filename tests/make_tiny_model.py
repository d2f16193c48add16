"""Makes the golden files of the tiny model: run by UPDATE_GOLDEN=1 pytest tests/test_codec.py

The linear path is a real one, the principal components of a photograph; every other parameter is
drawn at random, those that start at zero included, so that no branch is idle: means, scales and
steps differ from element to element, and some symbols fall outside of their tables.
"""

import dataclasses
import json
import runpy
import shutil

import jax
import numpy as np
import skimage.data
import tiny_model

from diffcomp.architectures.parameters import init_params
from diffcomp.codec import load
from diffcomp.config import from_mapping
from diffcomp.decode_settings import DecodeConfig
from diffcomp.export import exported_model
from diffcomp.export.exported_model import ExportedModel
from diffcomp.networks.parts import BY_PASS, BY_QUALITY, CODED_LAYERS
from diffcomp.objectives import karhunen_loeve
from diffcomp.training.config import Config

SEED = 20240229
CONFIG = tiny_model.GOLDEN.parents[1] / "configs" / "base.py"


def patches() -> list[np.ndarray]:
    """Two tilings of a photograph by 16x16 patches: floats [1, H, W, 3] in [-1, 1]."""
    x = skimage.data.astronaut()[None].astype(np.float32) / 127.5 - 1
    return [x, x[:, 8:-8, 8:-8]]


def make_model() -> ExportedModel:
    config = from_mapping(Config, runpy.run_path(str(CONFIG))["get_config"]("smoke"))
    small = dict(
        latent_channels=16,
        group_starts=(0, 3, 7),
        group_passes=(4, 2, 2),
        coding_width=12,
        widths=(4, 8, 8),
    )
    model = dataclasses.replace(config.model, **small)
    rng = np.random.default_rng(SEED)
    params = init_params(model, jax.random.key(SEED))
    params = {path: np.array(value) for path, value in sorted(params.items())}
    for value in params.values():
        if not value.any():
            value += rng.normal(0, 0.02, value.shape)
    mean, covariance = karhunen_loeve.patch_covariance(patches())
    params |= karhunen_loeve.linear_codec(mean, covariance, model, config.loss)
    params["hyperprior/log2_gain"] += rng.normal(0.5, 0.2, model.latent_channels)
    # z of several steps, so that it has something to say, and parameters of y that heed it.
    params["hyperprior/hyper_analysis/head/kernel"] *= 60
    for g in range(len(model.groups)):
        deviations = {f"head_{g}": 0.04, f"refine_{g}": 0.08, f"step_{g}": 0.08}
        for name, deviation in deviations.items():
            kernel, bias = (params[f"{CODED_LAYERS}{name}/{part}"] for part in ("kernel", "bias"))
            kernel += rng.normal(0, deviation, kernel.shape)
            bias += rng.normal(0, 0.3, bias.shape)
    for told in (BY_QUALITY, BY_PASS):
        params[told] += rng.normal(0, 0.3, params[told].shape)
    card, decode = {"made by": "tests/make_tiny_model.py"}, DecodeConfig(steps=2, gamma=0.0)
    return exported_model.export("tiny", model, params, card, decode)


def main() -> None:
    shutil.rmtree(tiny_model.MODEL, ignore_errors=True)
    exported_model.save(make_model(), tiny_model.MODEL)
    codec = load(tiny_model.MODEL)
    data = codec.compress(tiny_model.image(), tiny_model.QUALITY)
    tiny_model.FILE.write_bytes(data)
    digest = tiny_model.digest(codec, data)
    tiny_model.DIGEST.write_text(json.dumps(digest, indent=1) + "\n")
    print(f"{tiny_model.GOLDEN}: {digest}")


if __name__ == "__main__":
    main()
