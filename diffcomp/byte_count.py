"""Sizes in bytes, as people write them."""

import re

_SIZE = re.compile(r"([0-9]*\.?[0-9]+)\s*([kKMG]?)(i?)B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3}


def parse_bytes(text: str) -> float:
    """A size as people write it -> bytes; raises ValueError.

    >>> parse_bytes("100k"), parse_bytes("1.5MB"), parse_bytes("64KiB")
    (100000.0, 1500000.0, 65536.0)
    """
    match = _SIZE.fullmatch(text.strip())
    if not match or (match[3] and not match[2]):
        raise ValueError(f"size is {text!r}; it must be like 90000, 100k, 1.5M or 64KiB.")
    return float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]]
