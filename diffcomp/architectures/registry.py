"""Which family of networks a configuration is of."""

from diffcomp.architectures.architecture import Architecture
from diffcomp.architectures.base import BaseArchitecture
from diffcomp.architectures.published import PublishedArchitecture
from diffcomp.networks.config import ModelConfig
from diffcomp.objectives.config import LossConfig
from diffcomp.published.config import CdcConfig, CdcLossConfig

BASE = BaseArchitecture()
PUBLISHED = PublishedArchitecture()

# A new family is one file beside base.py and published.py, and its names in these lines.
ARCHITECTURES: dict[str, Architecture] = {each.name: each for each in (BASE, PUBLISHED)}
AnyModelConfig = ModelConfig | CdcConfig
AnyLossConfig = LossConfig | CdcLossConfig


def architecture_of(config: AnyModelConfig) -> Architecture:
    """The family that a model's configuration is of."""
    return ARCHITECTURES[config.ARCHITECTURE]
