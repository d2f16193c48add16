"""RGB colour spaces by primaries and transfer curve, and their conversion to 8-bit sRGB in floats.

For colours that a file states without an ICC profile, and for samples deeper than the 8 bits that
Little CMS takes from Pillow.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]  # samples 0..1 -> linear light 0..1

D65 = (0.3127, 0.3290)
# The xy of red, green, blue: IEC 61966-2-1, SMPTE EG 432-1, Adobe RGB (1998).
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_PRIMARIES = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))

_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the ICC's profile connection space
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_BLOCK = 2**16  # pixels converted at a time, to bound memory
_LAST_CODE = np.float32(2**20 - 1)  # of the table of sRGB's curve: 0.003 levels apart at most


@dataclass(frozen=True)
class RgbSpace:
    """How the samples of a picture, grey or RGB, become colours.

    `name` stands in the note of a conversion, fit to be printed.
    """

    name: str
    to_xyz: np.ndarray  # float [3, 3]: linear RGB -> XYZ relative to D50
    curves: tuple[Curve, Curve, Curve]  # of red, green and blue
    is_grey: bool = False  # of grey pictures only

    def convert(self, samples: np.ndarray, white: float) -> np.ndarray:
        """Samples [H, W, 1 or 3] from 0 to `white` -> sRGB, uint8 [H, W, 3].

        Colours outside of sRGB are clipped, each channel for itself.
        """
        height, width, channels = samples.shape
        flat = samples.reshape(-1, channels)
        decoders = [_decoder(curve, flat.dtype, white) for curve in self.curves[:channels]]
        to_srgb = (np.linalg.inv(_SRGB_TO_XYZ) @ self.to_xyz).T.astype(np.float32)
        out = np.empty((height * width, 3), np.uint8)
        for start in range(0, len(flat), _BLOCK):
            block = flat[start : start + _BLOCK]
            linear = np.stack([d(block[:, i]) for i, d in enumerate(decoders)], axis=-1)
            if channels == 3:
                linear = linear @ to_srgb
            np.clip(linear, 0, 1, out=linear)
            linear *= _LAST_CODE
            out[start : start + _BLOCK] = _encoded_levels()[linear.astype(np.int32)]
        return out.reshape(height, width, 3)

    def is_srgb(self) -> bool:
        """Whether no colour of a 16 x 16 x 16 lattice moves by more than one level."""
        if self is SRGB:
            return True
        lattice = np.indices((16, 16, 16), np.uint8).reshape(3, 64, 64).transpose(1, 2, 0) * 17
        moved = self.convert(lattice, 255).astype(np.int16) - lattice
        return bool(np.abs(moved).max() <= 1)


def rgb_space(
    name: str,
    curve: Curve,
    primaries: tuple[tuple[float, float], ...] = SRGB_PRIMARIES,
    white: tuple[float, float] = D65,
) -> RgbSpace:
    """A space by the chromaticities xy of its primaries and its white.

    White is adapted to D50 by the Bradford transform (ICC.1:2022, annex E).

    Raises:
      ValueError: the chromaticities span no triangle, or one is zero where it divides.
    """
    try:
        return RgbSpace(name, _to_xyz(primaries, white), (curve,) * 3)
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise ValueError(f"chromaticities {primaries}, white {white} span no colours") from error


def _to_xyz(primaries: tuple[tuple[float, float], ...], white: tuple[float, float]) -> np.ndarray:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    white_xyz = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    to_xyz = columns * np.linalg.solve(columns, white_xyz)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white_xyz))
    return np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ to_xyz


_SRGB_TO_XYZ = _to_xyz(SRGB_PRIMARIES, D65)


def _decoder(curve: Curve, dtype: np.dtype, white: float) -> Curve:
    """`curve` on samples as they are: a table of all integers, or floats one by one."""
    if not np.issubdtype(dtype, np.integer):
        return lambda samples: curve(samples / white).astype(np.float32)
    table = curve(np.arange(int(white) + 1) / white).astype(np.float32)
    return lambda samples: table[samples]


@functools.cache
def _encoded_levels() -> np.ndarray:
    """sRGB as uint8 of linear light in equal steps from 0 to 1 (IEC 61966-2-1)."""
    linear = (np.arange(int(_LAST_CODE) + 1) + 0.5) / _LAST_CODE  # the middle of each step
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """sRGB 0..1 -> linear light 0..1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def bt709_decode(encoded: np.ndarray) -> np.ndarray:
    """BT.709's camera curve, inverted."""
    return np.where(encoded < 0.081, encoded / 4.5, ((encoded + 0.099) / 1.099) ** (1 / 0.45))


def power(exponent: float) -> Curve:
    return lambda encoded: encoded**exponent


def sampled(table: np.ndarray) -> Curve:
    """The curve through samples 0..1 at equal distances from 0 to 1."""
    places = np.linspace(0, 1, len(table))
    return lambda encoded: np.interp(encoded, places, table)


SRGB = rgb_space("sRGB", srgb_decode)
ADOBE_RGB = rgb_space("Adobe RGB", power(563 / 256), ADOBE_PRIMARIES)
