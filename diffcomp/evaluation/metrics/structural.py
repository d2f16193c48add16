"""SSIM and MS-SSIM, by TensorFlow's implementation, which the literature on compression uses.

TensorFlow is imported at the first use: it takes seconds, and the other metrics do without it.
"""

from collections.abc import Callable

import numpy as np

PEAK = 255.0  # largest value of a uint8 channel


def ssim(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Structural similarity: local means, contrasts and correlation compared; higher is better.

    The mean over positions of ((2 m n + c1) (2 s_xy + c2)) / ((m^2 + n^2 + c1) (s_x + s_y + c2)),
    of means m and n, variances and covariance under a Gaussian window of 11 x 11 pixels with a
    standard deviation of 1.5, only where it lies inside the image; c1 = (0.01 * 255)^2 and
    c2 = (0.03 * 255)^2. At full resolution, without the shrinking that the authors suggest for
    large images. Each of R, G and B is judged alone and the three results are averaged; luma alone
    would give another number.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13.

    Args:
      images, references: uint8 [B, H, W, 3], both sides at least 11.

    Returns:
      float64 [B] in [-1, 1]; 1 for identical images.
    """
    import tensorflow as tf

    return _one_by_one(tf.image.ssim, images, references)


def ms_ssim(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity: SSIM's terms at five resolutions; higher is better.

    Contrast and structure of five scales, each half the one before by means over 2 x 2 pixels, and
    the luminance of the last are multiplied with the exponents 0.0448, 0.2856, 0.3001, 0.2363 and
    0.1333; a negative term counts as 0. Each of R, G and B is judged alone, as in `ssim`, and the
    three results are averaged.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
    assessment", Asilomar Conference on Signals, Systems and Computers 2003, equation 7.

    Args:
      images, references: uint8 [B, H, W, 3], both sides at least 161, 16 times 10 and one more:
        the window of 11 pixels must fit the last scale.

    Returns:
      float64 [B] in [0, 1]; 1 for identical images.
    """
    import tensorflow as tf

    return _one_by_one(tf.image.ssim_multiscale, images, references)


def _one_by_one(function: Callable, images: np.ndarray, references: np.ndarray) -> np.ndarray:
    # Both images share one buffer in float32, many times the size of the pixels.
    pairs = zip(images, references, strict=True)
    values = [function(image[None], reference[None], PEAK).numpy()[0] for image, reference in pairs]
    return np.array(values, np.float64)
