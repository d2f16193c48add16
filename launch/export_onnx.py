"""The decoder as ONNX: python launch/export_onnx.py MODEL OUT.onnx [--tile=256] [--steps=N]

Context decoder and all steps of sampling, with the parameters, for pictures of one size.
Needs jax2onnx and onnxruntime, which judges: a file whose results differ from JAX's by more than
1e-3 is not written. The exact part of decoding, from a `.dfc` file to y_hat, stays `diffcomp`'s.

Inputs, float32: y_hat [tile/16, tile/16, C], quality [1], realism [1], x_T [tile, tile, 3] (gamma
times standard normal noise; zeros at gamma 0). Output: x_hat [tile, tile, 3] in [-1, 1].
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from absl import logging as absl_logging
from jax import Array

from diffcomp import network_programs
from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE
from diffcomp.coding.quality import DEFAULT_QUALITY
from diffcomp.diffusion.sampler import levels_of_steps
from diffcomp.export import exported_model
from diffcomp.export.exported_model import ExportedModel
from diffcomp.export.shipped_models import model_folder
from diffcomp.exported_programs.manifest import is_tile
from diffcomp.files.atomic_file import check_target, write_bytes
from diffcomp.params import under

_TILE = flags.DEFINE_integer("tile", 256, "Side of the pictures, pixels, a multiple of 64.")
_STEPS = flags.DEFINE_integer("steps", None, "Calls of the score network (default: the model's).")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the file if it is there.")

BOUND = 1e-3  # of the picture, whose values go from -1 to 1
INPUTS, OUTPUTS = ["y_hat", "quality", "realism", "x_T"], ["x_hat"]


def decoder(model: ExportedModel, steps: int) -> Callable[..., Array]:
    """(y_hat, quality [1], realism [1], x_T) -> x_hat, with the model's parameters as constants."""
    prefixes = model.architecture.decode_params
    weights = model.weights.items()
    params = {path: jnp.asarray(value) for path, value in weights if under(path, prefixes)}
    grid = model.architecture.sample_grid(model.config, steps)
    levels = levels_of_steps(grid)

    def decode(y_hat: Array, quality: Array, realism: Array, x_T: Array) -> Array:
        maps = network_programs.context(model.config, params, y_hat, quality[0])
        knobs, no_noise = (quality[0], realism[0], jnp.float32(0)), jnp.zeros_like(x_T)
        x_t = x_T
        for level in levels:
            given = params, x_t, maps, level, knobs, no_noise
            x_t = network_programs.denoise_step(model.config, *given)
        return x_t

    return decode


def convert(model: ExportedModel, tile: int, steps: int) -> tuple[bytes, float]:
    """The file, and its largest error against JAX on random latents.

    Raises ValueError if that is beyond the bound, ImportError without jax2onnx and onnxruntime.
    """
    import onnxruntime
    from jax2onnx import to_onnx

    decode = decoder(model, steps)
    rng, rows = np.random.default_rng(0), tile // Y_STRIDE
    y_hat = np.rint(2 * rng.normal(size=(rows, rows, model.config.latent_channels)))
    knobs = ([DEFAULT_QUALITY], [0.5])
    x_T = rng.normal(size=(tile, tile, 3))
    values = [np.asarray(value, np.float32) for value in (y_hat, *knobs, x_T)]
    forms = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values]
    made = to_onnx(decode, forms, model_name=model.name, input_names=INPUTS, output_names=OUTPUTS)
    data = made.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not of shapes [1] and [], which it takes for one another
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    # An input that the model does not listen to, such as the quality of one rate, is left out.
    known = {each.name for each in session.get_inputs()}
    given = {name: value for name, value in zip(INPUTS, values, strict=True) if name in known}
    (found,) = session.run(OUTPUTS, given)
    error = float(np.abs(found - np.asarray(jax.jit(decode)(*values))).max())
    if not error <= BOUND:
        raise ValueError(f"the largest error is {error:.3g}, beyond {BOUND}; nothing is written.")
    return data, error


def main(argv: list[str]) -> None:
    if len(argv) != 3:
        raise app.UsageError("Give the model and the file to write.")
    absl_logging.set_verbosity(absl_logging.WARNING)
    try:
        if not is_tile(_TILE.value):
            raise ValueError(f"--tile is {_TILE.value}; it must be a multiple of {Z_STRIDE}.")
        check_target(argv[2], _OVERWRITE.value)  # before long work
        model = exported_model.load(model_folder(argv[1]))
        steps = model.decode.steps if _STEPS.value is None else _STEPS.value
        data, error = convert(model, _TILE.value, steps)
        write_bytes(Path(argv[2]), data, _OVERWRITE.value)
    except (ValueError, OSError) as error:
        raise SystemExit(f"export_onnx: {error}") from error
    except ImportError as error:
        raise SystemExit(
            f"export_onnx: {error}; install it with: pip install jax2onnx onnxruntime"
        ) from error
    print(f"{argv[2]}: {len(data)} bytes, largest error against JAX {error:.2g}")


if __name__ == "__main__":
    app.run(main)
