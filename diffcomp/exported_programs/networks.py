"""What a codec computes in floats, by exported programs in place of the networks' own code."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp.codec_networks import CodecNetworks
from diffcomp.coding.grid import Y_STRIDE
from diffcomp.decode_settings import DecodeSettings
from diffcomp.diffusion import noise
from diffcomp.diffusion.sampler import next_levels
from diffcomp.export.exported_model import ExportedModel
from diffcomp.exported_programs.program_set import ProgramSet
from diffcomp.pixels import to_uint8
from diffcomp.tiling import Progress

Level = tuple[np.float32, np.float32, np.float32]  # t, alpha_bar and the next alpha_bar


class ProgramNetworks(CodecNetworks):
    """The networks of one exported model, as the programs beside it.

    With programs of any size a picture is padded as `CodecNetworks` pads it, so that y and z, and
    with them the bits, are those that the networks give. Without, it is padded to a tile.
    """

    def __init__(self, model: ExportedModel, programs: ProgramSet):
        super().__init__(model)
        self.programs = programs

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        if self.programs.any_size:
            return super().padded_size(height, width)
        fitting = [tile for tile in self.programs.manifest.tiles if tile >= max(height, width)]
        if not fitting:
            raise ValueError(
                f"the image is too large for the programs of model {self.model.name!r}: it is"
                f" {width} x {height}, and the largest tile {self._largest} x {self._largest}."
            )
        return min(fitting), min(fitting)

    def in_tiles(self, height: int, width: int) -> bool:
        if self.programs.any_size:
            return super().in_tiles(height, width)
        self.padded_size(height, width)  # raises if it does not fit
        return False

    @property
    def _largest(self) -> int:
        return max(self.programs.manifest.tiles)

    def _encode_whole(self, image: np.ndarray, quality: float) -> tuple[Array, Array]:
        size = image.shape[:2]
        return self.programs.run("encode", size, self.encode_params, image, np.float32(quality))

    def _synthesize_whole(
        self, y_hat: np.ndarray, quality: float, settings: DecodeSettings
    ) -> np.ndarray:
        height, width = (Y_STRIDE * side for side in y_hat.shape[:2])
        maps = self.context(y_hat, quality)
        origin = jnp.zeros(2, jnp.int32)
        x_t: Any = np.zeros((height, width, 3), np.float32)
        if settings.gamma:
            drawn = noise.starting_noise(np.uint32(settings.seed), origin, height, width)[0]
            x_t = np.float32(settings.gamma) * drawn
        for i, level in enumerate(self.levels(settings)):
            fresh: Any = np.zeros((height, width, 3), np.float32)
            if settings.eta:
                seed, step = np.uint32(settings.seed), np.int32(i)
                fresh = noise.fresh_noise(seed, step, origin, height, width)[0]
            x_t = self.denoise_step(x_t, maps, level, quality, settings, fresh)
        return np.array(to_uint8(x_t))  # a copy: JAX's own array cannot be written to

    def context(self, y_hat: np.ndarray, quality: float) -> tuple[Array, ...]:
        """y_hat [H/16, W/16, C], of a size that there are programs for -> maps, each [1, ...]."""
        height, width = (Y_STRIDE * side for side in y_hat.shape[:2])
        args = self.decode_params, y_hat, np.float32(quality)
        return self.programs.run("context", (height, width), *args)

    def denoise_step(
        self,
        x_t: Any,
        maps: tuple[Array, ...],
        level: Level,
        quality: float,
        settings: DecodeSettings,
        fresh: Any,
    ) -> Array:
        """x_t [H, W, 3], the maps of `context` and fresh noise [H, W, 3] -> the next x_t."""
        knobs = tuple(map(np.float32, (quality, settings.realism, settings.eta)))
        args = self.decode_params, x_t, tuple(maps), level, knobs, fresh
        return self.programs.run("denoise_step", x_t.shape[:2], *args)

    def levels(self, settings: DecodeSettings) -> Iterator[Level]:
        """The noise levels that a decode visits. Raises ValueError for bfloat16."""
        if settings.compute_dtype != "float32":
            raise ValueError(
                f"compute_dtype is {settings.compute_dtype!r}; exported programs compute in float32"
                " only."
            )
        grid = self.model.architecture.sample_grid(self.model.config, settings.steps)
        values = map(np.asarray, (grid.t, grid.alpha_bar, next_levels(grid)))
        return zip(*values, strict=True)

    def refine(
        self, image: np.ndarray, y: np.ndarray, z: np.ndarray, code: int, effort: int
    ) -> np.ndarray:
        """Raises ValueError: latents are fitted by gradients, which the programs do not have."""
        raise ValueError(f"effort is {effort}; exported programs take effort 0 only.")

    def estimate_bits(self, image: np.ndarray, code: int) -> float:
        """Raises ValueError: there is no program of the float entropy model."""
        raise ValueError("exported programs do not estimate bits; compress and count them.")
