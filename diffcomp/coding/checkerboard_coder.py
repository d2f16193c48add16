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
from diffcomp.coding.grid import Z_PER_Y, positions
from diffcomp.coding.latent_coder import STEP_BITS, LatentCoder, Part, to_symbols
from diffcomp.coding.quality import CODES

ACTIVATION_BITS = 10  # fraction bits of the activations, in [-8192, 8192)
# Positions of y that are computed at once. In the base model a pass takes 14 kB for each, and the
# features 5 kB, which are computed of 16 rows more than are kept.
PASS_POSITIONS = 8192
FEATURE_POSITIONS = 32768
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

    def passes(
        self, z_symbols: np.ndarray, y_hat: np.ndarray, quality_code: int
    ) -> Iterator[Iterator[Part]]:
        f = self._features(z_symbols, y_hat.shape)
        yield self._anchors(f, quality_code)
        yield self._others(f, y_hat, quality_code)

    def _features(self, z_symbols: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What both passes share, [h, w, width]: integers below 2**24, so float32 holds them."""
        height, width = shape[:2]
        f = np.empty((height, width, len(self.layers.convs["features"].bias)), np.float32)
        for rows in row_parts(shape, FEATURE_POSITIONS):
            # Each position reads z up to 2 rows away.
            first = max(rows.start // Z_PER_Y - 2, 0)
            window = z_symbols[first : positions(rows.stop, Z_PER_Y) + 2]
            z_hat = np.clip(window[None], -LARGEST_ACTIVATION, LARGEST_ACTIVATION)
            of_window = entropy_parameters.features(self.layers, z_hat.astype(np.float64))[0]
            start = Z_PER_Y * first
            f[rows] = of_window[rows.start - start : rows.stop - start, :width]
        return f

    def _anchors(self, f: np.ndarray, quality_code: int) -> Iterator[Part]:
        for rows in row_parts(f.shape, PASS_POSITIONS):
            mask = _even(rows, f.shape[1])
            parameters = entropy_parameters.first_pass(self.layers, _row(f[rows][mask]))
            yield self._part(rows, mask, parameters, quality_code)

    def _others(self, f: np.ndarray, y_hat: np.ndarray, quality_code: int) -> Iterator[Part]:
        for rows in row_parts(f.shape, PASS_POSITIONS):
            # Each position sees the anchors up to 1 row away; the others there are filled already.
            first = max(rows.start - 1, 0)
            anchors = _activation(y_hat[None, first : rows.stop + 1])
            anchors *= _even(slice(first, first + anchors.shape[1]), f.shape[1])[None, :, :, None]
            seen = entropy_parameters.neighbours(self.layers, anchors)[0]
            mask = ~_even(rows, f.shape[1])
            seen = seen[rows.start - first :][: rows.stop - rows.start][mask]
            of_mask = _row(f[rows][mask])
            parameters = entropy_parameters.first_pass(self.layers, of_mask)
            parameters = entropy_parameters.second_pass(
                self.layers, of_mask, parameters, _row(seen)
            )
            yield self._part(rows, mask, parameters, quality_code)

    def _part(
        self, rows: slice, mask: np.ndarray, parameters: np.ndarray, quality_code: int
    ) -> Part:
        mean, log2_scale = np.split(parameters[0, 0].astype(np.int64), 2, axis=-1)
        log2_scale = log2_scale - self.log2_step[quality_code]
        indexes = np.searchsorted(self.scale_thresholds, log2_scale).astype(np.int32)
        return Part(rows, mask, mean << (STEP_BITS - PARAMETER_BITS), indexes)


def row_parts(shape: tuple[int, ...], of_part: int) -> Iterator[slice]:
    """The rows of [h, w, ...] in parts of about `of_part` positions each, of whole rows of z."""
    height, width = shape[:2]
    rows = max(1, round(of_part / width / Z_PER_Y)) * Z_PER_Y
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def _even(rows: slice, width: int) -> np.ndarray:
    """bool [rows, width], true where row + column is even."""
    row, column = np.ogrid[rows, :width]
    return (row + column) % 2 == 0


def _row(positions: np.ndarray) -> np.ndarray:
    """[n, C] as one row of one image, float64 [1, 1, n, C]."""
    return positions[None, None].astype(np.float64)


def _activation(y_hat: np.ndarray) -> np.ndarray:
    """y_hat in units of 2**-STEP_BITS -> what the context network reads."""
    limit = entropy_parameters.ANCHOR_LIMIT * 2.0**ACTIVATION_BITS
    return np.clip(
        round_shift(y_hat.astype(np.float64), STEP_BITS - ACTIVATION_BITS), -limit, limit
    )
