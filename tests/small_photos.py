"""Pictures whose pixels tell where they come from, and the data configuration of their tests."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from diffcomp.data.config import DataConfig
from diffcomp.data.crop_slots import CropSlots

CONFIG = DataConfig(
    train="",
    validation="",
    tfds_dir="",
    min_side=32,
    downscale=(1.0, 1.0),
    crops_per_megapixel=1000.0,
    cache_decoded=True,
    threads=2,
    workers=0,
    seed=0,
)


def image(height: int, width: int, blue: int) -> np.ndarray:
    """Every pixel tells its row (red), its column (green) and its image (blue)."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, np.full((height, width), blue)], axis=-1).astype(np.uint8)


def write(folder: Path, name: str, pixels: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def write_damaged(folder: Path) -> None:
    """Four files none of which can be trained on; of the first two, the header is intact."""
    pixels = write(folder, "aa_cut.png", image(90, 90, 8)).read_bytes()
    (folder / "aa_cut.png").write_bytes(pixels[: len(pixels) // 2])
    transparent = np.dstack([image(90, 90, 9), np.full((90, 90), 128, np.uint8)])
    write(folder, "ab_transparent.png", transparent)
    (folder / "ac_text.jpg").write_text("This is no picture.")
    (folder / "ad_empty.webp").touch()


def crop_slots(source: Path | str, **changes: object) -> CropSlots:
    """The slots of a folder, or of what a text names."""
    train = source if isinstance(source, str) else f"folder:{source}"
    return CropSlots(dataclasses.replace(CONFIG, train=train, **changes))
