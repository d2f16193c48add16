"""Settings and fixtures that every test shares."""

import os
from pathlib import Path

# Read by JAX and TensorFlow when they are first imported. Child processes of tests inherit them.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Compiled functions are kept between runs: most of the time of a first run is compilation.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".cache" / "jax")
)

import jax
import numpy as np
import pytest
import skimage.data

# A shape that broadcasts by accident is an error.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph of a face: uint8 [96, 128, 3], read-only since the whole session shares it."""
    crop = skimage.data.astronaut()[64:160, 160:288].copy()
    crop.setflags(write=False)
    return crop
