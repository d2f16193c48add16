"""The size of the base model's networks. `configs/base.py` says what each field means."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    ARCHITECTURE = "base"  # no field: tells the alternatives of a union apart

    latent_channels: int
    hyper_channels: int
    coding_width: int
    widths: tuple[int, int, int]
    encoder_depths: tuple[int, int, int]
    context_depths: tuple[int, int, int]
    score_depths: tuple[int, int, int]
    condition_width: int
    quality_knots: int
    base_error: float
