"""The Kodak table: the base model, the usual codecs and quoted curves, every metric.

    python launch/evaluate.py --config=configs/evaluate_kodak.py \
        --config.images="('/path/to/kodak',)" --config.out=report
    python launch/evaluate.py --config=configs/evaluate_kodak.py:smoke ...  # two rungs, two metrics
"""

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """`variant` is "" or "smoke" (few qualities, quick metrics, no further package)."""
    c = ConfigDict()
    # Files, folders and tfds:NAME/SPLIT; the protocol's own data set if empty.
    c.images = ()
    # How the images are prepared: none, kodak, tecnick, div2k, coco or clic (see protocols.py).
    c.protocol = "kodak"
    # Shipped models and folders of exported ones.
    c.models = ("base",)
    # Qualities of the models, 1 to 8.
    c.qualities = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
    # Realisms at which each file is decoded, 0 to 1; each is a codec of its own in the tables.
    c.realisms = (0.0, 1.0)
    # Calls of the score network; the model's default if empty. Each is a codec of its own.
    c.steps = ()
    # Scales of the starting noise, 0 to 1, likewise.
    c.gammas = ()
    # Metrics that count at realism 0; all if empty.
    c.realism_0_metrics = ()
    # Seed of the decoder's noise.
    c.seed = 0
    # Other codecs, by name or NAME=QUALITY/QUALITY/... (see baselines.py).
    c.baselines = ("jpeg", "webp", "avif", "heic", "jxl")
    # JSON file of further codecs and their programs (see external_codecs.py); none if empty.
    c.external = ""
    # Metrics of image pairs, or "all" but ssimulacra2 and butteraugli, which take programs.
    c.metrics = ("all",)
    # Distances between the sets of decoded and original images: fid, kid, fd_vgg, kd_vgg; "auto"
    # is fd_vgg of 513 patches or more, and kd_vgg of 100 or more.
    c.set_metrics = ("auto",)
    # File with the weights of Inception, which fid and kid need.
    c.inception = ""
    # Codec that Bjontegaard rates are against, also METRIC=CODEC; the first baseline if empty.
    c.anchor = "jpeg"
    # Draw curves quoted from publications, dashed.
    c.published = True
    # Plots with a linear axis of the rate; logarithmic otherwise.
    c.linear_rate = False
    # Jobs at a time; 0 for one per core. Times are fit to be published with 1 only.
    c.workers = 0
    # Folder of other codecs' rows that later evaluations take over, without times: "user" for one
    # in the user's cache, none if empty.
    c.cache = ""
    # Images with pictures in the report.
    c.report_images = 24
    # Size that the report's pictures may take, megabytes.
    c.report_megabytes = 60.0
    # Folder of all outputs. Rows that are there already are kept.
    c.out = "report"
    if variant == "smoke":
        c.update(qualities=(2.0, 5.0), realisms=(1.0,), baselines=("jpeg",))
        c.update(metrics=("psnr", "lpips_alex"), set_metrics=(), report_images=1)
    elif variant:
        raise ValueError(f"variant is {variant!r}; it must be '' or 'smoke'.")
    c.lock()
    return c
