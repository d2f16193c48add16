"""Large pictures by exported programs, in windows of any size: see `tiling`.

There are no programs of single stages as `networks.stages` has them, so a window is as wide as the
whole encoder, context decoder or score network sees beyond what is kept of it. Within float32's
rounding the results are those of the whole picture.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jax import Array

from diffcomp.architectures.architecture import Architecture
from diffcomp.architectures.registry import AnyModelConfig
from diffcomp.coding.grid import Y_STRIDE, Z_PER_Y, Z_STRIDE, positions, whole_blocks
from diffcomp.coding.space_to_depth import depth_to_space, space_to_depth
from diffcomp.tiling import Map, Progress, Source, Stage, compute_maps

SIDE = 1088  # of the largest window, pixels

Encode = Callable[[np.ndarray], tuple[Array, Array]]
Context = Callable[[np.ndarray], tuple[Array, ...]]
# (x_t, maps of the context, row and column of the window) -> the next x_t
Denoise = Callable[[np.ndarray, tuple[np.ndarray, ...], tuple[int, int]], Array]


def encode(
    architecture: Architecture,
    config: AnyModelConfig,
    image: np.ndarray,
    channels: tuple[int, int],
    run: Encode,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3] -> y [4 ceil(H/64), 4 ceil(W/64), C], z [ceil(H/64), ceil(W/64), D].

    channels: C and D. `run` is given windows with sides that are multiples of 64.
    """
    sight = sum(stage.sight for stage in architecture.encode_stages(config))
    stage = _stage("yz", ("x",), Z_STRIDE, sight)
    height, width = image.shape[:2]
    blocks = positions(height, Z_STRIDE), positions(width, Z_STRIDE)
    both = np.empty((*blocks, Z_PER_Y**2 * channels[0] + channels[1]), np.float32)

    def compute(stage: Stage, origin: tuple[int, int], windows: Sequence[np.ndarray]) -> np.ndarray:
        y, z = map(np.asarray, run(*windows))
        return np.concatenate([space_to_depth(y[None], Z_PER_Y)[0], z], axis=-1)

    size = whole_blocks(height), whole_blocks(width)
    compute_maps((stage,), {"x": Source(image, 1)}, {"yz": both}, size, compute, progress)
    y, z = np.split(both, [both.shape[-1] - channels[1]], axis=-1)
    return depth_to_space(y[None], Z_PER_Y)[0], z


def denoise(
    architecture: Architecture,
    config: AnyModelConfig,
    y_hat: np.ndarray,
    x_t: Map,
    size: tuple[int, int],
    context: Context,
    step: Denoise,
    progress: Progress | None = None,
) -> np.ndarray:
    """One step from x_t to the next, float32 [*size, 3]; size: (H, W), multiples of 64.

    The context is computed anew, since its maps are too large to be kept.
    """
    stages = architecture.decode_stages(config, "x_next")
    sights = {
        program: sum(stage.sight for stage in stages if stage.program == program)
        for program in ("context_stage", "score_stage")
    }
    maps = _PackedMaps()

    def compute(stage: Stage, origin: tuple[int, int], windows: Sequence[np.ndarray]) -> np.ndarray:
        if stage.name == "context":
            return maps.pack(context(*windows))
        return np.asarray(step(windows[0], maps.unpack(windows[1]), origin))

    wanted = (
        _stage("context", ("y_hat",), Y_STRIDE, sights["context_stage"]),
        _stage("x_next", ("x_t", "context"), 1, sights["score_stage"]),
    )
    x_next = np.empty((*size, 3), np.float32)
    sources = {"y_hat": Source(y_hat, Y_STRIDE), "x_t": x_t}
    compute_maps(wanted, sources, {"x_next": x_next}, size, compute, progress)
    return x_next


def _stage(name: str, inputs: tuple[str, ...], stride: int, sight: int) -> Stage:
    return Stage(name, inputs, name, stride, sight, width=SIDE, length=SIDE, grain=Z_STRIDE)


class _PackedMaps:
    """The maps of a context as one, of stride Y_STRIDE, and back."""

    def __init__(self) -> None:
        self._forms: list[tuple[int, int]] = []  # block and packed channels of each map

    def pack(self, maps: Sequence[Array]) -> np.ndarray:
        """[1, H/s, W/s, C] of several strides s -> [H/16, W/16, channels of all]."""
        rows = min(each.shape[1] for each in maps)
        packed = [space_to_depth(np.asarray(each), each.shape[1] // rows) for each in maps]
        self._forms = [
            (each.shape[1] // rows, block.shape[-1])
            for each, block in zip(maps, packed, strict=True)
        ]
        return np.concatenate(packed, axis=-1)[0]

    def unpack(self, packed: np.ndarray) -> tuple[np.ndarray, ...]:
        ends = np.cumsum([channels for _, channels in self._forms])[:-1]
        parts = np.split(packed[None], ends, axis=-1)
        return tuple(
            depth_to_space(part, block) for part, (block, _) in zip(parts, self._forms, strict=True)
        )
