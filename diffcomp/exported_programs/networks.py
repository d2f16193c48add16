"""What a codec computes in floats, by exported programs in place of the networks' own code."""

import numpy as np
from jax import Array

from diffcomp.codec_networks import CodecNetworks
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export.exported_model import ExportedModel
from diffcomp.exported_programs import tiles
from diffcomp.exported_programs.program_set import ProgramSet
from diffcomp.exported_programs.sampling import Sampling
from diffcomp.tiling import Progress


class ProgramNetworks(CodecNetworks):
    """The networks of one exported model, as the programs beside it.

    With programs of any size a picture is padded as `CodecNetworks` pads it, so that y and z, and
    with them the bits, are those that the networks give. Without, it is padded to a tile.
    """

    def __init__(self, model: ExportedModel, programs: ProgramSet):
        super().__init__(model)
        self.programs = programs

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """As that of `CodecNetworks`; ValueError for a picture larger than the largest tile."""
        if self.programs.any_size:
            return super().padded_size(height, width)
        known = self.programs.manifest.tiles
        side = min((tile for tile in known if tile >= max(height, width)), default=None)
        if side is None:
            raise ValueError(
                f"the image is too large for the programs of model {self.model.name!r}: it is"
                f" {width} x {height}, and the largest tile {max(known)} x {max(known)}."
            )
        return side, side

    def in_tiles(self, height: int, width: int) -> bool:
        """As that of `CodecNetworks`; raises as `padded_size` too."""
        if self.programs.any_size:
            return super().in_tiles(height, width)
        self.padded_size(height, width)
        return False

    @property
    def in_batches(self) -> bool:
        """Never: the programs take one picture."""
        return False

    def sampling(self, quality: float, settings: DecodeSettings) -> Sampling:
        """How a file of this quality is decoded; raises as `Sampling`."""
        return Sampling(self.model, self.programs, self.decode_params, quality, settings)

    def check_effort(self, effort: int) -> None:
        """Raises ValueError: latents are fitted by gradients, which the programs do not have."""
        super().check_effort(effort)
        if effort:
            raise ValueError(f"effort is {effort!r}; exported programs take effort 0 only.")

    def estimate_bits(self, image: np.ndarray, code: int) -> float:
        """Raises ValueError: there is no program of the float entropy model."""
        raise ValueError("exported programs do not estimate bits; compress and count them.")

    def _encode_whole(self, image: np.ndarray, quality: float) -> tuple[Array, Array]:
        size = image.shape[:2]
        return self.programs.run("encode", size, self.encode_params, image, np.float32(quality))

    def _encode_tiles(
        self, image: np.ndarray, code: int, quality: float, progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        coder, model = self.model.coder, self.model
        channels = len(coder.steps(code)), len(coder.z_tables)

        def run(window: np.ndarray) -> tuple[Array, Array]:
            return self._encode_whole(window, quality)

        described = model.architecture, model.config
        return tiles.encode(*described, image, channels, run, progress)

    def _synthesize_whole(
        self, y_hat: np.ndarray, quality: float, settings: DecodeSettings
    ) -> np.ndarray:
        return self.sampling(quality, settings).whole(y_hat)

    def _synthesize_tiles(
        self,
        y_hat: np.ndarray,
        size: tuple[int, int],
        quality: float,
        settings: DecodeSettings,
        progress: Progress | None,
    ) -> np.ndarray:
        return self.sampling(quality, settings).in_tiles(y_hat, size, progress)
