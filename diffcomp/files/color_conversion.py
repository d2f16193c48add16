"""Converts colours to sRGB: palettes and transparency, ICC profiles, a background by its name.

Nothing here touches a file; `image_file` calls it with what Pillow decoded.
"""

import io

import numpy as np
from PIL import Image, ImageCms, ImageColor


def split_alpha(image: Image.Image, raw_mode: str) -> tuple[Image.Image, np.ndarray | None]:
    """Separates the colour of a loaded image, without palette, from its transparency.

    Args:
      image: of any mode.
      raw_mode: Pillow's name for the samples in the file, such as "L;2" or "RGB;16B"; a
        transparent colour (PNG tRNS) is given at their depth.

    Returns:
      The image without alpha, and the alpha, uint8 [H, W], or None if opaque everywhere.
    """
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in ("LA", "RGBA"):
        alpha = np.array(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    elif "transparency" in image.info:
        alpha = _alpha_of_key(image, raw_mode)
    else:
        return image, None
    return image, None if alpha.min() == 255 else alpha


def _alpha_of_key(image: Image.Image, raw_mode: str) -> np.ndarray:
    """Returns alpha [H, W] of a PNG with one transparent grey or colour (tRNS).

    Pillow gives the key at the depth of the file, though it scales the pixels to 8 bits.
    """
    key = np.array(image.info["transparency"])
    if raw_mode in ("L;2", "L;4"):
        key = key * {"L;2": 85, "L;4": 17}[raw_mode]
    elif raw_mode == "RGB;16B":
        # The low bytes are lost: this finds every pixel of the key, perhaps some near it too.
        key = key >> 8
    samples = np.asarray(image)
    is_key = (samples.reshape(*samples.shape[:2], -1) == key).all(axis=-1)
    return np.where(is_key, 0, 255).astype(np.uint8)


def to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """Converts an image without alpha or palette to mode "RGB" in sRGB.

    Args:
      image: 8-bit, of any mode that `split_alpha` returns.
      icc: the embedded profile, None without. One that is sRGB in effect changes nothing.
      notes: takes one sentence if the profile is applied, and one if it is of no use.
    """
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if icc:
        try:
            return _apply_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), notes)
        except (OSError, ValueError, ImageCms.PyCMSError):
            notes.append("broken ICC profile ignored")
    return image.convert("RGB")


def _apply_profile(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, notes: list[str]
) -> Image.Image:
    space = profile.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
    if mode == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if mode != image.mode:
        notes.append(f"ICC profile of colour space {space} ignored: the picture is {image.mode}")
        return image.convert("RGB")
    # Little CMS replaces the profile by a coarse table: ten levels off for linear grey. Without,
    # it takes a quarter of a second per megapixel; for colour a finer table is close enough.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.HIGHRESPRECALC
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=flags,
    )
    if _is_neutral(transform, mode):
        return image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    # The name comes from the file and goes to a terminal.
    name = "".join(c for c in ImageCms.getProfileDescription(profile) if c.isprintable())[:60]
    notes.append(f'ICC profile "{name}" converted to sRGB')
    return converted


def _is_neutral(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether no colour of a 16 x 16 x 16 lattice moves by more than one level.

    So sRGB is known by what it does, as its many versions share no name.
    """
    lattice = np.indices((16, 16, 16), np.uint8).reshape(3, 64, 64).transpose(1, 2, 0) * 17
    probe = Image.fromarray(np.ascontiguousarray(lattice)).convert(mode)
    before = np.asarray(probe.convert("RGB"), np.int16)
    after = np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
    return bool(np.abs(after - before).max() <= 1)


def composite(
    pixels: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]
) -> np.ndarray:
    """Mixes uint8 [H, W, 3] over a colour by alpha [H, W], rounding to nearest."""
    opacity = alpha[..., None].astype(np.uint16)
    mix = pixels * opacity + np.array(background, np.uint16) * (255 - opacity)
    return ((mix + 127) // 255).astype(np.uint8)


def parse_color(text: str) -> tuple[int, int, int]:
    """Returns the sRGB values, 0..255, of an opaque colour: a CSS name or #rrggbb.

    Raises:
      ValueError: `text` names no colour, or one with an alpha value.
    """
    try:
        color = ImageColor.getrgb(text)
    except ValueError:
        color = ()
    if not is_color(color):
        raise ValueError(
            f"{text!r} is not an opaque colour; give #rrggbb or a name: white, black, grey, red ..."
        )
    return color


def is_color(color: tuple[int, ...]) -> bool:
    """Whether `color` is three integers in 0..255."""
    return len(color) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in color)
