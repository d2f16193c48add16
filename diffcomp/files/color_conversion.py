"""Converts colours to sRGB: palettes and transparency, ICC profiles, a background by its name.

Nothing here touches a file; `image_file` calls it with what was decoded.
"""

import io

import numpy as np
from PIL import Image, ImageCms, ImageColor

from diffcomp.files.color_codes import refuse_high_dynamic_range
from diffcomp.files.deep_samples import depth_name, to_8_bits
from diffcomp.files.icc_profile import coded_transfer, space_of_profile
from diffcomp.files.image_error import ImageError
from diffcomp.files.rgb_space import RgbSpace


def split_alpha(
    image: Image.Image, raw_mode: str, key: tuple[int, ...] = ()
) -> tuple[Image.Image, np.ndarray | None]:
    """Separates the colour of a loaded image, without palette, from its transparency.

    Args:
      image: 8-bit, of any mode.
      raw_mode: Pillow's name for the samples in the file, such as "L;2".
      key: the one transparent grey or colour (PNG tRNS), at the depth of the file. Of a palette,
        and of other formats, Pillow knows the transparency.

    Returns:
      The image without alpha, and the alpha, uint8 [H, W], or None if opaque everywhere.

    Raises ImageError for a picture of palette indices whose file has no palette.
    """
    if image.mode in ("P", "PA"):
        if image.palette is None:
            raise ImageError("has palette indices for pixels, but no palette")
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in ("LA", "RGBA"):
        alpha = np.array(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    elif key and image.mode in ("L", "RGB"):
        # Pillow scales the pixels to 8 bits.
        scale = {"1": 255, "L;2": 85, "L;4": 17}.get(raw_mode, 1)
        samples = np.asarray(image)
        alpha = _alpha_of_key(samples.reshape(*samples.shape[:2], -1), np.array(key) * scale)
    elif "transparency" in image.info and image.mode in ("L", "RGB"):
        samples = np.asarray(image)
        key_there = np.array(image.info["transparency"])
        alpha = _alpha_of_key(samples.reshape(*samples.shape[:2], -1), key_there)
    else:
        return image, None
    return image, None if alpha.min() == 255 else alpha


def split_deep_alpha(
    samples: np.ndarray, white: int, key: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray | None]:
    """The same for samples [H, W, 1..4] from 0 to `white`: grey or RGB, with or without alpha."""
    if samples.shape[2] in (2, 4):
        alpha = to_8_bits(samples[..., -1], white)
        samples = samples[..., :-1]
    elif key:
        alpha = _alpha_of_key(samples, np.array(key))
    else:
        return samples, None
    return samples, None if alpha.min() == 255 else alpha


def _alpha_of_key(samples: np.ndarray, key: np.ndarray) -> np.ndarray:
    return np.where((samples == key).all(axis=-1), 0, 255).astype(np.uint8)


def to_srgb(
    image: Image.Image, colors: tuple[bytes | RgbSpace, ...], notes: list[str]
) -> np.ndarray:
    """Converts an image without alpha or palette to sRGB, uint8 [H, W, 3].

    Args:
      image: 8-bit, of any mode that `split_alpha` returns.
      colors: what its file says of them, ICC profiles and spaces. The first that is of use holds;
        one that is sRGB in effect changes nothing.
      notes: takes one sentence if colours are converted, and one for each profile of no use.

    Raises:
      ImageError: the picture is of high dynamic range.
    """
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB")
    for color in colors:
        if isinstance(color, RgbSpace):
            if image.mode in ("L", "RGB"):
                samples = np.asarray(image)
                return _in_space(samples.reshape(*samples.shape[:2], -1), 255, color, notes)
            continue
        profile = _opened(color, notes)
        if profile:
            try:
                return np.array(_apply_profile(image, profile, notes))
            except (OSError, ValueError, ImageCms.PyCMSError):
                notes.append("broken ICC profile ignored")
    return np.array(image.convert("RGB"))


def deep_to_srgb(
    samples: np.ndarray, white: int, colors: tuple[bytes | RgbSpace, ...], notes: list[str]
) -> np.ndarray:
    """Converts samples [H, W, 1 or 3] from 0 to `white` to sRGB, uint8 [H, W, 3].

    Colours are converted first, and rounded then; as `to_srgb` otherwise. A profile of tables is
    left to Little CMS, to which Pillow hands 8 bits only.
    """
    depth = depth_name(white)
    channels = {1: "L", 3: "RGB"}[samples.shape[2]]
    for color in colors:
        space: RgbSpace | None = color if isinstance(color, RgbSpace) else None
        profile = None if isinstance(color, RgbSpace) else _opened(color, notes)
        if profile:
            space = space_of_profile(color, f'ICC profile "{_name(profile)}"')
        if space and not (space.is_grey and channels == "RGB"):
            notes.append(f"{depth} converted to 8-bit")
            return _in_space(samples, white, space, notes)
        if profile:
            notes.append(f"{depth} cut to 8-bit before its ICC profile, which has more than curves")
            return to_srgb(_image(to_8_bits(samples, white)), (color,), notes)
    notes.append(f"{depth} converted to 8-bit")
    return np.array(_image(to_8_bits(samples, white)).convert("RGB"))


def _image(samples: np.ndarray) -> Image.Image:
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _in_space(samples: np.ndarray, white: int, space: RgbSpace, notes: list[str]) -> np.ndarray:
    if space.is_srgb():
        samples = to_8_bits(samples, white)
        return np.array(_image(samples).convert("RGB"))
    notes.append(f"{space.name} converted to sRGB")
    return space.convert(samples, white)


def _opened(icc: bytes, notes: list[str]) -> ImageCms.ImageCmsProfile | None:
    """The profile, or None with a note; raises ImageError if it is of high dynamic range."""
    refuse_high_dynamic_range(coded_transfer(icc), "ICC profile")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ValueError, ImageCms.PyCMSError):
        notes.append("broken ICC profile ignored")
        return None


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    # The name comes from the file and goes to a terminal.
    return "".join(c for c in ImageCms.getProfileDescription(profile) if c.isprintable())[:60]


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
    notes.append(f'ICC profile "{_name(profile)}" converted to sRGB')
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
