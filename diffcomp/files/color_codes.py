"""Colour spaces by the code points of ITU-T H.273, which PNG (cICP), AVIF and HEIF (nclx) use."""

from diffcomp.files import rgb_space
from diffcomp.files.image_error import ImageError
from diffcomp.files.rgb_space import RgbSpace

_C = (0.310, 0.316)  # the white of standard illuminant C
_E = (1 / 3, 1 / 3)
_SMPTE_C = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))

# Table 2: primaries and white, xy.
_PRIMARIES = {
    1: (rgb_space.SRGB_PRIMARIES, rgb_space.D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _C),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), rgb_space.D65),
    6: (_SMPTE_C, rgb_space.D65),
    7: (_SMPTE_C, rgb_space.D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _C),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), rgb_space.D65),
    11: (_P3, (0.314, 0.351)),
    12: (_P3, rgb_space.D65),
    22: (((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), rgb_space.D65),
}
# Table 3: transfer characteristics.
_CURVES = {
    1: rgb_space.bt709_decode,
    4: rgb_space.power(2.2),
    5: rgb_space.power(2.8),
    6: rgb_space.bt709_decode,
    8: rgb_space.power(1.0),
    13: rgb_space.srgb_decode,
    14: rgb_space.bt709_decode,
    15: rgb_space.bt709_decode,
}
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
UNSPECIFIED = 2


def refuse_high_dynamic_range(transfer: int | None, source: str) -> None:
    """Raises ImageError for PQ and HLG: to see them as sRGB takes a choice of tone mapping."""
    if transfer in _HIGH_DYNAMIC_RANGE:
        raise ImageError(
            f"is a picture of high dynamic range ({_HIGH_DYNAMIC_RANGE[transfer]} by its {source});"
            " make an sRGB version of it first"
        )


def coded_space(primaries: int, transfer: int, source: str, notes: list[str]) -> RgbSpace | None:
    """The space of two codes, where unspecified (2) means sRGB's; None with a note if not known.

    Args:
      source: what says so in the file, for texts, such as "cICP".

    Raises:
      ImageError: the transfer is PQ or HLG.
    """
    refuse_high_dynamic_range(transfer, source)
    if primaries == transfer == UNSPECIFIED:
        return None
    place = _PRIMARIES.get(1 if primaries == UNSPECIFIED else primaries)
    curve = _CURVES.get(13 if transfer == UNSPECIFIED else transfer)
    name = f"colours of {source} {primaries}/{transfer}"
    if place is None or curve is None:
        notes.append(f"{name} ignored: not a known combination")
        return None
    return rgb_space.rgb_space(name, curve, *place)
