"""y_hat to the picture by exported programs: context, then denoise steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp.coding.grid import Y_STRIDE, whole_blocks
from diffcomp.decode_settings import DecodeSettings
from diffcomp.diffusion import noise
from diffcomp.diffusion.sampler import levels_of_steps
from diffcomp.export.exported_model import ExportedModel
from diffcomp.exported_programs import tiles
from diffcomp.exported_programs.program_set import ProgramSet
from diffcomp.params import Params
from diffcomp.pixels import to_uint8
from diffcomp.tiled_programs import tell
from diffcomp.tiling import Drawn, Map, Progress, Source, Span

Size = tuple[int, int]  # rows and columns, pixels


class Sampling:
    """How one file is decoded; `settings` have no None, see `DecodeSettings.filled`.

    params: those under the architecture's `decode_params`. Raises ValueError for bfloat16, and for
    more steps than the model has.
    """

    def __init__(
        self,
        model: ExportedModel,
        programs: ProgramSet,
        params: Params,
        quality: float,
        settings: DecodeSettings,
    ):
        if settings.compute_dtype != "float32":
            raise ValueError(
                f"compute_dtype is {settings.compute_dtype!r}; exported programs compute in float32"
                " only."
            )
        self._model, self._programs, self._params = model, programs, params
        self._quality, self._settings = np.float32(quality), settings
        grid = model.architecture.sample_grid(model.config, settings.steps)
        self.levels = levels_of_steps(grid)

    def whole(self, y_hat: np.ndarray) -> np.ndarray:
        """y_hat [H/16, W/16, C] -> uint8 [H, W, 3], of a size that there are programs for."""
        x_t = self.starting_noise((0, 0), _size(y_hat))
        maps = self.context(y_hat)
        for i in range(len(self.levels)):
            x_t = self.step(i, x_t, maps)
        return np.array(to_uint8(jnp.asarray(x_t)))  # a copy: JAX's own cannot be written to

    def in_tiles(self, y_hat: np.ndarray, size: Size, progress: Progress | None) -> np.ndarray:
        """y_hat [ceil(H/16), ceil(W/16), C] and size (H, W) -> uint8 [H, W, 3].

        Beside y_hat and the picture, x_t and the next one are in memory, 24 bytes a pixel.
        """
        x_t: Map = Drawn(self._starting_window)
        model, padded = self._model, (whole_blocks(size[0]), whole_blocks(size[1]))
        for i in range(len(self.levels)):
            step = functools.partial(self.step, i)
            told = functools.partial(tell, progress, i, len(self.levels))
            run = y_hat, x_t, padded, self.context, step, told
            x_next = tiles.denoise(model.architecture, model.config, *run)
            x_t = Source(x_next, 1)
        x_hat = np.empty((*size, 3), np.uint8)
        for row, values in zip(x_hat, x_next, strict=False):  # no third array of this size
            row[:] = to_uint8(jnp.asarray(values[: size[1]]))
        return x_hat

    def context(self, y_hat: np.ndarray) -> tuple[Array, ...]:
        """y_hat [H/16, W/16, C] -> the maps that `step` takes, each [1, ...]."""
        return self._programs.run("context", _size(y_hat), self._params, y_hat, self._quality)

    def step(
        self,
        i: int,
        x_t: np.ndarray | Array,
        maps: tuple[np.ndarray | Array, ...],
        origin: Size = (0, 0),
    ) -> Array:
        """x_t [H, W, 3] of step i and the maps of its pixels, from `origin` on -> the next x_t."""
        size = x_t.shape[0], x_t.shape[1]
        fresh = self.fresh_noise(i, origin, size)
        eta, realism = self._settings.eta, self._settings.realism
        knobs = self._quality, np.float32(realism), np.float32(eta)
        args = self._params, x_t, tuple(maps), self.levels[i], knobs, fresh
        return self._programs.run("denoise_step", size, *args)

    def starting_noise(self, origin: Size, size: Size) -> np.ndarray | Array:
        """x_T, float32 [*size, 3]."""
        if not self._settings.gamma:
            return np.zeros((*size, 3), np.float32)
        drawn = _starting_noise(np.uint32(self._settings.seed), np.array(origin, np.int32), *size)
        return np.float32(self._settings.gamma) * drawn[0]

    def _starting_window(self, rows: Span, columns: Span) -> np.ndarray:
        size = rows.stop - rows.start, columns.stop - columns.start
        return np.asarray(self.starting_noise((rows.start, columns.start), size))

    def fresh_noise(self, i: int, origin: Size, size: Size) -> np.ndarray | Array:
        """What step i adds, before it is scaled, float32 [*size, 3]; zeros at eta 0."""
        if not self._settings.eta:
            return np.zeros((*size, 3), np.float32)
        seed, where = np.uint32(self._settings.seed), np.array(origin, np.int32)
        return _fresh_noise(seed, np.int32(i), where, *size)[0]


# Compiled once a size: drawn operation by operation they would take longer than a step.
_starting_noise = jax.jit(noise.starting_noise, static_argnums=(2, 3))
_fresh_noise = jax.jit(noise.fresh_noise, static_argnums=(3, 4))


def _size(y_hat: np.ndarray) -> Size:
    return Y_STRIDE * y_hat.shape[0], Y_STRIDE * y_hat.shape[1]
