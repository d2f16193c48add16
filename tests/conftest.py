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
from make_tiny_tfds import prepare_tiny_photos
from small_photos import image, write, write_damaged

# A shape that broadcasts by accident is an error.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph of a face: uint8 [96, 128, 3], read-only since the whole session shares it."""
    crop = skimage.data.astronaut()[64:160, 160:288].copy()
    crop.setflags(write=False)
    return crop


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three pictures (see small_photos.py) with 6, 2 and 6 crop slots."""
    write(tmp_path, "a.png", image(64, 96, 1))
    write(tmp_path, "b.png", image(48, 48, 2))
    write(tmp_path / "deeper", "c.png", image(32, 200, 3))
    return tmp_path


@pytest.fixture
def damaged(photos: Path) -> Path:
    """The same folder with four more files, none of which can be trained on."""
    write_damaged(photos)
    return photos


@pytest.fixture(scope="session")
def tiny_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of TFDS data sets `tiny_photos`: see make_tiny_tfds.py."""
    return prepare_tiny_photos(tmp_path_factory.mktemp("tfds"))
