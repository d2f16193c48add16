"""The size of the base model's networks. `configs/base.py` says what each field means."""

import dataclasses

from diffcomp.coding.channel_groups import ChannelGroup, channel_groups


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    ARCHITECTURE = "base"  # no field: tells the alternatives of a union apart

    latent_channels: int
    group_starts: tuple[int, ...]
    group_passes: tuple[int, ...]
    hyper_channels: int
    coding_width: int
    widths: tuple[int, int, int]
    encoder_depths: tuple[int, int, int]
    context_depths: tuple[int, int, int]
    score_depths: tuple[int, int, int]
    condition_width: int
    quality_knots: int
    base_error: float

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """The channels of y in coding order; raises ValueError if the fields give none."""
        return channel_groups(self.group_starts, self.group_passes, self.latent_channels)
