"""Which directory of a TIFF file is the picture, and pictures whose channels lie apart.

A TIFF file is a chain of directories, each with its tags. The first may be a preview (TIFF 6.0, tag
NewSubfileType), and a directory may have others below it (tag SubIFDs), which Pillow does not show.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from diffcomp.files import deep_samples, rgb_space
from diffcomp.files.image_error import ImageError
from diffcomp.files.rgb_space import RgbSpace

_BIG_ENDIAN_BIGTIFF = b"MM\0+"
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", _BIG_ENDIAN_BIGTIFF)

NEW_SUBFILE_TYPE, SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 255, 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, STRIPS, ORIENTATION, CHANNELS = 262, 266, 273, 274, 277
ROWS_PER_STRIP, STRIP_LENGTHS, PLANAR, TRANSFER, PREDICTOR = 278, 279, 284, 301, 317
WHITE_POINT, PRIMARIES, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_LENGTHS = 318, 319, 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT = 330, 338, 339

_PREVIEW, _MASK = 1, 4  # bits of NewSubfileType
_RAW = (32803, 34892)  # photometric interpretations: a sensor's colour filter array, LinearRaw
_RGB, _CMYK, _ONE_GREY = 2, 5, 1
_SIGNED = 2  # SampleFormat
_JPEG = (6, 7)  # compressions; Pillow reads their channels, of 8 bits
_MOST_DIRECTORIES = 10000
_OPAQUE, _ASSOCIATED_ALPHA, _ALPHA = 0, 1, 2  # ExtraSamples
_LONG, _LONG8 = 4, 16

Tags = Mapping[int, object]


def full_picture(file: BinaryIO, notes: list[str]) -> BinaryIO:
    """The file, or a copy that starts with the directory of the full picture.

    Raises ImageError for a camera's raw data, of which Pillow would read the preview.
    """
    header = _header(file)
    if header.startswith(_BIG_ENDIAN_BIGTIFF):
        raise ImageError("is a big-endian BigTIFF, which Pillow does not read")
    chain = list(_chain(file, header))
    if not chain:
        return file
    first, *others = chain
    below = [_directory(file, header, at) for at in _offsets_below(file, header, first.offset)]
    candidates = [*others, *(directory for directory in below if directory)]
    if any(directory.get(PHOTOMETRIC) in _RAW for directory in (first, *candidates)):
        raise ImageError("holds a camera's raw data (DNG or alike); develop it to a picture first")
    if not _kind(first) & _PREVIEW:
        larger = [d for d in others if _area(d) > _area(first) and not _kind(d) & _MASK]
        if larger:
            notes.append(f"a further frame is larger: {larger[0][WIDTH]}x{larger[0][HEIGHT]}")
        return file
    for directory in candidates:
        if not _kind(directory) & (_PREVIEW | _MASK):
            notes.append("preview before the full picture ignored")
            return _starting_at(file, header, directory.offset)
    notes.append("the file calls this picture a preview, and has no other")
    return file


def stated_space(tags: Tags, notes: list[str]) -> RgbSpace | None:
    """The space by WhitePoint, PrimaryChromaticities and TransferFunction, None without."""
    white, primaries, transfer = (_all(tags.get(t)) for t in (WHITE_POINT, PRIMARIES, TRANSFER))
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
    bits = (_all(tags.get(BITS)) or (1,))[0]
    if _SIGNED in _all(tags.get(SAMPLE_FORMAT)) and bits < 32:
        raise ImageError(f"has signed {bits}-bit samples; only unsigned ones have a known range")
    return bits


def has_planes(tags: Tags) -> bool:
    """Whether the channels lie apart, as RGB or CMYK, each of 8 or 16 bits."""
    return (
        tags.get(PLANAR) == 2
        and tags.get(PHOTOMETRIC) in (_RGB, _CMYK)
        and set(_all(tags.get(BITS))) in ({8}, {16})
        and set(_all(tags.get(SAMPLE_FORMAT, 1))) == {1}
        and _number(tags, CHANNELS, 1) in ((3, 4, 5) if tags[PHOTOMETRIC] == _RGB else (4,))
        and tags.get(COMPRESSION) not in _JPEG
    )


def read_planes(
    file: BinaryIO, tags: ImageFileDirectory_v2
) -> tuple[Image.Image | np.ndarray, int]:
    """The picture whose channels lie apart, turned upright by Pillow, and its largest value.

    Each channel is read as a grey picture of its own: Pillow takes 16-bit channels for 8-bit ones
    where they are not compressed, and drops the lower half of each sample where they are.

    Returns:
      RGB of 16 bits as uint16 [H, W, 3 or 4] with 65535, anything else as an image of 8 bits.
    """
    header = _header(file)
    count = _number(tags, CHANNELS, 1)
    extra = (*_all(tags.get(EXTRA_SAMPLES)), _OPAQUE)[0] if EXTRA_SAMPLES in tags else _ALPHA
    mode = "CMYK" if tags[PHOTOMETRIC] == _CMYK else "RGB"
    if mode == "RGB" and count > 3 and extra != _OPAQUE:
        mode = "RGBa" if extra == _ASSOCIATED_ALPHA else "RGBA"
    planes = [_plane(file, header, tags, index, count) for index in range(len(mode))]
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
    header = _header(file)
    directory = next(_chain(file, header), None)
    if directory is None:
        return "is not a picture of a kind that Pillow can read"
    facts = ", ".join(
        f"{name} {directory[tag]}" for name, tag in _STATED.items() if tag in directory
    )
    return f"is a TIFF of a kind that Pillow does not read: {facts}"


def _plane(
    file: BinaryIO, header: bytes, tags: ImageFileDirectory_v2, index: int, count: int
) -> np.ndarray:
    values = {tag: _all(tags[tag]) for tag in _COPIED if tag in tags}
    for tag in (STRIPS, STRIP_LENGTHS, TILES, TILE_LENGTHS):
        if tag in tags:
            parts = len(_all(tags[tag])) // count
            values[tag] = _all(tags[tag])[index * parts : (index + 1) * parts]
    values |= {BITS: _all(tags[BITS])[:1], CHANNELS: (1,), PHOTOMETRIC: (_ONE_GREY,)}
    file.seek(0)
    data = file.read()
    data += bytes(len(data) % 2)
    directory = _packed(header, values, len(data))
    with Image.open(_starting_at(io.BytesIO(data + directory), header, len(data))) as image:
        return np.asarray(image).astype(np.uint16 if image.mode.startswith("I") else np.uint8)


_STATED = {
    "BitsPerSample": BITS,
    "SampleFormat": SAMPLE_FORMAT,
    "PhotometricInterpretation": PHOTOMETRIC,
    "ExtraSamples": EXTRA_SAMPLES,
    "PlanarConfiguration": PLANAR,
    "Compression": COMPRESSION,
}
_COPIED = (
    *(WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, ORIENTATION, ROWS_PER_STRIP),
    *(PREDICTOR, TILE_WIDTH, TILE_HEIGHT),
)


def _packed(header: bytes, values: dict[int, tuple[int, ...]], at: int) -> bytes:
    """A directory of whole numbers, as it stands at `at` in the file."""
    order, big = _form(header)
    word = "Q" if big else "I"
    size = struct.calcsize(f"={word}")
    entries, beside = b"", b""
    start = at + (8 if big else 2) + len(values) * (4 + 2 * size) + size
    for tag, numbers in sorted(values.items()):
        body = struct.pack(f"{order}{len(numbers)}{word}", *numbers)
        entries += struct.pack(f"{order}HH{word}", tag, _LONG8 if big else _LONG, len(numbers))
        if len(body) <= size:
            entries += body
        else:
            entries += struct.pack(order + word, start + len(beside))
            beside += body
    count = struct.pack(order + ("Q" if big else "H"), len(values))
    return count + entries + bytes(size) + beside


def _header(file: BinaryIO) -> bytes:
    file.seek(0)
    header = file.read(16)
    return header if _form(header)[1] else header[:8]


def _form(header: bytes) -> tuple[str, bool]:
    """Byte order, and whether offsets have 64 bits (BigTIFF)."""
    return ("<" if header[:2] == b"II" else ">"), 43 in header[2:4]


def _first_offset(header: bytes) -> int:
    order, big = _form(header)
    return struct.unpack_from(order + ("Q" if big else "I"), header, 8 if big else 4)[0]


def _starting_at(file: BinaryIO, header: bytes, offset: int) -> BinaryIO:
    order, big = _form(header)
    file.seek(0)
    data = bytearray(file.read())
    struct.pack_into(order + ("Q" if big else "I"), data, 8 if big else 4, offset)
    return io.BytesIO(data)


def _chain(file: BinaryIO, header: bytes) -> Iterator[ImageFileDirectory_v2]:
    if len(header) < (16 if _form(header)[1] else 8):
        return
    at, seen = _first_offset(header), set()
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(at)
        directory = _directory(file, header, at)
        if directory is None:
            return
        yield directory
        at = directory.next


def _directory(file: BinaryIO, header: bytes, at: int) -> ImageFileDirectory_v2 | None:
    """None for one that cannot be read: if it matters, Pillow says so."""
    try:
        directory = ImageFileDirectory_v2(header)
        file.seek(at)
        directory.load(file)
        return directory if WIDTH in directory and HEIGHT in directory else None
    except Exception:  # As many kinds as for broken pictures.
        return None


def _offsets_below(file: BinaryIO, header: bytes, at: int) -> tuple[int, ...]:
    """The tag SubIFDs of a directory; Pillow leaves it out where its offsets have 64 bits."""
    order, big = _form(header)
    count, entry = ("Q", "HHQQ") if big else ("H", "HHII")
    file.seek(at)
    (entries,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
    size = struct.calcsize(order + entry)
    table = file.read(entries * size)
    for tag, kind, number, value in struct.iter_unpack(
        order + entry, table[: len(table) // size * size]
    ):
        code = {4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind)  # LONG, IFD, LONG8, IFD8
        if tag != SUB_DIRECTORIES or code is None or number > _MOST_DIRECTORIES:
            continue
        if number == 1:
            return (value,)
        file.seek(value)
        form = f"{order}{number}{code}"
        offsets = file.read(struct.calcsize(form))
        return struct.unpack(form, offsets) if len(offsets) == struct.calcsize(form) else ()
    return ()


def _all(value: object) -> tuple:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _number(tags: Tags, tag: int, default: int) -> int:
    value = tags.get(tag, default)
    return value if isinstance(value, int) else default


def _kind(directory: Tags) -> int:
    """The bits of NewSubfileType, by the older tag if that alone is there."""
    if _number(directory, SUBFILE_TYPE, 1) == 2:
        return _PREVIEW
    return _number(directory, NEW_SUBFILE_TYPE, 0)


def _area(directory: Tags) -> int:
    return _number(directory, WIDTH, 0) * _number(directory, HEIGHT, 0)
