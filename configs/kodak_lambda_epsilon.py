"""The published noise-prediction model (Yang & Mandt 2023): kodak_lambda.py, but for these fields.

    python launch/train.py --config=configs/kodak_lambda_epsilon.py:lmbda=0.2048 --workdir=DIR ...

Sources of the values are marked as there.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

# Released models, as (lmbda, rho). [weights]
LADDER = (
    (0.0128, 0.0),
    (0.0256, 0.0),
    (0.0512, 0.0),
    (0.1024, 0.9),
    (0.2048, 0.9),
    (0.3072, 0.9),
)


def sweep() -> list[str]:
    """The variants of the ladder, for `--config=configs/kodak_lambda_epsilon.py:VARIANT`."""
    return [f"lmbda={lmbda},rho={rho}" for lmbda, rho in LADDER]


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in kodak_lambda.py; the default is lmbda=0.2048,rho=0.9."""
    base = runpy.run_path(str(Path(__file__).with_name("kodak_lambda.py")))
    config = base["get_config"](f"lmbda=0.2048,{variant}")
    config.unlock()
    # The U-Net predicts the noise. [paper]
    config.model.prediction = "eps"
    # Three channels of context at full resolution. [weights]
    config.model.context_channels = 3
    # The estimate of x_0 is left as it is while sampling. [code]
    config.model.clip = False
    # Noise schedule, and its levels in training. [code]
    config.model.schedule = "linear"
    config.model.training_steps = 20_000
    # While sampling the U-Net is told the number of the step / steps. [code]
    config.model.time_input = "step"
    # Mean absolute error, the same weight at every level. [code]
    config.loss.error = "absolute"
    config.loss.largest_weight = 0.0
    # Adam's rate and its stairs. [code]
    config.stages[0].learning_rate = 4e-5
    config.stages[0].stair_factor = 0.9
    config.stages[0].final_rate = 0.5
    # No weight average. [code]
    config.train.average_decay = 0.0
    if "smoke" not in variant.split(","):
        # Calls of the U-Net when a file is decoded, unless told otherwise. [code]
        config.decode.steps = 200
        # The same while training, where it need not be at its best. [ours]
        config.validation.steps = 50
    config.lock()
    return config
