"""The coding part of the published model, in integers: one pass, made after the model was trained.

Its hyper synthesis is two transposed 5x5 convolutions of stride 2 and a 3x3 one. Each transposed
convolution is exactly a plain 3x3 one to four times the channels, then depth-to-space, so the
layers of `fixed_point` serve here too. The published model has no fixed-point arithmetic and no
file; what rounding its weights to 16 bits costs in rate is tested to be far below 0.2 %.
"""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from diffcomp.coding.fixed_point import LARGEST_ACTIVATION, PARAMETER_BITS
from diffcomp.coding.latent_coder import FACTOR_BITS, STEP_BITS, LatentCoder, Part, to_symbols
from diffcomp.coding.space_to_depth import depth_to_space

ACTIVATION_BITS = 14  # fraction bits of z_hat and of the activations, in [-512, 512)
SLOPE = 0.2  # of the published leaky ReLU below zero
# Fraction bits of each layer's input and output.
LAYER_BITS = {
    "up32": (ACTIVATION_BITS, ACTIVATION_BITS),
    "up16": (ACTIVATION_BITS, ACTIVATION_BITS),
    "head": (ACTIVATION_BITS, PARAMETER_BITS),
}


@dataclasses.dataclass(frozen=True, eq=False)
class SinglePassCoder(LatentCoder):
    """Mean and scale of all of y from z_hat; the step of y is 1, whatever the quality code."""

    medians: np.ndarray  # int64 [D], of z, in units of 2**-ACTIVATION_BITS

    slope: ClassVar[float] = SLOPE

    def z_symbols(self, z: np.ndarray) -> np.ndarray:
        return to_symbols(z - self.medians * 2.0**-ACTIVATION_BITS)

    def steps(self, quality_code: int) -> np.ndarray:
        del quality_code
        channels = len(self.layers.convs["head"].bias) // 2
        return np.full(channels, 2**STEP_BITS, np.int64)

    def parameters(self, z_symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of y, int64 [4 h, 4 w, C], from the symbols of z [h, w, D].

        In units of 2**-PARAMETER_BITS; the scale is not yet bounded from below.
        """
        z_hat = (z_symbols.astype(np.int64) << ACTIVATION_BITS) + self.medians
        h = np.clip(z_hat, -LARGEST_ACTIVATION, LARGEST_ACTIVATION).astype(np.float64)[None]
        for name in ("up32", "up16"):
            h = self.layers.activate(depth_to_space(self.layers.linear(name, h), 2))
        mean, scale = np.split(self.layers.linear("head", h)[0].astype(np.int64), 2, axis=-1)
        return mean, scale

    def passes(
        self, z_symbols: np.ndarray, y_hat: np.ndarray, quality_code: int
    ) -> Iterator[Iterator[Part]]:
        height, width = y_hat.shape[:2]
        mean, scale = (array[:height, :width] for array in self.parameters(z_symbols))
        indexes = np.searchsorted(self.scale_thresholds, scale).astype(np.int32)
        everywhere = slice(0, height), slice(0, width), slice(None)
        factors = np.full((height, width), 1 << FACTOR_BITS, np.int32)
        mean <<= STEP_BITS - PARAMETER_BITS
        yield iter([Part(everywhere, mean, self.steps(quality_code), factors, indexes)])
