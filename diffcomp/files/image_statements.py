"""What a file says beside its samples: metadata, orientation, and colour, strongest first."""

import dataclasses
from collections.abc import Callable

from PIL import ExifTags, Image

from diffcomp.coding.metadata import Metadata
from diffcomp.files import exif, tiff_file
from diffcomp.files.boxes import box_color
from diffcomp.files.color_codes import coded_space
from diffcomp.files.exif import ExifFacts
from diffcomp.files.png_file import LARGEST_EXTRA, PngFile
from diffcomp.files.rgb_space import ADOBE_RGB, RgbSpace

_BOXED = ("AVIF", "HEIF", "JPEG2000")
_TIFF_XMP = 700
# The tags of a TIFF that describe the picture and not how it is stored.
_DESCRIPTIONS = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model),
    *(ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist),
    *(ExifTags.Base.HostComputer, ExifTags.Base.Copyright, exif.EXIF_IFD, ExifTags.IFD.GPSInfo),
)


@dataclasses.dataclass(frozen=True)
class Statements:
    """What is said of a picture that is not loaded yet."""

    orientation: int  # as stored; Pillow turns a TIFF as it loads it, and nothing else
    colors: tuple[bytes | RgbSpace, ...]  # ICC profile or space; the first that is usable holds
    metadata: Metadata  # of the picture once it is upright and in sRGB


def read_statements(
    image: Image.Image, png: PngFile | None, read: Callable[[], bytes], notes: list[str]
) -> Statements:
    """Reads them all.

    Args:
      image: opened, not loaded.
      png: for a PNG, its parts; Pillow has seen only those of the pixels.
      read: gives the whole file, for formats where colour stands in boxes.
      notes: takes a sentence for what is broken or cannot be told.

    Raises:
      ImageError: the picture is of high dynamic range.
    """
    stored = _stored_exif(image, png, notes)
    facts = ExifFacts()
    settled = None
    if stored:
        try:
            facts, settled = exif.read_facts(stored), exif.settled_exif(stored)
        except ValueError:
            notes.append("broken EXIF ignored")
    if is_tiff(image):
        facts = dataclasses.replace(facts, orientation=image.tag_v2.get(exif.ORIENTATION, 1))
    elif image.format == "JXL" and not getattr(image, "jpeg", None):
        # Turned by its own header; EXIF does not count (ISO 18181-2, box of EXIF).
        facts = dataclasses.replace(facts, orientation=1)
    xmp = _stored_xmp(image, png, notes)
    metadata = Metadata(settled, exif.settled_xmp(xmp) if xmp else None)
    colors = tuple(_colors(image, png, read, notes))
    if not colors and facts.is_adobe_rgb:
        colors = (dataclasses.replace(ADOBE_RGB, name="Adobe RGB of EXIF"),)
    elif not colors and facts.is_unknown_color:
        notes.append("EXIF names no colour space but says that it is not sRGB; read as sRGB")
    return Statements(facts.orientation, colors, metadata)


def is_tiff(image: Image.Image) -> bool:
    return hasattr(image, "tag_v2")


def _colors(
    image: Image.Image, png: PngFile | None, read: Callable[[], bytes], notes: list[str]
) -> list[bytes | RgbSpace]:
    if png:
        return list(png.colors)
    icc, codes = image.info.get("icc_profile"), None
    if image.format in _BOXED:
        boxed = box_color(read())
        icc, codes = icc or boxed.icc, boxed.codes
        if boxed.bits and boxed.bits > 8:
            notes.append(f"{boxed.bits}-bit converted to 8-bit")
    if icc:
        return [icc]
    space = coded_space(*codes, "nclx", notes) if codes else None
    if is_tiff(image):
        space = tiff_file.stated_space(image.tag_v2, notes)
    return [space] if space else []


def _stored_exif(image: Image.Image, png: PngFile | None, notes: list[str]) -> bytes | None:
    if png:
        return png.exif
    if not is_tiff(image):
        return image.info.get("exif")
    try:
        tags = image.getexif()
        kept = Image.Exif()
        for tag in _DESCRIPTIONS:
            if tag in tags:
                kept[tag] = tags.get_ifd(tag) if tag in iter(ExifTags.IFD) else tags[tag]
        return kept.tobytes() if len(kept) else None
    except Exception:  # As many kinds as for broken pictures, but the picture is whole.
        notes.append("broken EXIF ignored")
        return None


def _stored_xmp(image: Image.Image, png: PngFile | None, notes: list[str]) -> bytes | None:
    if png:
        return png.xmp
    xmp = image.tag_v2.get(_TIFF_XMP) if is_tiff(image) else image.info.get("xmp")
    if isinstance(xmp, tuple):
        xmp = bytes(xmp)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if xmp and len(xmp) > LARGEST_EXTRA:
        notes.append("XMP over 16 MiB ignored")
        return None
    return xmp
