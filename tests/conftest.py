"""Settings and fixtures that every test shares."""

import os
from pathlib import Path

# Read by JAX and TensorFlow when they are first imported. Child processes of tests inherit them.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Programs of tests run for milliseconds and are compiled for seconds, half of which are spent on
# making them fast.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# No test finds what another run has kept of its evaluations.
os.environ.setdefault("DIFFCOMP_CACHE", "")
# Compiled functions are kept between runs, and shared by the processes of one: most of the time of
# a first run is compilation. JAX by itself keeps only those that took a second.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import jax
import numpy as np
import pytest
import skimage.data
from make_tiny_tfds import prepare_tiny_photos
from PIL import Image
from small_photos import image, write, write_damaged

# A shape that broadcasts by accident is an error.
jax.config.update("jax_numpy_rank_promotion", "raise")

# Files of tests by their processor time, dearest first; the others follow in alphabetical order.
# Processes take files from the front, so a dear one last would leave the others idle. (Where xdist
# is told to leave the order alone: --no-loadscope-reorder.)
DEAREST_FIRST = (
    "test_notebooks", "test_train_loop", "test_sharding", "test_train_step",
    "test_evaluation_metrics", "test_lpips", "test_published_parity", "test_validation",
    "test_losses", "test_codec", "test_cli", "test_evaluate", "test_benchmark",
    "test_published_loss", "test_step_parts",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        name = item.path.stem
        return DEAREST_FIRST.index(name) if name in DEAREST_FIRST else len(DEAREST_FIRST)

    items.sort(key=rank)


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


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory, photo) -> Path:
    """A folder with two images of different sizes and `report`, their finished evaluation."""
    # Not before JAX has its settings.
    from diffcomp import cli

    folder = tmp_path_factory.mktemp("evaluated")
    for name, crop in (("a", photo[:75, :101]), ("b", photo[:64, :120])):
        Image.fromarray(crop).save(folder / f"{name}.png")
    options = ["--model", str(Path(__file__).parent / "golden" / "tiny_model"), "--steps", "1"]
    options += ["--quality", "2,4,6,8", "--realism", "0,1", "--baselines", "jpeg,webp=5/30/60/90"]
    options += ["--metrics", "psnr,lpips_alex", "--quiet", "--out", str(folder / "report")]
    images = [str(folder / name) for name in ("a.png", "b.png")]
    assert cli.main(["evaluate", *images, "--protocol", "kodak", "--published", *options]) == 0
    return folder
