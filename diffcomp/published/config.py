"""What tells the two published models apart (Yang & Mandt, NeurIPS 2023), as one frozen dataclass.

"cdc" in a module's name stands for that paper's conditional diffusion compression. Both variants
are the same networks; they differ in what the score network predicts and how it was trained.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class CdcConfig:
    """The networks and the diffusion. Raises ValueError for a value not among the choices."""

    ARCHITECTURE = "cdc"  # no field: tells the alternatives of a union apart

    width: int  # channels of the widest resolution; all others are multiples of it
    context_channels: int  # of the context map at full resolution
    compressor_multipliers: tuple[int, ...]  # channels / width after each halving, from 1/2 on
    score_multipliers: tuple[int, ...]  # channels / width at each resolution, from 1/1 on
    prediction: str  # of the score network: "x0", or "eps" for the noise
    clip: bool  # whether the estimate of x_0 is cut off at [-1, 1]
    schedule: str  # of the noise: "cosine" or "linear"
    training_steps: int  # noise levels in training
    time_input: str  # while sampling: "index" / training_steps, or "step" number / steps

    def __post_init__(self) -> None:
        _check_choice("prediction", self.prediction, ("x0", "eps"))
        _check_choice("schedule", self.schedule, ("cosine", "linear"))
        _check_choice("time_input", self.time_input, ("index", "step"))
        for name in ("width", "context_channels", "training_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if len(self.score_multipliers) <= len(self.compressor_multipliers):
            raise ValueError(
                f"score_multipliers has {len(self.score_multipliers)} resolutions; the"
                f" {len(self.compressor_multipliers)} context maps need at least one more."
            )

    @property
    def compressor_widths(self) -> tuple[int, ...]:
        """Channels of the compressor at 1/2, 1/4, 1/8 and 1/16."""
        return tuple(self.width * multiplier for multiplier in self.compressor_multipliers)

    @property
    def score_widths(self) -> tuple[int, ...]:
        """Channels of the score network at 1/1, 1/2, ... 1/32."""
        return tuple(self.width * multiplier for multiplier in self.score_multipliers)

    @property
    def latent_channels(self) -> int:
        """Channels of y, and of z."""
        return self.compressor_widths[-1]

    @property
    def context_widths(self) -> tuple[int, ...]:
        """Channels of the context maps at 1/1, 1/2, 1/4 and 1/8."""
        return (self.context_channels, *self.compressor_widths[:-1])


@dataclasses.dataclass(frozen=True)
class CdcLossConfig:
    """The published training loss; see `cdc_losses`. Raises ValueError for an unknown `error`."""

    ARCHITECTURE = "cdc"

    lmbda: float  # weight of the rate, in bits per pixel
    warmup_lmbda: float  # the same in the high-rate warm-up
    warmup_steps: int  # of the high-rate warm-up
    rho: float  # weight of LPIPS; 1 - rho is that of the prediction's error
    lpips_net: str  # "vgg" or "alex"
    error: str  # of the prediction: "squared" or "absolute"
    largest_weight: float  # of the error, which is weighted by the signal-to-noise ratio; 0: by 1

    def __post_init__(self) -> None:
        _check_choice("error", self.error, ("squared", "absolute"))


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be {' or '.join(allowed)}.")


XPARAM = CdcConfig(
    width=64,
    context_channels=64,
    compressor_multipliers=(1, 2, 3, 4),
    score_multipliers=(1, 2, 3, 4, 5, 6),
    prediction="x0",
    clip=True,
    schedule="cosine",
    training_steps=8193,
    time_input="index",
)

EPSILONPARAM = dataclasses.replace(
    XPARAM,
    context_channels=3,
    prediction="eps",
    clip=False,
    schedule="linear",
    training_steps=20000,
    time_input="step",
)
