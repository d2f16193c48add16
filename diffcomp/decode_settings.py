"""How a file is decoded: what a person asks for, and what a model does unless told otherwise."""

import dataclasses
import numbers
from typing import Any, Self

MAX_STEPS = 1000
COMPUTE_DTYPES = ("float32", "bfloat16")


def check_dtype(dtype: str) -> None:
    """Raises ValueError for a type that networks do not compute in."""
    if dtype not in COMPUTE_DTYPES:
        known = ", ".join(COMPUTE_DTYPES)
        raise ValueError(f"compute_dtype is {dtype!r}; it must be one of {known}.")


@dataclasses.dataclass(frozen=True)
class DecodeConfig:
    """A model's own defaults; `configs/base.py` says what each field means."""

    steps: int
    gamma: float


@dataclasses.dataclass(frozen=True)
class DecodeSettings:
    """What the same bits can be decoded to. None leaves a field to `filled`."""

    steps: int | None = None  # calls of the score network, from 1
    gamma: float | None = None  # deviation of the starting noise, [0, 1]; 0 is deterministic
    eta: float | None = None  # fresh noise in each step, [0, 1]; 0 unless told otherwise
    realism: float | None = None  # 0 for least squared error, 1 (the default) for a natural look
    seed: int | None = None  # of all noise, 0 by default; no effect if gamma and eta are 0
    compute_dtype: str | None = None  # of the networks: "float32" (the default) or "bfloat16"

    def checked(self) -> Self:
        """The same; raises ValueError, naming the first field that is out of its range."""
        for name in ("steps", "seed"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, numbers.Integral):
                raise ValueError(f"{name} is {value!r}; it must be an integer.")
        if self.steps is not None and not 1 <= self.steps <= MAX_STEPS:
            raise ValueError(f"steps is {self.steps}; it must be in [1, {MAX_STEPS}].")
        for name in ("gamma", "eta", "realism"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, numbers.Real) and 0 <= float(value) <= 1
            ):
                raise ValueError(f"{name} is {value!r}; it must be in [0, 1].")
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be in [0, 2**32).")
        if self.compute_dtype is not None:
            check_dtype(self.compute_dtype)
        return self

    def filled(self, model: DecodeConfig) -> Self:
        """The settings without None: steps and gamma are the model's, the others as said above.

        Raises as `checked`.

        >>> DecodeSettings(realism=0.5).filled(DecodeConfig(steps=1, gamma=0.0)).realism
        0.5
        """
        defaults: dict[str, Any] = {
            "eta": 0.0,
            "realism": 1.0,
            "seed": 0,
            "compute_dtype": "float32",
        }
        defaults |= dataclasses.asdict(model)
        given = {name: value for name, value in vars(self).items() if value is not None}
        return dataclasses.replace(self, **(defaults | given)).checked()
