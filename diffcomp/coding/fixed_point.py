"""Convolutions in exact integer arithmetic: the same bits on every machine, in any order of sums.

Weights are 16-bit and activations 24-bit fixed-point integers. They are held in float64 arrays
because that is where fast matrix products are; every product and every partial sum is an integer
below 2**53, hence exact, so neither the order of summation nor fused operations can change a
result. `FixedPointConv` refuses weights for which that bound would not hold.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from diffcomp.coding.channel_groups import Phase

PARAMETER_BITS = 16  # fraction bits of the means and scales that come out
LARGEST = 2**15 - 1  # of a weight
LARGEST_ACTIVATION = 2**23 - 1
SLOPE_BITS = 16  # fraction bits of the slope of the leaky ReLU
EXACT = 2**53  # integers up to here are exact in float64
MAX_WEIGHT_BITS = 24
MAX_BITS = 63  # that an int64 can be shifted by


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPointConv:
    """One convolution (stride 1, zero padding that keeps the size) with integer weights.

    Raises ValueError if a sum could leave the range in which float64 is exact, or for bits that no
    integer has.
    """

    kernel: np.ndarray  # int16 [side, side, C_in, C_out], in units of 2**-weight_bits
    bias: np.ndarray  # int64 [C_out], in units of 2**-(weight_bits + input_bits)
    weight_bits: int
    input_bits: int
    output_bits: int

    def __post_init__(self) -> None:
        for name in ("weight_bits", "input_bits", "output_bits"):
            if not 0 <= getattr(self, name) <= MAX_BITS:  # before 2**bits is made
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it must be from 0 to {MAX_BITS}."
                )
        magnitude = np.abs(self.kernel.astype(np.int64)).sum(axis=(0, 1, 2)) * (
            LARGEST_ACTIVATION + 1
        )
        largest = int((magnitude + np.abs(self.bias)).max()) + 2**self.shift
        if largest >= EXACT:
            raise ValueError(f"sums may reach {largest}; they must stay below 2**53 to be exact.")

    @property
    def shift(self) -> int:
        """Bits dropped between accumulator and output."""
        return self.weight_bits + self.input_bits - self.output_bits

    def __call__(self, h: np.ndarray, phase: Phase | None = None) -> np.ndarray:
        """Integer-valued float64 [B, H, W, C_in], magnitudes <= 2**23 -> [B, H, W, C_out].

        With a phase: at its positions alone, [B, ceil((H - row) / 2), ceil((W - column) / 2), ...].
        """
        side = self.kernel.shape[0]
        b, height, width, channels = h.shape
        (top, left), stride = phase or (0, 0), 1 if phase is None else 2
        shape = b, len(range(top, height, stride)), len(range(left, width, stride))
        margin = side // 2
        h = np.pad(h, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        total = np.tile(self.bias.astype(np.float64), (math.prod(shape), 1))
        for i in range(side):
            for j in range(side):
                # One product of matrices for each tap: of a stack of them NumPy makes one a row,
                # and BLAS's threads would wait for each other as often.
                tap = h[:, top + i : height + i : stride, left + j : width + j : stride]
                total += tap.reshape(-1, channels) @ self.kernel[i, j].astype(np.float64)
        return round_shift(total, self.shift).reshape(*shape, len(self.bias))


def round_shift(value: np.ndarray, shift: int) -> np.ndarray:
    """floor(value / 2**shift + 1/2): exact, since dividing by a power of two is."""
    value = value * 2.0**-shift
    value += 0.5
    return np.floor(value, out=value)


def quantize_conv(
    kernel: np.ndarray, bias: np.ndarray, input_bits: int, output_bits: int
) -> FixedPointConv:
    """Float weights [side, side, C_in, C_out] and [C_out] -> 16-bit weights of the finest grid.

    Raises ValueError for weights that are not finite or too large for 16 bits.
    """
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise ValueError("a kernel or bias is not finite.")
    peak = max(float(np.abs(kernel).max()), 2.0**-MAX_WEIGHT_BITS)
    weight_bits = min(math.floor(math.log2(LARGEST / peak)), MAX_WEIGHT_BITS)
    # Outputs may not carry more fraction bits than the accumulator has.
    weight_bits = max(weight_bits, output_bits - input_bits)
    if peak * 2.0**weight_bits >= LARGEST + 0.5:
        limit = LARGEST * 2.0**-weight_bits
        raise ValueError(f"a weight has magnitude {peak:g}; 16 bits hold at most {limit:g} here.")
    return FixedPointConv(
        kernel=np.rint(kernel.astype(np.float64) * 2.0**weight_bits).astype(np.int16),
        bias=np.rint(bias.astype(np.float64) * 2.0 ** (weight_bits + input_bits)).astype(np.int64),
        weight_bits=weight_bits,
        input_bits=input_bits,
        output_bits=output_bits,
    )


def dequantize_conv(conv: FixedPointConv) -> tuple[np.ndarray, np.ndarray]:
    """The float32 kernel and bias that the integers stand for."""
    kernel = conv.kernel * 2.0**-conv.weight_bits
    bias = conv.bias * 2.0 ** -(conv.weight_bits + conv.input_bits)
    return kernel.astype(np.float32), bias.astype(np.float32)


class FixedPointLayers:
    """`entropy_parameters.Layers` in integers: tensors are integer-valued float64.

    `slope` is that of the leaky ReLU below zero, kept to SLOPE_BITS.
    """

    def __init__(self, convs: Mapping[str, FixedPointConv], slope: float):
        self.convs = dict(convs)
        self._slope = round(slope * 2**SLOPE_BITS)

    @classmethod
    def from_floats(
        cls,
        weights: Mapping[str, tuple[np.ndarray, np.ndarray]],
        slope: float,
        layer_bits: Mapping[str, tuple[int, int]],
    ) -> "FixedPointLayers":
        """Turns (kernel, bias) of each layer into integers, with so many fraction bits in and out.

        Raises KeyError for a layer whose bits are not given.
        """
        convs = {name: quantize_conv(*weights[name], *layer_bits[name]) for name in weights}
        return cls(convs, slope)

    def linear(self, name: str, h: np.ndarray, phase: Phase | None = None) -> np.ndarray:
        return self.convs[name](h, phase)

    def activate(self, h: np.ndarray) -> np.ndarray:
        # |h| * slope stays below 2**53 for any |h| below 2**37, far above what a layer gives.
        out = h * self._slope
        out *= 2.0**-SLOPE_BITS
        np.copyto(np.floor(out, out=out), h, where=h >= 0)
        return np.clip(out, -LARGEST_ACTIVATION, LARGEST_ACTIVATION, out=out)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, for `np.savez`."""
        arrays = {}
        for name, conv in self.convs.items():
            arrays[f"{name}.kernel"], arrays[f"{name}.bias"] = conv.kernel, conv.bias
            bits = (conv.weight_bits, conv.input_bits, conv.output_bits)
            arrays[f"{name}.bits"] = np.array(bits, np.int32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], slope: float) -> "FixedPointLayers":
        """Inverse of `to_arrays`; raises KeyError for a missing array."""
        names = [key.removesuffix(".kernel") for key in arrays if key.endswith(".kernel")]
        return cls(
            {
                name: FixedPointConv(
                    arrays[f"{name}.kernel"],
                    arrays[f"{name}.bias"],
                    *(int(bits) for bits in arrays[f"{name}.bits"]),
                )
                for name in names
            },
            slope,
        )
