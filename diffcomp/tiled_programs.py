"""What `codec_programs` computes of a picture at once, tile by tile: see `tiling`.

The picture's sides are rounded up to multiples of 64, its last row and column repeated. Within
float32's rounding the results are those of the same picture at once.
"""

import functools
from collections.abc import Sequence

import numpy as np

from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.codec_programs import program
from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE, positions, whole_blocks
from diffcomp.decode_settings import DecodeSettings
from diffcomp.diffusion.sampler import levels_of_steps
from diffcomp.params import Params
from diffcomp.tiling import Compute, Drawn, Map, Progress, Source, Span, Stage, compute_maps


def encode_latents(
    config: AnyModelConfig,
    params: Params,
    image: np.ndarray,
    quality: float,
    channels: tuple[int, int],
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3] -> y [ceil(H/16), ceil(W/16), C], z [ceil(H/64), ceil(W/64), D].

    channels: C and D.
    """
    height, width = image.shape[:2]
    outputs = {
        name: np.empty((positions(height, stride), positions(width, stride), count), np.float32)
        for name, stride, count in zip("yz", (Y_STRIDE, Z_STRIDE), channels, strict=True)
    }

    def compute(stage: Stage, origin: tuple[int, int], windows: Sequence[np.ndarray]) -> np.ndarray:
        run = program(stage.program, config, _forms(windows), name=stage.name)
        return np.asarray(run(params, np.float32(quality), *windows))

    stages = architecture_of(config).encode_stages(config)
    size = whole_blocks(height), whole_blocks(width)
    compute_maps(stages, {"x": Source(image, 1)}, outputs, size, compute, progress)
    return outputs["y"], outputs["z"]


def synthesize(
    config: AnyModelConfig,
    params: Params,
    y_hat: np.ndarray,
    size: tuple[int, int],
    quality: float,
    settings: DecodeSettings,
    progress: Progress | None = None,
) -> np.ndarray:
    """y_hat [ceil(H/16), ceil(W/16), C] and size (H, W) -> uint8 [H, W, 3].

    Each step computes the context anew, since its maps are too large to be kept. Between two steps
    the whole of x_t is in memory.
    """
    padded = whole_blocks(size[0]), whole_blocks(size[1])
    architecture, steps = architecture_of(config), settings.steps
    assert steps is not None  # see `codec_programs.synthesize`
    grid = architecture.sample_grid(config, steps)
    sources: dict[str, Map] = {"y_hat": Source(y_hat, Y_STRIDE), "x_t": _x_T(config, settings)}
    x_hat = np.empty((*size, 3), np.uint8)
    x_t = np.empty((*padded, 3), np.float32) if steps > 1 else x_hat
    for i, level in enumerate(levels_of_steps(grid)):
        result, output = ("x_next", x_t) if i < steps - 1 else ("x_hat", x_hat)
        stages = architecture.decode_stages(config, result)
        compute = _decoder(config, params, (i, *level), quality, settings)
        told = functools.partial(tell, progress, i, steps)
        compute_maps(stages, sources, {result: output}, padded, compute, told)
        sources["x_t"] = Source(x_t, 1)  # which the next step overwrites as it goes
    return x_hat


def _decoder(
    config: AnyModelConfig,
    params: Params,
    level: tuple[float, ...],
    quality: float,
    settings: DecodeSettings,
) -> Compute:
    """What computes a window in one step of sampling; level: step, t, alpha_bar and the next."""
    values = (np.int32(level[0]), *map(np.float32, level[1:]))
    seed = np.uint32(settings.seed)
    knobs = (*map(np.float32, (quality, settings.eta, settings.realism)), seed)

    def compute(stage: Stage, origin: tuple[int, int], windows: Sequence[np.ndarray]) -> np.ndarray:
        static = {"name": stage.name, "compute_dtype": settings.compute_dtype}
        run = program(stage.program, config, _forms(windows), **static)
        if stage.program == "context_stage":
            return np.asarray(run(params, knobs[0], *windows))
        return np.asarray(run(params, values, knobs, np.array(origin, np.int32), *windows))

    return compute


def _x_T(config: AnyModelConfig, settings: DecodeSettings) -> Map:
    """Where sampling starts from: noise of deviation gamma."""

    def draw(rows: Span, columns: Span) -> np.ndarray:
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if settings.gamma == 0:
            return np.zeros((height, width, 3), np.float32)
        run = program("starting_noise", config, (height, width), height=height, width=width)
        origin = np.array([rows.start, columns.start], np.int32)
        return np.asarray(run(np.float32(settings.gamma), np.uint32(settings.seed), origin))

    return Drawn(draw)


def tell(progress: Progress | None, step: int, steps: int, done: int, total: int) -> None:
    """Tells of the tiles of all steps, of which each has as many."""
    if progress is not None:
        progress(step * total + done, steps * total)


def _forms(windows: Sequence[np.ndarray]) -> tuple[object, ...]:
    return tuple((window.shape, window.dtype.name) for window in windows)
