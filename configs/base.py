"""The base model: one set of weights for all rates, small enough for a laptop.

    python launch/train.py --config=configs/base.py --workdir=/tmp/base \
        --config.data.train=folder:/path/to/photographs
    python launch/train.py --config=configs/base.py:smoke ...   # a minute on a laptop
"""

from typing import Any

from ml_collections import ConfigDict

from diffcomp.networks import parts

CODING = parts.HYPER_ANALYSIS + parts.ENTROPY_MODEL


def get_config(variant: str = "") -> ConfigDict:
    """`variant` is "" or "smoke" (a few steps of every stage on tiny networks)."""
    config = ConfigDict({"model": model(), "loss": loss(), "data": data(), "train": train()})
    config.mesh = mesh()
    config.stages = stages()
    config.decode = decode()
    config.validation = validation()
    return finished(config, variant)


def finished(config: ConfigDict, variant: str, groups: bool = False) -> ConfigDict:
    """The configuration, made small if `variant` is "smoke", with one group or all, and locked."""
    if variant == "smoke":
        shrink(config, groups)
    elif variant:
        raise ValueError(f"variant is {variant!r}; it must be '' or 'smoke'.")
    config.lock()
    return config


def model() -> ConfigDict:
    m = ConfigDict()
    # The networks of this project's own model.
    m.architecture = "base"
    # Channels of y, principal components of 16x16x3 patches at the start.
    m.latent_channels = 256
    # The channels of y are coded in groups from coarse to fine; the first channel of each. Those
    # from 0 hold what is coarse; they are few, so four passes of them cost little.
    m.group_starts = (0, 24, 96)
    # Passes over space in which each group is coded, 2 or 4.
    m.group_passes = (4, 2, 2)
    # Channels of z.
    m.hyper_channels = 96
    # Channels inside the networks of the hyperprior (analysis, synthesis, context).
    m.coding_width = 160
    # Channels of all networks at 1/4, 1/8 and 1/16 of the resolution.
    m.widths = (64, 128, 192)
    # Residual blocks of the analysis transform at 1/4, 1/8, 1/16.
    m.encoder_depths = (2, 2, 2)
    # Residual blocks of the context decoder at 1/4, 1/8, 1/16.
    m.context_depths = (3, 3, 2)
    # Residual blocks of each half of the score network at 1/4, 1/8; in all at 1/16.
    m.score_depths = (1, 1, 2)
    # Width of the embedding of quality, realism and noise level.
    m.condition_width = 64
    # Knots of the gains, spread evenly over the qualities 1 to 8.
    m.quality_knots = 8
    # Deviation that the score network assumes of the base reconstruction, images in [-1, 1].
    m.base_error = 0.1
    return m


def loss() -> ConfigDict:
    c = ConfigDict()
    # The loss of these networks.
    c.architecture = "base"
    # Weight of distortion at quality 1 and 8, bits per pixel per unit of mse (0..255).
    c.lmbda_low = 0.00015
    c.lmbda_high = 0.012
    # Trunk of the perceptual loss: "alex" (cheap) or "vgg" (the paper's).
    c.lpips_net = "alex"
    # LPIPS in units of mse (0..255): what one unit of LPIPS is worth.
    c.lpips_scale = 175.0
    # LPIPS by VGG16 and DISTS likewise, in the stages with vgg_images.
    c.lpips_vgg_scale = 0.0
    c.dists_scale = 150.0
    # What a unit of squared error that repeats in every cell of 16x16 pixels is worth, likewise.
    c.grid_scale = 10.0
    # What a unit of squared error of the mean colours of 8x8 and of 32x32 pixels is worth,
    # likewise but at every realism.
    c.box_scales = (0.0, 0.0)
    # What a unit of 1 - MS-SSIM is worth, like LPIPS.
    c.structure_scale = 0.0
    # The paper's rho at realism 1: weight of perception against distortion.
    c.rho_max = 0.9
    # Realism of a training image: uniform in this range, then cut off to [0, 1].
    c.realism_range = (-0.5, 1.75)
    # Share of training images at t = 1, where decoding starts; t of the others: uniform in [0, 1).
    c.start_share = 0.5
    # Deviation of the noise at t = 1: uniform in this range, then cut off to [0, 1].
    c.gamma_range = (-0.5, 1.0)
    # Exponent by which low rates are weighted up: (middle lmbda / lmbda)^balance.
    c.balance = 0.5
    # Share of the base reconstruction in the distortion.
    c.base_weight = 0.5
    # Bounds of the signal-to-noise weight on the error of the x_0 estimate.
    c.snr_weights = (1.0, 5.0)
    return c


def data() -> ConfigDict:
    c = ConfigDict()
    # Photographs to train on: folder:PATH, searched with its sub-folders, packed:FILE, made by
    # launch/pack.py, or tfds:NAME/SPLIT, a prepared TFDS data set (tfds:coco/2017/train,
    # tfds:div2k/bicubic_x2/train[:90%]). Several are joined by "," or "+".
    c.train = ""
    # Photographs to validate on, likewise; none if empty.
    c.validation = ""
    # Folder of TFDS data sets; if empty, TFDS_DATA_DIR or the default of TFDS.
    c.tfds_dir = ""
    # Images with a shorter side than this are left out, pixels.
    c.min_side = 128
    # Range of the random factor by which an image is made smaller before it is cropped, though
    # never below the crop; (1.0, 1.0) is off.
    c.downscale = (1.0, 1.0)
    # Crops of an image per epoch and megapixel; one per image for TFDS data sets.
    c.crops_per_megapixel = 32.0
    # Keep decoded images in memory (3 bytes per pixel of the data set, in each worker process).
    c.cache_decoded = True
    # Threads that read and crop, in each worker process if there are any.
    c.threads = 2
    # Processes that read and crop; 0 leaves it to threads of the training process.
    c.workers = 0
    # Seed of order, crops and flips.
    c.seed = 0
    return c


def train() -> ConfigDict:
    c = ConfigDict()
    # Seed of initialisation, noise and conditions.
    c.seed = 0
    # Exported model to start from, a folder or a shipped model's name; if empty, random networks
    # around the principal components of the training images.
    c.init = ""
    # 16x16 patches from which the principal components are computed.
    c.klt_patches = 200_000
    # Type in which the networks compute: "float32" or "bfloat16" (hyperprior and losses: float32).
    c.compute_dtype = "float32"
    # Precision of products of float32 on accelerators, JAX's jax_default_matmul_precision:
    # "default" (the device's fastest), "bfloat16", "tensorfloat32" or "float32". CPUs do not care.
    c.matmul_precision = "default"
    # Gradients of a larger norm are scaled down to it.
    c.clip_norm = 1.0
    # Adam's decay of second moments.
    c.adam_b2 = 0.99
    # Largest decay of the weight average.
    c.average_decay = 0.999
    # Steps between its updates.
    c.average_every = 1
    # At its n-th update the decay is at most 1 - (1 + n)^-power.
    c.average_power = 0.75
    # Steps between log lines.
    c.log_every = 100
    # Steps between validations.
    c.validate_every = 2_000
    # Minutes between checkpoints.
    c.checkpoint_minutes = 5.0
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


def decode() -> ConfigDict:
    c = ConfigDict()
    # Calls of the score network when a file is decoded, unless told otherwise.
    c.steps = 1
    # Deviation of the starting noise, 0 to 1; 0 is deterministic.
    c.gamma = 0.0
    return c


def validation() -> ConfigDict:
    c = ConfigDict()
    # Images that are compressed and decoded: the first of data.validation.
    c.images = 12
    # Longest side of the centre crop of each, pixels, at least 64; crops have multiples of 64.
    c.side = 512
    # Qualities, 1 to 8, that each is compressed at; () for a model of one rate.
    c.qualities = (2.0, 4.0, 6.0)
    # Calls of the score network when an image is decoded; 0: as many as decode.steps.
    c.steps = 0
    # Images shown in the panels: original and decoded side by side.
    c.panels = 4
    return c


def stages() -> tuple[ConfigDict, ...]:
    """Each stage starts from the weight average of the one before."""
    return (
        stage(
            name="linear",
            objective="linear",
            steps=4_000,
            batch=24,
            warmup=100,
            final_rate=0.1,
            multipliers=dict.fromkeys(CODING + parts.GAIN, 1.0),
        ),
        stage(
            name="context",
            objective="context",
            steps=8_000,
            batch=16,
            crop=64,
            final_rate=0.2,
            multipliers=dict.fromkeys(parts.CONTEXT, 1.0),
        ),
        stage(
            name="score",
            objective="decoder",
            steps=1_500,
            multipliers=dict.fromkeys(parts.SCORE, 1.0),
        ),
        stage(
            name="joint",
            objective="joint",
            steps=4_200,
            learning_rate=3e-4,
            warmup=300,
            final_rate=0.05,
            # The linear path stays as it is: its entries are as small as a component's spread,
            # and Adam moves every entry alike.
            multipliers=dict.fromkeys(parts.SCORE + parts.CONTEXT + parts.ENCODER, 1.0)
            | dict.fromkeys(CODING + parts.GAIN, 0.3),
        ),
    )


def stage(**changes: Any) -> ConfigDict:
    """A stage with these fields, the others as here."""
    c = ConfigDict()
    # What log lines and metrics call it.
    c.name = ""
    # Which loss: one of those of the architecture, see diffcomp/objectives/.
    c.objective = ""
    # Steps of the optimiser.
    c.steps = 1_000
    # Crops per step, on all devices together.
    c.batch = 8
    # Micro-batches in a row that make a step's gradient: for batches that do not fit in memory.
    c.accumulate = 1
    # Side of a crop, pixels; a multiple of 64.
    c.crop = 128
    # Images of each batch, those of highest realism, that VGG16 looks at too: DISTS, and LPIPS by
    # VGG16 where loss.lpips_vgg_scale is not 0 (slow). 0 for the published networks.
    c.vgg_images = 0
    # Side of the square in the middle of each of them that it looks at, pixels, a multiple of 16;
    # 0: all of the crop.
    c.vgg_side = 0
    # Adam's rate.
    c.learning_rate = 1e-3
    # Steps over which it rises from 0.
    c.warmup = 200
    # How it falls to final_rate times that: "cosine", at the stage's end, or "stairs", by
    # stair_factor every stair_steps.
    c.schedule = "cosine"
    c.final_rate = 0.3
    c.stair_steps = 1_000
    c.stair_factor = 1.0
    # Parameters by path prefix, and the factor on their rate; all others are frozen.
    c.multipliers = {}
    c.update(changes)
    return c


def shrink(config: ConfigDict, groups: bool) -> None:
    """Every stage, at a hundredth of the size.

    The channels of y are one group, unless `groups`: every pass is compiled by itself, and eight of
    them would double the time of this variant.
    """
    config.model.latent_channels = 24
    starts, passes = ((0, 4, 8), (4, 2, 2)) if groups else ((0,), (2,))
    config.model.group_starts, config.model.group_passes = starts, passes
    config.model.hyper_channels = 8
    config.model.coding_width = 16
    config.model.widths = (8, 16, 16)
    config.model.encoder_depths = (1, 1, 1)
    config.model.context_depths = (1, 1, 1)
    config.model.score_depths = (1, 1, 1)
    config.model.condition_width = 8
    config.data.min_side = 64
    config.train.klt_patches = 2_000
    config.train.log_every = 1
    config.train.validate_every = 2
    config.validation.update(images=2, side=64, qualities=(2.0, 6.0), steps=1, panels=1)
    for stage in config.stages:
        images = min(stage.vgg_images, 1)
        side = min(stage.vgg_side, 48)
        stage.update(steps=2, batch=2, crop=64, warmup=1, vgg_images=images, vgg_side=side)
