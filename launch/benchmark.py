"""Where the time goes: python launch/benchmark.py --config=FILE [--part=train|decode]

--part=train takes a step of training apart (the last stage's, or that of --stage): the share of
each part and its arithmetic against a plain 3x3 convolution's on the same machine. --part=decode
does so for the programs of the codec, and prints the peak of memory so far. On a machine that does
other work too, --clock=cpu compares processor times.
"""

import contextlib
import dataclasses
import itertools
import math
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags
from PIL import Image

from diffcomp import config_command
from diffcomp.architectures.parameters import init_params, param_shapes
from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.config import from_mapping
from diffcomp.data.config import DataConfig
from diffcomp.data.crop_slots import CropSlots
from diffcomp.data.input_pipeline import CropDataset
from diffcomp.params import Params, variables_of
from diffcomp.profiling.step_parts import filled, training_parts
from diffcomp.profiling.stopwatch import CLOCKS, Timing, measure, measure_jitted, plain_convolution
from diffcomp.training import sharding
from diffcomp.training.config import Config, StageConfig
from diffcomp.training.train_state import start_stage_on
from diffcomp.training.train_step import make_train_step

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_PART = flags.DEFINE_enum("part", "train", ["train", "decode"], "What is measured.")
_STAGE = flags.DEFINE_string("stage", None, "Stage of training, or 'all' (default: the last).")
_SIDE = flags.DEFINE_list("side", None, "Crop in pixels; for decode sizes as WIDTHxHEIGHT.")
_BATCH = flags.DEFINE_integer("batch", None, "Crops per step (default: the stage's).", 1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Calls of which the fastest counts.", 1)
_CLOCK = flags.DEFINE_enum("clock", "wall", list(CLOCKS), "Time that passes, or that we compute.")
_DECODE_SIZES = ("256x256", "768x512")


def benchmark_training(config: Config, index: int) -> None:
    """Prints the table of one stage."""
    stage, options = config.stages[index], _options()
    params = jax.jit(init_params, static_argnums=0)(config.model, jax.random.key(0))
    plain = plain_convolution(backward=True, **options)
    timings = {}
    for part in training_parts(config, stage, params):
        timings[part.name] = measure_jitted(part.function, filled(part.args), **options)
    with _dataset(config.data, stage) as dataset:
        steps = itertools.count()
        timings["data"] = measure(lambda: dataset[next(steps)], **options)
    macs = sum(timing.macs for timing in timings.values())
    # Threads make the next batches while a step runs, so the whole step is without them.
    computing = sum(timing.seconds for name, timing in timings.items() if name != "data")
    whole = measure(_train_step(config, index, params), macs=macs, **options)
    plain = min(plain, plain_convolution(backward=True, **options))  # before and after

    pixels = stage.batch * stage.crop**2
    print(f"stage {stage.name}: {stage.batch} x {stage.crop} x {stage.crop} pixels a step")
    _print_table(timings, plain)
    _print_row("whole step", whole, None, plain)
    ratio, speed = whole.seconds / computing, pixels / whole.seconds
    print(f"the whole step, without data, is {ratio:.2f} of its parts; {speed:.0f} pixels/s")
    _print_machine(plain)


def _train_step(config: Config, index: int, params: Params) -> Callable[[], Any]:
    """A function that takes one step more of training at each call."""
    stage, mesh = config.stages[index], sharding.make_mesh(config.mesh)
    step_fn = make_train_step(config, stage, index, mesh)
    # The state is donated at each call, so it must not share what the parts were given.
    state = start_stage_on(mesh, config, stage, jax.tree.map(jnp.copy, params))
    shape = (stage.batch, stage.crop, stage.crop, 3)
    batch = sharding.global_batch(mesh, np.random.default_rng(0).integers(0, 256, shape, np.uint8))

    def step() -> Any:
        nonlocal state
        state, metrics = step_fn(state, batch)
        return state, metrics

    return step


@contextlib.contextmanager
def _dataset(data: DataConfig, stage: StageConfig) -> Iterator[CropDataset]:
    """The config's pictures, or a few of noise if it names none."""
    with tempfile.TemporaryDirectory() as folder:
        if not data.train:
            rng = np.random.default_rng(0)
            for i in range(4):
                pixels = rng.integers(0, 256, (256, 384, 3), np.uint8)
                Image.fromarray(pixels).save(Path(folder) / f"{i}.png")
            data = dataclasses.replace(data, train=f"folder:{folder}", crops_per_megapixel=1.0)
        slots = CropSlots(data)
        yield CropDataset(slots, side=stage.crop, batch=stage.batch, seed=data.seed)


def benchmark_decoding(config: AnyModelConfig, width: int, height: int) -> None:
    """Prints the table of one image size: the programs that a codec runs, and peak memory."""
    model = architecture_of(config).network(config)
    options = _options()
    # Not `init_params`: that runs the model, and the peak of memory would be its own.
    params = jax.tree.map(lambda value: 0.1 * (value - 0.5), filled(param_shapes(config)))

    def call(method: str) -> Callable:
        return lambda params, *args: model.apply(variables_of(params), *args, method=method)

    def encode(params: Params, x: Any, quality: Any) -> Any:
        latents = call("encode")(params, x, quality)
        return latents, call("rate")(params, latents, quality)

    x = filled(jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32))
    one, half = jnp.ones(1), jnp.full(1, 0.5)
    y_hat = filled(jax.eval_shape(encode, params, x, one)[1].y_hat)
    context = filled(jax.eval_shape(call("decode_context"), params, y_hat, one))
    programs = {
        "encoder + hyper": (encode, x, one),
        "context decoder": (call("decode_context"), y_hat, one),
        "score network, a step": (call("denoise"), x, half, half, context, one, half),
    }
    timings = {
        name: measure_jitted(function, (params, *args), **options)
        for name, (function, *args) in programs.items()
    }
    plain = plain_convolution(backward=False, **options)
    print(f"{width}x{height} pixels")
    _print_table(timings, plain)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak resident memory so far {peak:.2f} GB")
    _print_machine(plain)


def _options() -> dict[str, Any]:
    return {"repeats": _REPEATS.value, "clock": _CLOCK.value}


def _print_table(timings: dict[str, Timing], plain: Timing) -> None:
    columns = ("seconds", "share", "GFLOP/s", "ratio", "compile s")
    print(f"{'':22s}" + "".join(f"{column:>11s}" for column in columns))
    total = sum(timing.seconds for timing in timings.values())
    for name, timing in timings.items():
        _print_row(name, timing, timing.seconds / total, plain)


def _print_row(name: str, timing: Timing, share: float | None, plain: Timing) -> None:
    row = f"{name:22s}{timing.seconds:11.4f}" + (f"{share:11.4f}" if share else f"{'-':>11s}")
    ratio = timing.gflops / plain.gflops
    speed = f"{timing.gflops:11.1f}{ratio:11.2f}" if timing.macs else f"{'-':>11s}" * 2
    print(f"{row}{speed}{timing.compile_seconds:11.1f}")


def _print_machine(plain: Timing) -> None:
    load = os.getloadavg()[0]
    print(
        f"ratio 1 is a plain 3x3 convolution's {plain.gflops:.1f} GFLOP/s; {_CLOCK.value} clock,"
        f" {os.cpu_count()} cores, load {load:.1f}\n",
        flush=True,
    )


def _sides(text: str, count: int) -> list[int]:
    """ "64" -> [64], "128x64" -> [128, 64]; raises UsageError unless `count` multiples of 64."""
    sides = [int(side) if side.isdecimal() else 0 for side in text.split("x")]
    if len(sides) != count or any(side < 1 or side % 64 for side in sides):
        form = "WIDTHxHEIGHT" if count == 2 else "a single number"
        raise app.UsageError(f"side is {text!r}; it must be {form}, in multiples of 64 pixels.")
    return sides


def _overridden(config: Config) -> Config:
    """The config with the batch and the crop of the flags, in every stage."""
    changes = {}
    if _SIDE.value:
        (changes["crop"],) = _sides(",".join(_SIDE.value), 1)
    if _BATCH.value:
        changes["batch"] = _BATCH.value
    stages = tuple(dataclasses.replace(stage, **changes) for stage in config.stages)
    return dataclasses.replace(config, stages=stages)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    absl_logging.set_verbosity(absl_logging.WARNING)
    config = from_mapping(Config, _CONFIG.value)
    if _PART.value == "decode":
        sizes = [_sides(size, 2) for size in _SIDE.value or _DECODE_SIZES]
        for width, height in sorted(sizes, key=math.prod):  # memory is the peak so far
            benchmark_decoding(config.model, width, height)
        return
    config = _overridden(config)
    names = [stage.name for stage in config.stages]
    wanted = _STAGE.value or names[-1]
    if wanted not in ("all", *names):
        raise app.UsageError(f"stage is {wanted!r}; it must be 'all' or one of {', '.join(names)}.")
    for index, name in enumerate(names):
        if wanted in ("all", name):
            benchmark_training(config, index)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    config_command.run(main)
