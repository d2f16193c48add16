"""How far off the colours of flat areas are, which local and learned metrics hardly see."""

import numpy as np

CELL = 32  # pixels
FLAT = 3.0  # levels of 255: the largest deviation, in any channel, of a cell that counts as flat

# sRGB to XYZ with the white of D65 at 1: IEC 61966-2-1, and CIE 15 for what follows.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _XYZ.sum(axis=1)
_DELTA = 6 / 29


def flat_colour(image: np.ndarray, reference: np.ndarray) -> float:
    """Mean distance in CIELAB of the mean colours of the reference's flat cells; lower is better.

    Cells of 32x32 pixels, from the top left, count if no channel of the reference has a deviation
    of more than 3 levels in them. Of each, R, G and B are averaged in linear light, as an eye does
    that does not resolve them; the distance is CIE 1976's Delta E, of which 2.3 is just noticeable.

    Source: CIE 15:2004, section 8.2.1; Mahy and others, "Evaluation of uniform color spaces
    developed after the adoption of CIELAB and CIELUV", Color Research & Application 19(2), 1994.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 32.

    Returns:
      0 or more.

    Raises:
      ArithmeticError: if the reference has no flat cell: nothing can be said of it.
    """
    is_flat = _cells(reference).std(axis=1).max(axis=-1) <= FLAT
    if not is_flat.any():
        raise ArithmeticError(f"no cell of {CELL}x{CELL} pixels is flat")
    colours = [_lab(_linear(_cells(each)[is_flat]).mean(axis=1)) for each in (image, reference)]
    return float(np.mean(np.linalg.norm(colours[0] - colours[1], axis=-1)))


def _cells(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> float64 [cells, 1024, 3]; the rest at the right and below is dropped."""
    rows, columns = (side // CELL for side in image.shape[:2])
    whole = image[: rows * CELL, : columns * CELL].astype(np.float64)
    blocks = whole.reshape(rows, CELL, columns, CELL, 3).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(rows * columns, CELL * CELL, 3)


def _linear(levels: np.ndarray) -> np.ndarray:
    """sRGB levels of 255 -> linear light in [0, 1]."""
    values = levels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    """Linear RGB [..., 3] -> L*, a*, b*."""
    ratios = linear @ _XYZ.T / _WHITE
    f = np.where(ratios > _DELTA**3, np.cbrt(ratios), ratios / (3 * _DELTA**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
