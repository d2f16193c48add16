"""What the columns of an evaluation are called, and what their figures mean."""

from collections.abc import Sequence

from diffcomp.evaluation.bd_rate import LEAST_OVERLAP, LEAST_POINTS, METHOD
from diffcomp.evaluation.metrics import catalogue, libjxl_programs
from diffcomp.evaluation.rate_comparison import LEVEL, RESAMPLES

_LABELS = {  # of columns that are no metrics of image pairs
    "bpp": "rate (bpp)",
    "encode_seconds": "encode (s)",
    "decode_seconds": "decode (s)",
    "fid": "FID",
    "kid": "KID",
    "fd_vgg": "FD-VGG",
    "kd_vgg": "KD-VGG",
}


def higher_is_better(name: str) -> bool:
    """Of a metric's name; all distances between sets are better when lower."""
    return name in catalogue.METRICS and catalogue.METRICS[name].higher_is_better


def label(column: str) -> str:
    """A column's name for people, with its unit."""
    if column in catalogue.METRICS:
        return catalogue.METRICS[column].label
    return _LABELS.get(column, column)


def definitions(names: Sequence[str], set_names: Sequence[str], workers: int) -> dict[str, str]:
    """What each figure is, in words."""
    texts = {
        "bytes": "size of the whole file, header included",
        "bpp": "8 * bytes / (width * height)",
    }
    for name in names:
        direction = "higher" if higher_is_better(name) else "lower"
        texts[name] = f"{label(name)} on 8-bit sRGB images, mean over images; {direction} is better"
        texts[name] += "".join(f"; {note}" for note in (catalogue.METRICS[name].note,) if note)
        if catalogue.METRICS[name].by_program:
            texts[name] += f"; {libjxl_programs.stated(name)}"
    for name in set_names:
        texts[name] = f"{label(name)} between all decoded and all original images, 256x256 patches"
    texts |= {
        "encode_seconds": f"wall clock with {workers} job(s) at a time, compilation excluded",
        "decode_seconds": "as encode_seconds; for figures of time alone run with --workers 1",
        "bd_rate_percent": f"Bjontegaard rate by {METHOD} over the codecs' mean points; negative "
        "means smaller files than the anchor's at equal quality; none of curves of fewer than "
        f"{LEAST_POINTS} points, that are not monotone, or that share less than "
        f"{LEAST_OVERLAP:.0%} of their qualities",
        "low_percent, high_percent": f"{LEVEL:.0%} interval of the rate, from {RESAMPLES} draws of "
        'the pictures with replacement; an interval that holds 0 is "no difference"',
        "wins, losses": "pictures of which, alone, the codec's files are smaller or larger",
    }
    return texts
