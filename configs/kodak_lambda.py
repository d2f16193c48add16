"""The published x-prediction model (Yang & Mandt 2023): one model for each lambda.

    python launch/train.py --config=configs/kodak_lambda.py:lmbda=0.1024 --workdir=DIR \
        --config.data.train=folder:/path/to/vimeo_septuplet/sequences
    python launch/train.py --config=configs/kodak_lambda.py:smoke ...   # a minute on a laptop

What no line here speaks of is base.py's: memory, logging, devices, seeds, and the
clipping of gradients and decay of the weight average, which the authors' code has alike.
Where values come from: [paper] the paper, [code] the authors' released code, [weights] the files
that they released, [advice] their answers to those who tried to train it, [ours] our choice.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from diffcomp.published import parts

# Released models, as (lmbda, rho). [weights] Larger lmbda: fewer bits. Those with rho = 0 minimise
# squared error, those with 0.9 look best.
LADDER = (
    (0.0032, 0.0),
    (0.0064, 0.0),
    (0.0128, 0.0),
    (0.0512, 0.9),
    (0.1024, 0.9),
    (0.2048, 0.9),
)
PARTS = parts.ENCODER + parts.HYPER_ANALYSIS + parts.ENTROPY_MODEL + parts.CONTEXT + parts.SCORE


def sweep() -> list[str]:
    """The variants of the ladder, for `--config=configs/kodak_lambda.py:VARIANT`."""
    return [f"lmbda={lmbda},rho={rho}" for lmbda, rho in LADDER]


def get_config(variant: str = "") -> ConfigDict:
    """`variant` is a list, by commas, of "smoke", "lmbda=NUMBER" and "rho=NUMBER"."""
    base = runpy.run_path(str(Path(__file__).with_name("base.py")))
    config = base["get_config"]()
    config.unlock()
    config.model, config.loss, config.stages = model(), loss(), (base["stage"](),)
    data(config.data)
    train(config.train)
    stage(config.stages[0])
    decode(config.decode)
    validation(config.validation)
    for word in filter(None, variant.split(",")):
        name, _, value = word.partition("=")
        if word == "smoke":
            shrink(config)
        elif name in ("lmbda", "rho") and value:
            config.loss[name] = float(value)
        else:
            raise ValueError(
                f"variant is {word!r}; it must be '' or 'smoke', 'lmbda=NUMBER' or 'rho=NUMBER'."
            )
    config.lock()
    return config


def model() -> ConfigDict:
    m = ConfigDict()
    # The published networks.
    m.architecture = "cdc"
    # Channels at full resolution; all others are multiples of it. [paper, code]
    m.width = 64
    # Channels of the context map at full resolution. [weights]
    m.context_channels = 64
    # Channels of the compressor at 1/2, 1/4, 1/8, 1/16, in widths. [paper, code]
    m.compressor_multipliers = (1, 2, 3, 4)
    # Channels of the U-Net at 1/1 to 1/32, in widths. [paper, code]
    m.score_multipliers = (1, 2, 3, 4, 5, 6)
    # What the U-Net predicts: "x0" or "eps". [paper]
    m.prediction = "x0"
    # Whether the estimate of x_0 is cut off at [-1, 1] while sampling. [code]
    m.clip = True
    # Noise schedule. [paper, code]
    m.schedule = "cosine"
    # Noise levels in training. [weights; the code's default is 20000]
    m.training_steps = 8193
    # What the U-Net is told of the level while sampling: "index" / training_steps. [code]
    m.time_input = "index"
    return m


def loss() -> ConfigDict:
    c = ConfigDict()
    # The published loss.
    c.architecture = "cdc"
    # Weight of the rate, in bits per pixel; "beta" in the code. NB: base weights distortion.
    # [weights: the middle one of three]
    c.lmbda = 0.1024
    # The same in the high-rate warm-up, without which images stay grey. [code; advice: up to 1e-5]
    c.warmup_lmbda = 1e-6
    # Steps of the high-rate warm-up. [advice: 500,000 to 700,000]
    c.warmup_steps = 500_000
    # Weight of LPIPS; the prediction's error has 1 - rho. [weights: 0 or 0.9]
    c.rho = 0.9
    # Trunk of LPIPS. [paper, code]
    c.lpips_net = "vgg"
    # Error of the prediction: "squared" or "absolute". [code]
    c.error = "squared"
    # Largest weight of the error, which is weighted by the signal-to-noise ratio; 0: by 1. [code]
    c.largest_weight = 5.0
    return c


def data(c: ConfigDict) -> None:
    # Images to train on. [paper: frames of Vimeo-90k]
    c.train = "folder:data/vimeo_septuplet/sequences"
    # Frames are 448x256 and none is made smaller before cropping. [paper]
    c.min_side = 256
    # One crop of a frame per epoch. [ours]
    c.crops_per_megapixel = 1.0
    # There are too many frames to keep. [ours]
    c.cache_decoded = False
    c.threads = 16


def train(c: ConfigDict) -> None:
    # Adam's decay of second moments. [code: its library's default]
    c.adam_b2 = 0.999
    # Steps between updates of the weight average. [code; its decay and power too are base's]
    c.average_every = 10
    # Rarer than base's, for the steps are many. [ours]
    c.validate_every = 10_000
    c.checkpoint_minutes = 10.0


def stage(c: ConfigDict) -> None:
    c.name = "published"
    # Which loss: diffcomp/objectives/published.py.
    c.objective = "published"
    # Steps in all: the warm-up and what the paper trained after it. [advice, paper: 1,000,000]
    c.steps = 1_500_000
    # Crops per step, on all devices together. [paper, code]
    c.batch = 4
    # Side of a crop, pixels. [paper, code]
    c.crop = 256
    # Adam's rate, and the steps over which it rises from 0. [paper, code; paper: none]
    c.learning_rate = 5e-5
    c.warmup = 0
    # It falls in stairs, to this share of it, by a factor every so many steps. [paper, code; the
    # released code, by a slip, goes down all the stairs at once after the first 100,000 steps]
    c.schedule = "stairs"
    c.final_rate = 0.2
    c.stair_steps = 100_000
    c.stair_factor = 0.8
    # What is trained, by path prefix, and the factor on its rate. [paper: everything]
    c.multipliers = dict.fromkeys(PARTS, 1.0)


def decode(c: ConfigDict) -> None:
    # Calls of the U-Net when a file is decoded, unless told otherwise. [paper; code: 65]
    c.steps = 17
    # Deviation of the starting noise. [code]
    c.gamma = 0.8


def validation(c: ConfigDict) -> None:
    # Images that are compressed and decoded, at the one rate that there is. [ours]
    c.images = 8
    c.side = 256
    c.qualities = ()


def shrink(config: ConfigDict) -> None:
    """The same at a hundredth of the size: a step in the warm-up, one after it."""
    config.model.update(width=4, context_channels=4, score_multipliers=(1, 2, 3, 4, 5))
    config.loss.update(warmup_steps=1, lpips_net="alex")
    config.data.update(min_side=64, threads=2)
    config.train.update(log_every=1, validate_every=2)
    config.stages[0].update(steps=2, batch=2, crop=64)
    config.decode.steps = 2
    config.validation.update(images=1, side=64, panels=1)
