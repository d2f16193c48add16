"""The base model's loss. `configs/base.py` says what each field means."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LossConfig:
    ARCHITECTURE = "base"

    lmbda_low: float
    lmbda_high: float
    lpips_net: str
    lpips_scale: float
    lpips_vgg_scale: float
    dists_scale: float
    grid_scale: float
    box_scales: tuple[float, float]
    structure_scale: float
    rho_max: float
    realism_range: tuple[float, float]
    start_share: float
    gamma_range: tuple[float, float]
    balance: float
    base_weight: float
    snr_weights: tuple[float, float]
