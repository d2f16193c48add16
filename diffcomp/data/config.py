"""Which images to train on. `configs/base.py` says what each field means."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DataConfig:
    train: str
    validation: str
    tfds_dir: str
    min_side: int
    downscale: tuple[float, float]
    crops_per_megapixel: float
    cache_decoded: bool
    threads: int
    workers: int
    seed: int
