"""Which directory of a TIFF file is the picture, and pictures whose channels lie apart."""

from typing import BinaryIO

import numpy as np
from PIL import Image

from diffcomp.files import deep_samples, rgb_space
from diffcomp.files import tiff_directories as tiff
from diffcomp.files.image_error import ImageError
from diffcomp.files.rgb_space import RgbSpace
from diffcomp.files.tiff_directories import Tags, TiffDirectories, all_of, number_of

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PREVIEW, _MASK = 1, 4  # bits of NewSubfileType
_RAW = (32803, 34892)  # photometric interpretations: a sensor's colour filter array, LinearRaw
_BLACK_IS_ZERO, _RGB, _CMYK, _YCBCR = 1, 2, 5, 6
_CHANNELS_APART = ((_RGB, 3), (_RGB, 4), (_RGB, 5), (_CMYK, 4))
_SIGNED = 2  # SampleFormat
_PLAIN, _JPEG = 1, (6, 7)  # compressions; Pillow reads their channels, of 8 bits
_OPAQUE, _ASSOCIATED_ALPHA, _ALPHA = 0, 1, 2  # ExtraSamples

# What tells kinds of TIFF apart, as its specification calls it.
_STATED = {
    "BitsPerSample": tiff.BITS,
    "SampleFormat": tiff.SAMPLE_FORMAT,
    "PhotometricInterpretation": tiff.PHOTOMETRIC,
    "ExtraSamples": tiff.EXTRA_SAMPLES,
    "PlanarConfiguration": tiff.PLANAR,
    "Compression": tiff.COMPRESSION,
}
# Tags of a picture that are those of each of its channels.
_COPIED = (
    *(tiff.WIDTH, tiff.HEIGHT, tiff.COMPRESSION, tiff.PREDICTOR, tiff.FILL_ORDER),
    *(tiff.ORIENTATION, tiff.ROWS_PER_STRIP, tiff.TILE_WIDTH, tiff.TILE_HEIGHT),
)


def full_picture(file: BinaryIO, notes: list[str]) -> BinaryIO:
    """The file, or a copy that starts with the directory of the full picture.

    Raises ImageError for a camera's raw data, of which Pillow would read the preview.
    """
    directories = TiffDirectories(file)
    if directories.is_big and directories.is_big_endian:
        raise ImageError("is a big-endian BigTIFF, which Pillow does not read")
    chain = list(directories.chain())
    if not chain:
        return file
    first, *others = chain
    candidates = [*others, *directories.below(first.offset)]
    if any(directory.get(tiff.PHOTOMETRIC) in _RAW for directory in (first, *candidates)):
        raise ImageError("holds a camera's raw data (DNG or alike); develop it to a picture first")
    if not _kind(first) & _PREVIEW:
        larger = [d for d in others if _area(d) > _area(first) and not _kind(d) & _MASK]
        if larger:
            size = f"{larger[0][tiff.WIDTH]}x{larger[0][tiff.HEIGHT]}"
            notes.append(f"a further frame is larger: {size}")
        return file
    for directory in candidates:
        if not _kind(directory) & (_PREVIEW | _MASK):
            notes.append("preview before the full picture ignored")
            return directories.starting_at(directory.offset)
    notes.append("the file calls this picture a preview, and has no other")
    return file


def _kind(directory: Tags) -> int:
    """The bits of NewSubfileType, by the older tag if that alone is there."""
    if number_of(directory, tiff.SUBFILE_TYPE, 1) == 2:
        return _PREVIEW
    return number_of(directory, tiff.NEW_SUBFILE_TYPE, 0)


def _area(directory: Tags) -> int:
    return number_of(directory, tiff.WIDTH, 0) * number_of(directory, tiff.HEIGHT, 0)


def stated_space(tags: Tags, notes: list[str]) -> RgbSpace | None:
    """The space by WhitePoint, PrimaryChromaticities and TransferFunction, None without."""
    white, primaries, transfer = (
        all_of(tags.get(t)) for t in (tiff.WHITE_POINT, tiff.PRIMARIES, tiff.TRANSFER)
    )
    if len(primaries) != 6 and not transfer:
        return None
    place = rgb_space.SRGB_PRIMARIES
    if len(primaries) == 6:
        x_y = [float(value) for value in primaries]
        place = tuple(zip(x_y[::2], x_y[1::2], strict=True))
    white = tuple(float(value) for value in white) if len(white) == 2 else rgb_space.D65
    try:
        space = rgb_space.rgb_space("colours of TIFF tags", rgb_space.srgb_decode, place, white)
    except ValueError:
        notes.append("TIFF colour tags ignored: they span no colours")
        return None
    length = 2 ** sample_bits(tags)
    if len(transfer) in (length, 3 * length):
        tables = np.array(transfer, float).reshape(-1, length) / 65535
        curves = [rgb_space.sampled(table) for table in tables]
        return RgbSpace(space.name, space.to_xyz, tuple(curves * (3 // len(curves))))
    return space


def sample_bits(tags: Tags) -> int:
    """The bits of a sample; raises ImageError for signed ones, which say not what is white."""
    bits = (all_of(tags.get(tiff.BITS)) or (1,))[0]
    if _SIGNED in all_of(tags.get(tiff.SAMPLE_FORMAT)) and bits < 32:
        raise ImageError(f"has signed {bits}-bit samples; only unsigned ones have a known range")
    return bits


def is_plain_ycbcr(tags: Tags) -> bool:
    """Whether the picture is YCbCr, not compressed: Pillow before 13 takes its three channels for
    four, and where other bytes follow gives wrong colours without an error.

    Raises ImageError for YCbCr that no Pillow reads: subsampled and not compressed, or apart.
    """
    if tags.get(tiff.PHOTOMETRIC) != _YCBCR or tags.get(tiff.COMPRESSION, _PLAIN) in _JPEG:
        return False
    if tags.get(tiff.PLANAR) == 2:
        raise ImageError("is a TIFF whose YCbCr channels lie apart, which Pillow does not read")
    if tags.get(tiff.COMPRESSION, _PLAIN) != _PLAIN:
        return False
    subsampling = tuple(all_of(tags.get(tiff.SUBSAMPLING))) or (2, 2)
    if subsampling != (1, 1):
        raise ImageError(
            f"is a TIFF of uncompressed YCbCr subsampled by {subsampling}, which Pillow does not"
            " read"
        )
    return True


def has_planes(tags: Tags) -> bool:
    """Whether the channels lie apart, as RGB or CMYK, each of 8 or 16 bits."""
    photometric = tags.get(tiff.PHOTOMETRIC)
    return (
        tags.get(tiff.PLANAR) == 2
        and set(all_of(tags.get(tiff.BITS))) in ({8}, {16})
        and set(all_of(tags.get(tiff.SAMPLE_FORMAT, 1))) == {1}
        and (photometric, number_of(tags, tiff.CHANNELS, 1)) in _CHANNELS_APART
        and tags.get(tiff.COMPRESSION) not in _JPEG
    )


def read_planes(file: BinaryIO, tags: Tags) -> tuple[Image.Image | np.ndarray, int]:
    """The picture whose channels lie apart, turned upright by Pillow, and its largest value.

    Each channel is read as a grey picture of its own: Pillow takes 16-bit channels for 8-bit ones
    where they are not compressed, and drops the lower half of each sample where they are.

    Returns:
      RGB of 16 bits as uint16 [H, W, 3 or 4] with 65535, anything else as an image of 8 bits.
    """
    count = number_of(tags, tiff.CHANNELS, 1)
    extra = (all_of(tags.get(tiff.EXTRA_SAMPLES)) or (_ALPHA,))[0]
    mode = "CMYK" if tags[tiff.PHOTOMETRIC] == _CMYK else "RGB"
    if mode == "RGB" and count > 3 and extra != _OPAQUE:
        mode = "RGBa" if extra == _ASSOCIATED_ALPHA else "RGBA"
    planes = [_plane(TiffDirectories(file), tags, index, count) for index in range(len(mode))]
    samples = np.stack(planes, axis=-1)
    if samples.dtype == np.uint16 and mode == "CMYK":
        samples = deep_samples.to_8_bits(samples, 65535)
    if samples.dtype == np.uint8:
        bands = [
            Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(samples, -1, 0)
        ]
        return Image.merge(mode, bands), 255
    return deep_samples.divided(samples) if mode == "RGBa" else samples, 65535


def refusal(file: BinaryIO) -> str:
    """Says of a TIFF that Pillow does not read what kind it is."""
    directory = next(TiffDirectories(file).chain(), None)
    if directory is None:
        return "is not a picture of a kind that Pillow can read"
    # A tag that is there may have no value that Pillow can read: then it gives None.
    stated = {name: directory.get(tag) for name, tag in _STATED.items()}
    facts = ", ".join(f"{name} {value}" for name, value in stated.items() if value is not None)
    return f"is a TIFF of a kind that Pillow does not read: {facts or 'its tags are damaged'}"


def _plane(directories: TiffDirectories, tags: Tags, index: int, count: int) -> np.ndarray:
    values = {tag: all_of(tags[tag]) for tag in _COPIED if tag in tags}
    for tag in (tiff.STRIPS, tiff.STRIP_LENGTHS, tiff.TILES, tiff.TILE_LENGTHS):
        if tag in tags:
            parts = len(all_of(tags[tag])) // count
            values[tag] = all_of(tags[tag])[index * parts : (index + 1) * parts]
    values[tiff.BITS] = all_of(tags[tiff.BITS])[:1]
    values |= {tiff.CHANNELS: (1,), tiff.PHOTOMETRIC: (_BLACK_IS_ZERO,)}
    with Image.open(directories.starting_with(values)) as image:
        return np.asarray(image).astype(np.uint16 if image.mode.startswith("I") else np.uint8)
