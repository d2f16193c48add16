"""The quality dial: a real number in [1, 8], kept in a file as one byte; and the effort."""

import numbers
from typing import Any

MIN_QUALITY = 1.0
MAX_QUALITY = 8.0
DEFAULT_QUALITY = 4.0
CODES_PER_UNIT = 32
CODES = int((MAX_QUALITY - MIN_QUALITY) * CODES_PER_UNIT) + 1  # 225 values, 0 to 224
ONE_RATE_CODE = 255  # in files of a model that has no dial
MAX_EFFORT = 9  # of `refinement`; files do not tell it


def quality_to_code(quality: float) -> int:
    """The nearest code of a quality; raises ValueError outside [1, 8], for NaN and no number.

    >>> quality_to_code(4.0), code_to_quality(96)
    (96, 4.0)
    """
    if not isinstance(quality, numbers.Real) or not MIN_QUALITY <= quality <= MAX_QUALITY:
        raise ValueError(
            f"quality is {quality!r}; it must be in [{MIN_QUALITY:g}, {MAX_QUALITY:g}]."
        )
    return round((quality - MIN_QUALITY) * CODES_PER_UNIT)


def code_to_quality(code: int) -> float:
    """The quality of a code; raises ValueError for one that no file may hold."""
    if not 0 <= code < CODES:
        raise ValueError(f"quality code is {code}; it must be in [0, {CODES - 1}].")
    return MIN_QUALITY + code / CODES_PER_UNIT


def normalized_quality(quality: Any) -> Any:
    """Quality in [1, 8], a number or an array of either kind -> [0, 1]."""
    return (quality - MIN_QUALITY) / (MAX_QUALITY - MIN_QUALITY)
