"""What a model does with pictures that codecs fail on, beside JPEG, WebP and AVIF of as many bytes.

    python launch/evaluate.py --config=configs/evaluate_failures.py --config.models="('DIR',)" \
        --config.out=failures
    python launch/failure_table.py failures --csv=DIR/failures.csv >> DIR/README.md

The second writes the rows that count beside the model, and the table of its card.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """Meaning and unit of every field stand in `evaluate_kodak.py`; `variant` is "" or "smoke"."""
    c = ConfigDict()
    c.images = ()  # they are drawn
    c.protocol = "failures"
    c.models = ("base",)
    c.qualities = (4.0,)
    c.realisms = (1.0,)
    c.steps = ()
    c.gammas = ()
    c.realism_0_metrics = ()
    c.seed = 0
    c.baselines = ("jpeg", "webp", "avif")
    c.external = ""
    c.metrics = ("psnr", "lpips_alex", "flat_colour")
    c.set_metrics = ()
    c.inception = ""
    c.anchor = "avif"
    c.published = False
    c.linear_rate = False
    c.workers = 0
    c.cache = "user"
    c.report_images = 10
    c.report_megabytes = 20.0
    c.out = "failures"
    if variant == "smoke":
        c.update(baselines=("avif",), metrics=("psnr",), report_images=1)
    elif variant:
        raise ValueError(f"variant is {variant!r}; it must be '' or 'smoke'.")
    c.lock()
    return c
