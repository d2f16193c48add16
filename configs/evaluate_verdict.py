"""Is a model better, and is it sure? Five metrics against AVIF tuned for the eye and for PSNR.

    python launch/evaluate.py --config=configs/evaluate_verdict.py \
        --config.images="('/path/to/photographs',)" --config.models="('DIR',)" --config.out=verdict

Realism 1 is judged by all metrics, realism 0 by PSNR; PSNR against `avif-psnr`, all else against
`avif`, what each is made for. AVIF's rows are measured once and then kept: a further model takes
minutes.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """Meaning and unit of every field stand in `evaluate_kodak.py`; `variant` is "" or "smoke"."""
    c = ConfigDict()
    c.images = ()
    c.protocol = "none"
    c.models = ("base",)
    c.qualities = (1.0, 2.0, 4.0, 6.0)
    c.realisms = (0.0, 1.0)
    c.steps = ()
    c.gammas = ()
    c.realism_0_metrics = ("psnr",)
    c.seed = 0
    c.baselines = ("avif", "avif-psnr")
    c.external = ""
    c.metrics = ("lpips_alex", "lpips_vgg", "dists", "ms_ssim", "psnr")
    c.set_metrics = ()
    c.inception = ""
    c.anchor = "avif,psnr=avif-psnr"
    c.published = False
    c.linear_rate = False
    c.workers = 0
    c.cache = "user"
    # Decoding for the viewer takes longer than all else that is left.
    c.report_images = 5
    c.report_megabytes = 20.0
    c.out = "verdict"
    if variant == "smoke":
        c.update(qualities=(2.0, 5.0), metrics=("psnr", "lpips_alex"), report_images=1)
    elif variant:
        raise ValueError(f"variant is {variant!r}; it must be '' or 'smoke'.")
    c.lock()
    return c
