"""The published x-prediction model (Yang & Mandt 2023): one model for each lambda.

    python launch/train.py --config=configs/kodak_lambda.py:lmbda=0.1024 --workdir=DIR \
        --config.data.train=folder:/path/to/vimeo_septuplet/sequences
    python launch/train.py --config=configs/kodak_lambda.py:smoke ...   # a minute on a laptop

Where values come from: [paper] the paper, [code] the authors' released code, [weights] the files
that they released, [advice] their answers to those who tried to train it, [ours] our choice.
"""

from ml_collections import ConfigDict

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
PARTS = ("analysis", "hyper_analysis", "hyper_synthesis", "prior", "medians")
PARTS += ("context_decoder", "score_network")


def sweep() -> list[str]:
    """The variants of the ladder, for `--config=configs/kodak_lambda.py:VARIANT`."""
    return [f"lmbda={lmbda},rho={rho}" for lmbda, rho in LADDER]


def get_config(variant: str = "") -> ConfigDict:
    """`variant` is a list, by commas, of "smoke", "lmbda=NUMBER" and "rho=NUMBER"."""
    config = ConfigDict({"model": model(), "loss": loss(), "data": data(), "train": train()})
    config.mesh, config.stages, config.decode = mesh(), (stage(),), decode()
    config.validation = validation()
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


def data() -> ConfigDict:
    c = ConfigDict()
    # Images to train on, folder:PATH or tfds:NAME/SPLIT. [paper: frames of Vimeo-90k]
    c.train = "folder:data/vimeo_septuplet/sequences"
    # Images to validate on, likewise; none if empty. [ours]
    c.validation = ""
    # Folder of prepared TensorFlow data sets; TFDS's own default if empty.
    c.tfds_dir = ""
    # Images with a shorter side than this are left out, pixels. [paper: frames of 448x256]
    c.min_side = 256
    # Range of a random factor by which images are made smaller before cropping. [paper: none]
    c.downscale = (1.0, 1.0)
    # Crops of an image per epoch and megapixel. [ours: one per frame]
    c.crops_per_megapixel = 1.0
    # Keep decoded images in memory (3 bytes per pixel of the data set).
    c.cache_decoded = False
    # Threads that read and crop, in each worker process if there are any.
    c.threads = 16
    # Worker processes that read and crop; 0: threads of this process.
    c.workers = 0
    # Seed of order, crops and flips.
    c.seed = 0
    return c


def train() -> ConfigDict:
    c = ConfigDict()
    # Seed of initialisation, noise and noise levels.
    c.seed = 0
    # Exported model to start from, a folder or a shipped model's name; random weights if empty.
    c.init = ""
    # For base only: patches of its principal components.
    c.klt_patches = 0
    # Type in which the networks compute: "float32" or "bfloat16". [paper: float32]
    c.compute_dtype = "float32"
    # Gradients of a larger norm are scaled down to it. [code]
    c.clip_norm = 1.0
    # Adam's decay of second moments. [code: its library's default]
    c.adam_b2 = 0.999
    # Largest decay of the weight average. [code]
    c.average_decay = 0.999
    # Steps between its updates. [code]
    c.average_every = 10
    # At its n-th update the decay is at most 1 - (1 + n)^-power. [code]
    c.average_power = 0.75
    # Steps between log lines.
    c.log_every = 100
    # Steps between validations.
    c.validate_every = 10_000
    # Minutes between checkpoints.
    c.checkpoint_minutes = 10.0
    # Newest checkpoints that are kept, 1 or more.
    c.keep_checkpoints = 2
    # Checkpoints that are kept beside them for their validation score: so many of the best.
    c.keep_best = 1
    # Step at which a profile is taken, and for how many steps; none if 0.
    c.profile_start = 100
    c.profile_steps = 0
    return c


def mesh() -> ConfigDict:
    c = ConfigDict()
    # Devices that share out a batch only; -1: all that are left.
    c.data = -1
    # Devices that also share out parameters, averages and the optimiser's state.
    c.fsdp = 1
    return c


def stage() -> ConfigDict:
    c = ConfigDict()
    c.name = "published"
    # Which loss; see cdc_losses.py.
    c.objective = "published"
    # Steps in all: the warm-up and what the paper trained after it. [advice, paper: 1,000,000]
    c.steps = 1_500_000
    # Crops per step, on all devices together. [paper, code]
    c.batch = 4
    # Micro-batches in a row that make a step's gradient. [paper: 1]
    c.accumulate = 1
    # Side of a crop, pixels. [paper, code]
    c.crop = 256
    # For base only: images of each batch whose DISTS counts.
    c.dists_images = 0
    # Adam's rate. [paper, code]
    c.learning_rate = 5e-5
    # Steps over which it rises from 0. [paper: none]
    c.warmup = 0
    # It falls in stairs, to this share of it, by a factor every so many steps. [paper, code; the
    # released code, by a slip, goes down all the stairs at once after the first 100,000 steps]
    c.schedule = "stairs"
    c.final_rate = 0.2
    c.stair_steps = 100_000
    c.stair_factor = 0.8
    # What is trained, by path prefix, and the factor on its rate. [paper: everything]
    c.multipliers = dict.fromkeys(PARTS, 1.0)
    return c


def decode() -> ConfigDict:
    c = ConfigDict()
    # Calls of the U-Net when a file is decoded, unless told otherwise. [paper; code: 65]
    c.steps = 17
    # Deviation of the starting noise. [code]
    c.gamma = 0.8
    return c


def validation() -> ConfigDict:
    c = ConfigDict()
    # Images that are compressed and decoded: the first of data.validation. [ours]
    c.images = 8
    # Longest side of the centre crop of each, pixels, at least 64; crops have multiples of 64.
    c.side = 256
    # For base only: qualities that each is compressed at.
    c.qualities = ()
    # Calls of the U-Net when an image is decoded; 0: as many as decode.steps. [ours]
    c.steps = 0
    # Images shown in the panels: original and decoded side by side.
    c.panels = 4
    return c


def shrink(config: ConfigDict) -> None:
    """The same at a hundredth of the size: a step in the warm-up, one after it."""
    config.model.update(width=4, context_channels=4, score_multipliers=(1, 2, 3, 4, 5))
    config.loss.update(warmup_steps=1, lpips_net="alex")
    config.data.update(min_side=64, threads=2)
    config.train.update(log_every=1, validate_every=2)
    config.stages[0].update(steps=2, batch=2, crop=64)
    config.decode.steps = 2
    config.validation.update(images=1, side=64, panels=1)
