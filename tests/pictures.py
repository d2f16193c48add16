"""Pictures for tests of distances, and the form in which the networks take them."""

import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3], every value as likely."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG of this quality makes of the picture."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def to_float(*images: np.ndarray) -> jax.Array:
    """uint8 images [H, W, 3] -> float32 [B, H, W, 3] in [-1, 1]."""
    return jnp.asarray(np.stack(images).astype(np.float32) / 127.5 - 1)
