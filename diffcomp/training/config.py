"""A whole training run. `configs/base.py` says what each field means."""

import dataclasses
from collections.abc import Mapping

from diffcomp.architectures.registry import AnyLossConfig, AnyModelConfig, architecture_of
from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE
from diffcomp.coding.quality import quality_to_code
from diffcomp.data.config import DataConfig
from diffcomp.decode_settings import DecodeConfig, check_dtype
from diffcomp.distances.lpips_weights import check_net

SCHEDULES = ("cosine", "stairs")
PRECISIONS = ("default", "bfloat16", "tensorfloat32", "float32")  # of JAX


@dataclasses.dataclass(frozen=True)
class StageConfig:
    name: str
    objective: str
    steps: int
    batch: int
    accumulate: int
    crop: int
    vgg_images: int
    vgg_side: int
    learning_rate: float
    warmup: int
    schedule: str
    final_rate: float
    stair_steps: int
    stair_factor: float
    multipliers: Mapping[str, float]

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"stage {self.name!r} has schedule {self.schedule!r}; it must be one of"
                f" {', '.join(SCHEDULES)}."
            )
        if self.crop < Z_STRIDE or self.crop % Z_STRIDE:
            raise ValueError(
                f"stage {self.name!r} has crop {self.crop}; it must be a multiple of {Z_STRIDE}."
            )


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    data: int
    fsdp: int


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    seed: int
    init: str
    klt_patches: int
    compute_dtype: str
    matmul_precision: str
    clip_norm: float
    adam_b2: float
    average_decay: float
    average_every: int
    average_power: float
    log_every: int
    validate_every: int
    checkpoint_minutes: float
    keep_checkpoints: int
    profile_start: int
    profile_steps: int
    keep_best: int

    def __post_init__(self) -> None:
        check_dtype(self.compute_dtype)
        if self.matmul_precision not in PRECISIONS:
            raise ValueError(
                f"train.matmul_precision is {self.matmul_precision!r}; it must be one of"
                f" {', '.join(PRECISIONS)}."
            )


@dataclasses.dataclass(frozen=True)
class ValidationConfig:
    """Raises ValueError for a value out of its range."""

    images: int
    side: int
    qualities: tuple[float, ...]
    steps: int
    panels: int

    def __post_init__(self) -> None:
        for name, least in (("images", 0), ("side", 64), ("steps", 0), ("panels", 0)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"validation.{name} is {getattr(self, name)}; it must be at least {least}."
                )
        for quality in self.qualities:
            quality_to_code(quality)


@dataclasses.dataclass(frozen=True)
class Config:
    model: AnyModelConfig
    loss: AnyLossConfig
    data: DataConfig
    train: TrainConfig
    mesh: MeshConfig
    stages: tuple[StageConfig, ...]
    decode: DecodeConfig
    validation: ValidationConfig

    def __post_init__(self) -> None:
        if self.model.ARCHITECTURE != self.loss.ARCHITECTURE:
            raise ValueError(
                f"model has architecture {self.model.ARCHITECTURE!r} and loss"
                f" {self.loss.ARCHITECTURE!r}; they must be the same."
            )
        one_rate = architecture_of(self.model).one_rate
        if one_rate == bool(self.validation.qualities):
            rule = "has one rate and takes none" if one_rate else "needs at least one"
            raise ValueError(
                f"validation.qualities is {self.validation.qualities}; architecture"
                f" {self.model.ARCHITECTURE!r} {rule}."
            )
        for stage in self.stages:
            self._check_stage(stage)

    def _check_stage(self, stage: StageConfig) -> None:
        """What a stage's field may be follows from the architecture: found at the start, not hours
        later when the stage begins."""
        architecture = architecture_of(self.model)
        if stage.objective not in architecture.objectives:
            raise ValueError(
                f"stage {stage.name!r} has objective {stage.objective!r}; of architecture"
                f" {architecture.name!r} it must be one of {', '.join(architecture.objectives)}."
            )
        if architecture.perceptual(stage.objective, self.loss):
            check_net(self.loss.lpips_net)
        if stage.vgg_images and not architecture.vgg_losses:
            raise ValueError(
                f"stage {stage.name!r} has vgg_images {stage.vgg_images}; for architecture"
                f" {architecture.name!r} it must be 0."
            )
        if not 0 <= stage.vgg_images <= stage.batch:
            raise ValueError(
                f"stage {stage.name!r} has vgg_images {stage.vgg_images}; it must be from 0 to"
                f" its batch, {stage.batch}."
            )
        if stage.vgg_side % Y_STRIDE or not 0 <= stage.vgg_side <= stage.crop:
            raise ValueError(
                f"stage {stage.name!r} has vgg_side {stage.vgg_side}; it must be a multiple of"
                f" {Y_STRIDE} from 0 to its crop, {stage.crop}."
            )
        if stage.vgg_side and not stage.vgg_images:
            raise ValueError(
                f"stage {stage.name!r} has vgg_side {stage.vgg_side}, but vgg_images 0: VGG16 sees"
                " none of its crops."
            )
