"""Typed, frozen configuration: what a `ConfigDict` from `configs/` becomes on entry.

Meaning, unit and default of every field stand in `configs/base.py`, over the field.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from diffcomp.coding.quality import quality_to_code
from diffcomp.published.config import CdcConfig, CdcLossConfig

T = TypeVar("T")


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


@dataclasses.dataclass(frozen=True)
class LossConfig:
    ARCHITECTURE = "base"

    lmbda_low: float
    lmbda_high: float
    lpips_net: str
    lpips_scale: float
    dists_scale: float
    grid_scale: float
    rho_max: float
    realism_range: tuple[float, float]
    start_share: float
    gamma_range: tuple[float, float]
    balance: float
    base_weight: float
    snr_weights: tuple[float, float]


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


@dataclasses.dataclass(frozen=True)
class StageConfig:
    name: str
    objective: str
    steps: int
    batch: int
    accumulate: int
    crop: int
    dists_images: int
    learning_rate: float
    warmup: int
    schedule: str
    final_rate: float
    stair_steps: int
    stair_factor: float
    multipliers: Mapping[str, float]


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


@dataclasses.dataclass(frozen=True)
class DecodeConfig:
    steps: int
    gamma: float


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
    model: ModelConfig | CdcConfig
    loss: LossConfig | CdcLossConfig
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
        one_rate = isinstance(self.model, CdcConfig)
        if one_rate == bool(self.validation.qualities):
            rule = "has one rate and takes none" if one_rate else "needs at least one"
            raise ValueError(
                f"validation.qualities is {self.validation.qualities}; architecture"
                f" {self.model.ARCHITECTURE!r} {rule}."
            )


def from_mapping(cls: type[T], values: Mapping[str, Any], path: str = "config") -> T:
    """Builds the dataclass `cls` from nested mappings (a `ConfigDict`, or parsed JSON).

    Of a union of dataclasses, the key "architecture" picks one. Raises ValueError for an unknown
    key (naming the closest known ones), a missing key, and a value of the wrong type; `path` is
    the place named in the message.
    """
    _require_mapping(values, path)
    if isinstance(cls, types.UnionType) or (
        hasattr(cls, "ARCHITECTURE") and "architecture" in values
    ):
        cls, values = _alternative(cls, values, path)
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=3) or sorted(hints)
            raise ValueError(f"{path}.{key} is unknown; {cls.__name__} has: {', '.join(near)}.")
    missing = [name for name in hints if name not in values]
    if missing:
        raise ValueError(f"{path} lacks: {', '.join(missing)}.")
    built = {name: _convert(hint, values[name], f"{path}.{name}") for name, hint in hints.items()}
    return cls(**built)


def to_dict(config: Any) -> dict[str, Any]:
    """The inverse of `from_mapping`: nested dicts, lists and scalars that JSON can hold."""
    if dataclasses.is_dataclass(config):
        tag = {"architecture": config.ARCHITECTURE} if hasattr(config, "ARCHITECTURE") else {}
        values = {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return tag | values
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, tuple):
        return [to_dict(value) for value in config]
    return config


def _alternative(cls: Any, values: Mapping[str, Any], path: str) -> tuple[type, dict[str, Any]]:
    """The dataclass that "architecture" names, cls or one of a union, and the other values."""
    choices = {c.ARCHITECTURE: c for c in typing.get_args(cls) or (cls,)}
    rest = dict(values.items())
    name = rest.pop("architecture", None)
    if name not in choices:
        raise ValueError(
            f"{path}.architecture is {name!r}; it must be one of {', '.join(choices)}."
        )
    return choices[name], rest


def _require_mapping(value: Any, path: str) -> None:
    # A ConfigDict has the methods of a Mapping but is none.
    if not hasattr(value, "items"):
        raise ValueError(f"{path} is {value!r}; it must be a mapping of names to values.")


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) or isinstance(hint, types.UnionType):
        return from_mapping(hint, value, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{path} is {value!r}; it must be a list of values.")
        variadic = args[-1] is Ellipsis
        if not variadic and len(value) != len(args):
            raise ValueError(f"{path} is {value}; it takes {len(args)} values.")
        hints = [args[0]] * len(value) if variadic else args
        return tuple(
            _convert(h, v, f"{path}[{i}]")
            for i, (h, v) in enumerate(zip(hints, value, strict=True))
        )
    if origin is not None and issubclass(origin, Mapping):
        _require_mapping(value, path)
        pairs = {str(k): _convert(args[1], v, f"{path}.{k}") for k, v in value.items()}
        return types.MappingProxyType(pairs)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{path} is {value!r}; it must be of type {hint.__name__}.")
    return value
