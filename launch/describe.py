"""Prints parameters and kMAC per pixel of a config: python launch/describe.py --config=FILE"""

import collections

import jax
import jax.numpy as jnp
from absl import app, flags
from ml_collections import config_flags

from diffcomp import config_command
from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.config import from_mapping
from diffcomp.params import variables_of
from diffcomp.profiling.complexity import count_macs
from diffcomp.training.config import Config

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_SIDE = 256  # pixels


def parameters(config: AnyModelConfig) -> dict[str, int]:
    """Parameters of each part, by the first two names of their path."""
    counts = collections.Counter()
    for path, value in param_shapes(config).items():
        counts["/".join(path.split("/")[:2])] += value.size
    return dict(counts)


def kmacs_per_pixel(config: AnyModelConfig) -> dict[str, float]:
    """Thousand multiply-accumulates per pixel of the encoder, hyper synthesis, and decoder."""
    model, params = architecture_of(config).network(config), param_shapes(config)
    x = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
    one = jax.ShapeDtypeStruct((1,), jnp.float32)

    def apply(method: str):  # noqa: ANN202
        return lambda params, *args: model.apply(variables_of(params), *args, method=method)

    latents = jax.eval_shape(apply("encode"), params, x, one)
    context = jax.eval_shape(apply("decode_context"), params, latents.y, one)
    calls = {
        "encoder": ("encode", x, one),
        "hyper synthesis": ("rate", latents, one),
        "context decoder": ("decode_context", latents.y, one),
        "score network, a step": ("denoise", x, one, one, context, one, one),
    }
    return {
        name: count_macs(apply(method), params, *args) / _SIDE**2 / 1e3
        for name, (method, *args) in calls.items()
    }


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    config = from_mapping(Config, _CONFIG.value).model
    counts = parameters(config)
    for part, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:12,d}  {part}")
    print(f"{sum(counts.values()):12,d}  parameters in all")
    for name, kmacs in kmacs_per_pixel(config).items():
        print(f"{kmacs:12.1f}  kMAC/pixel, {name}")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    config_command.run(main)
