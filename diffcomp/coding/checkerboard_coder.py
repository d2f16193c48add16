"""The coding part of the base model, in integers: two passes over a checkerboard."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from diffcomp.coding import entropy_parameters
from diffcomp.coding.fixed_point import (
    LARGEST_ACTIVATION,
    PARAMETER_BITS,
    dequantize_conv,
    round_shift,
)
from diffcomp.coding.latent_coder import STEP_BITS, LatentCoder, Pass, to_symbols
from diffcomp.coding.quality import CODES

ACTIVATION_BITS = 10  # fraction bits of the activations, in [-8192, 8192)
# Fraction bits of each layer's input and output. z_hat is an integer.
LAYER_BITS = {
    "up32": (0, ACTIVATION_BITS),
    "up16": (ACTIVATION_BITS, ACTIVATION_BITS),
    "features": (ACTIVATION_BITS, ACTIVATION_BITS),
    "head": (ACTIVATION_BITS, PARAMETER_BITS),
    "anchors": (ACTIVATION_BITS, ACTIVATION_BITS),
    "mix": (ACTIVATION_BITS, ACTIVATION_BITS),
    "tail": (ACTIVATION_BITS, ACTIVATION_BITS),
    "tail_head": (ACTIVATION_BITS, PARAMETER_BITS),
}


@dataclasses.dataclass(frozen=True, eq=False)
class CheckerboardCoder(LatentCoder):
    """Means and log2 of scales, first of the anchors, then of the rest; steps by quality."""

    step: np.ndarray  # int64 [CODES, C], quantisation step by quality code
    log2_step: np.ndarray  # int64 [CODES, C]

    slope: ClassVar[float] = entropy_parameters.SLOPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step.shape[0] != CODES or self.step.shape != self.log2_step.shape:
            raise ValueError(
                f"step is {self.step.shape} and log2_step {self.log2_step.shape};"
                f" both must have {CODES} rows and as many columns as y has channels."
            )

    def float_layers(self, prefix: str) -> dict[str, np.ndarray]:
        """Kernel and bias of each layer as floats equal to the integers, by path.

        Training that goes on from an export thus starts from what its files are coded with.
        """
        params = {}
        for name, conv in self.layers.convs.items():
            kernel, bias = dequantize_conv(conv)
            params[f"{prefix}{name}/kernel"], params[f"{prefix}{name}/bias"] = kernel, bias
        return params

    def z_symbols(self, z: np.ndarray) -> np.ndarray:
        return to_symbols(z)

    def steps(self, quality_code: int) -> np.ndarray:
        return self.step[quality_code]

    def passes(self, z_symbols: np.ndarray, y_hat: np.ndarray, quality_code: int) -> Iterator[Pass]:
        height, width = y_hat.shape[:2]
        z_hat = np.clip(z_symbols[None], -LARGEST_ACTIVATION, LARGEST_ACTIVATION).astype(np.float64)
        f = entropy_parameters.features(self.layers, z_hat)[:, :height, :width]
        parameters = entropy_parameters.first_pass(self.layers, f)
        even = entropy_parameters.anchor_mask(height, width)[0, :, :, 0]
        yield self._pass(even, parameters, quality_code)
        anchors = _activation(y_hat[None])
        parameters = entropy_parameters.second_pass(self.layers, f, parameters, anchors)
        yield self._pass(~even, parameters, quality_code)

    def _pass(self, mask: np.ndarray, parameters: np.ndarray, quality_code: int) -> Pass:
        mean, log2_scale = np.split(parameters[0][mask].astype(np.int64), 2, axis=-1)
        log2_scale = log2_scale - self.log2_step[quality_code]
        indexes = np.searchsorted(self.scale_thresholds, log2_scale).astype(np.int32)
        return Pass(mask, mean << (STEP_BITS - PARAMETER_BITS), indexes)


def _activation(y_hat: np.ndarray) -> np.ndarray:
    """y_hat in units of 2**-STEP_BITS -> what the context network reads."""
    limit = entropy_parameters.ANCHOR_LIMIT * 2.0**ACTIVATION_BITS
    return np.clip(
        round_shift(y_hat.astype(np.float64), STEP_BITS - ACTIVATION_BITS), -limit, limit
    )
