"""Moments of overlapping blocks, 16 x 16 pixels every 4 rows and columns, as MAD takes them.

A block is made of 4 x 4 cells of 4 x 4 pixels. Each pixel is visited once: the moments of cells
around their own means are combined to moments around the block's mean, which, unlike differences
of sums of powers, loses no digits where a block is nearly flat.
"""

import numpy as np

BLOCK, STEP = 16, 4  # pixels: side of a block, and the distance between two of them
_CELLS = BLOCK // STEP
_CELL_PIXELS = STEP * STEP
_PIXELS = BLOCK * BLOCK
# Deviation over mean below which a block counts as flat: what varies then is rounding.
_FLAT = 1e-12


def block_mean(plane: np.ndarray) -> np.ndarray:
    """Means of the blocks of a plane [H, W]; float64 [H // 4 - 3, W // 4 - 3]."""
    return _windows_mean(_cells(plane).mean(axis=(1, 3)))


def block_deviation(plane: np.ndarray) -> np.ndarray:
    """Standard deviations of the blocks, of 255 degrees of freedom; shape as `block_mean`."""
    cells = _cells(plane)
    means = cells.mean(axis=(1, 3))
    variances = np.mean((cells - means[:, None, :, None]) ** 2, axis=(1, 3))
    spread = sum((part - block_mean(plane)) ** 2 for part in _windows(means)) / _CELLS**2
    return np.sqrt((_windows_mean(variances) + spread) * _PIXELS / (_PIXELS - 1))


def block_statistics(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard deviation, skewness and kurtosis of the blocks; shapes as `block_mean`.

    The deviation has 255 degrees of freedom, the other two divide by that of 256; both are 0 where
    a block is flat. The kurtosis of a normal distribution is 3.
    """
    cells = _cells(plane)
    means = cells.mean(axis=(1, 3))
    centered = cells - means[:, None, :, None]
    squared = centered * centered
    # Second, third and fourth moment of each cell.
    c2 = squared.mean(axis=(1, 3))
    c3 = np.einsum("iajb,iajb->ij", squared, centered) / _CELL_PIXELS
    c4 = np.einsum("iajb,iajb->ij", squared, squared) / _CELL_PIXELS

    mean = _windows_mean(means)
    m2, m3, m4 = (np.zeros_like(mean) for _ in range(3))
    parts = zip(*(_windows(each) for each in (means, c2, c3, c4)), strict=True)
    for cell_mean, k2, k3, k4 in parts:
        d = cell_mean - mean
        dd = d * d
        m2 += k2 + dd
        m3 += k3 + d * (3 * k2 + dd)
        m4 += k4 + d * (4 * k3) + dd * (6 * k2 + dd)
    m2, m3, m4 = (each / _CELLS**2 for each in (m2, m3, m4))
    flat = m2 <= (_FLAT * mean) ** 2
    safe = np.where(flat, 1, m2)
    skewness = np.where(flat, 0, m3 / safe**1.5)
    kurtosis = np.where(flat, 0, m4 / safe**2)
    return np.sqrt(m2 * _PIXELS / (_PIXELS - 1)), skewness, kurtosis


def quarter_deviation(plane: np.ndarray) -> np.ndarray:
    """The least standard deviation, of 63 degrees of freedom, of four 8 x 8 parts of each block.

    The parts begin 0 and 4 pixels from the block's first row and column, as in the code of MAD's
    authors, and overlap; the paper speaks of the four quarters.
    """
    cells = _cells(plane)
    means = cells.mean(axis=(1, 3))
    variances = np.mean((cells - means[:, None, :, None]) ** 2, axis=(1, 3))
    mean = _windows_mean(means, count=2)
    spread = sum((part - mean) ** 2 for part in _windows(means, count=2)) / 4
    part = _windows_mean(variances, count=2) + spread
    rows, columns = (n - _CELLS + 1 for n in means.shape)
    parts = [part[i : i + rows, j : j + columns] for i in (0, 1) for j in (0, 1)]
    pixels = _PIXELS // 4
    return np.sqrt(np.min(parts, axis=0) * pixels / (pixels - 1))


def spread_blocks(blocks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A block's value at its upper left 4 x 4 pixels, in a plane of `shape`; 0 elsewhere."""
    plane = np.zeros(shape)
    values = np.kron(blocks, np.ones((STEP, STEP)))
    plane[: values.shape[0], : values.shape[1]] = values
    return plane


def _cells(plane: np.ndarray) -> np.ndarray:
    rows, columns = (n // STEP for n in plane.shape)
    return plane[: rows * STEP, : columns * STEP].reshape(rows, STEP, columns, STEP)


def _windows(cells: np.ndarray, count: int = _CELLS) -> list[np.ndarray]:
    """Views of the cells at each of count x count places of all windows."""
    rows, columns = (n - count + 1 for n in cells.shape)
    return [cells[i : i + rows, j : j + columns] for i in range(count) for j in range(count)]


def _windows_mean(cells: np.ndarray, count: int = _CELLS) -> np.ndarray:
    return sum(_windows(cells, count)) / count**2
