"""The `.dfc` container: one compressed image as a fixed header and two range coded streams.

Version 2 is version 1 with areas of one colour, metadata or both; a file without is of version 1.

All integers are unsigned and little-endian:

    offset  bytes  field
         0      3  magic "DFC"
         3      1  version, 1 or 2
         4      4  fingerprint: names the part of the model that coding depends on
         8      2  width in pixels, at least 1
        10      2  height in pixels, at least 1
        12      1  quality code; its meaning belongs to the codec
        13      4  length of the z stream in bytes
        17      4  length of the y stream in bytes
        21      4  CRC-32 of the decoded symbols and indexes, made by the codec
        25      4  CRC-32 of the whole file except these four bytes
        29      4  version 2 only: length of the areas of one colour in bytes
        33      4  version 2 only: length of the metadata in bytes, at most `MAX_METADATA`
        29 / 37    z stream, y stream, areas of one colour, metadata; with them the file ends

CRC-32 is that of zlib (ISO 3309). The first tells damage to the file from a decoder that computes
other numbers than the encoder did: it is checked after decoding, by the codec.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass

MAGIC = b"DFC"
SUFFIX = ".dfc"  # of files, in lower case
VERSION = 1
VERSION_WITH_CHUNKS = 2
HEADER_BYTES = 29  # of version 1; version 2 has CHUNK_LENGTHS_BYTES more
CHUNK_LENGTHS_BYTES = 8
MAX_METADATA = 2**24  # bytes, compressed, and again inflated
MAX_SIDE = 2**16 - 1
MAX_PIXELS = 2**28
LARGEST_FILE = 4 * MAX_PIXELS  # bytes; more than any image that we write takes

_CHUNKS = ("flat_areas", "metadata")  # in the file's order
_FIELDS = struct.Struct("<3sBIHHBIII")  # everything before the file's CRC-32
_CRC = struct.Struct("<I")
_CHUNK_LENGTHS = struct.Struct("<II")


class BitstreamError(ValueError):
    """A compressed file that is damaged, foreign, too large, or made by another model."""


@dataclass(frozen=True)
class Container:
    """The contents of a `.dfc` file."""

    fingerprint: int  # uint32, names the coding part of the model
    width: int  # pixels, 1 to MAX_SIDE
    height: int  # pixels, 1 to MAX_SIDE, with width * height <= MAX_PIXELS
    quality_code: int  # uint8
    symbols_crc: int  # uint32, CRC-32 of the decoded symbols and indexes
    z_stream: bytes
    y_stream: bytes
    flat_areas: bytes = b""  # the chunk of `coding/flat_areas.py`
    metadata: bytes = b""  # the chunk of `coding/metadata.py`; coding does not depend on it

    @property
    def header_bytes(self) -> int:
        """Of the file: `HEADER_BYTES`, and the lengths of the two chunks if there are any."""
        return HEADER_BYTES + (CHUNK_LENGTHS_BYTES if self.flat_areas or self.metadata else 0)


def pack(container: Container) -> bytes:
    """Returns the file of a container: header, the two streams, and the chunks that there are.

    Raises:
      ValueError: if a field is not an integer in its range, or the image is too large.
    """
    check_size(container.width, container.height)
    for name, smallest, largest in (
        ("fingerprint", 0, 2**32 - 1),
        ("quality_code", 0, 2**8 - 1),
        ("symbols_crc", 0, 2**32 - 1),
    ):
        value = getattr(container, name)
        if not isinstance(value, int) or not smallest <= value <= largest:
            raise ValueError(
                f"{name} must be an integer from {smallest} to {largest}, "
                f"found {value!r} ({type(value).__name__})"
            )
    lengths = [_stream_length(name, getattr(container, name)) for name in _CHUNKS]
    chunks, metadata_length = container.flat_areas + container.metadata, lengths[1]
    if metadata_length > MAX_METADATA:
        raise ValueError(
            f"metadata must have at most {MAX_METADATA} bytes, found {metadata_length}"
        )
    fields = _FIELDS.pack(
        MAGIC,
        VERSION_WITH_CHUNKS if chunks else VERSION,
        container.fingerprint,
        container.width,
        container.height,
        container.quality_code,
        _stream_length("z_stream", container.z_stream),
        _stream_length("y_stream", container.y_stream),
        container.symbols_crc,
    )
    payload = container.z_stream + container.y_stream
    if chunks:
        payload = _CHUNK_LENGTHS.pack(*lengths) + payload + chunks
    return fields + _CRC.pack(_file_crc(fields, payload)) + payload


def unpack(data: bytes, max_pixels: int = MAX_PIXELS) -> Container:
    """Returns the container of a file; the inverse of `pack`.

    The checks run from what makes the rest meaningless to what only makes it wrong: is this a
    file of ours, of this version, complete, undamaged, and then, is it one that we accept.
    Nothing is allocated by what the header claims: it must first agree with the file's length.

    Raises:
      BitstreamError: if the file is empty, foreign, of another version, truncated, extended,
        damaged, or claims an image without pixels or with more than `max_pixels`.
      ValueError: as `check_max_pixels`.
    """
    check_max_pixels(max_pixels)
    if not data:
        raise BitstreamError("the file is empty")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise BitstreamError(f"not a .dfc file: it starts with {data[:3]!r} instead of {MAGIC!r}")
    header_bytes = _header_bytes(data)
    if len(data) < header_bytes:
        raise BitstreamError(
            f"the header is truncated: expected {header_bytes} bytes, found {len(data)}"
        )
    fields, payload = data[: _FIELDS.size], data[HEADER_BYTES:]
    _, _, fingerprint, width, height, quality_code, z_length, y_length, symbols_crc = (
        _FIELDS.unpack(fields)
    )
    flat_length, metadata_length = _chunk_lengths(data, header_bytes)
    expected = header_bytes + z_length + y_length + flat_length + metadata_length
    if len(data) < expected:
        raise BitstreamError(f"the file is truncated: expected {expected} bytes, found {len(data)}")
    if len(data) > expected:
        raise BitstreamError(
            f"the file has surplus bytes: expected {expected} bytes, found {len(data)}"
        )
    (stored_crc,) = _CRC.unpack(data[_FIELDS.size : HEADER_BYTES])
    computed_crc = _file_crc(fields, payload)
    if stored_crc != computed_crc:
        raise BitstreamError(
            "the file is damaged: its CRC-32 is "
            f"{computed_crc:#010x}, the header says {stored_crc:#010x}"
        )
    if width == 0 or height == 0:
        raise BitstreamError(f"the image has no pixels: width {width}, height {height}")
    if width * height > max_pixels:
        raise BitstreamError(_too_large(width, height, max_pixels))
    ends = itertools.accumulate((header_bytes, z_length, y_length, flat_length, metadata_length))
    z_stream, y_stream, flat_areas, metadata = (
        data[start:end] for start, end in itertools.pairwise(ends)
    )
    return Container(
        fingerprint=fingerprint,
        width=width,
        height=height,
        quality_code=quality_code,
        symbols_crc=symbols_crc,
        z_stream=z_stream,
        y_stream=y_stream,
        flat_areas=flat_areas,
        metadata=metadata,
    )


def check_max_pixels(max_pixels: int) -> None:
    """Raises ValueError for a limit on pixels that is not from 1 to `MAX_PIXELS`."""
    if not isinstance(max_pixels, int) or not 1 <= max_pixels <= MAX_PIXELS:
        raise ValueError(
            f"max_pixels must be an integer from 1 to {MAX_PIXELS}, found {max_pixels!r}"
        )


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raises ValueError for an image that no file may hold: no pixels, or too many."""
    check_max_pixels(max_pixels)
    for name, value in (("width", width), ("height", height)):
        if not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
            raise ValueError(f"{name} must be an integer from 1 to {MAX_SIDE}, found {value!r}")
    if width * height > max_pixels:
        raise ValueError(_too_large(width, height, max_pixels))


def check_fingerprint(container: Container, fingerprint: int, model_name: str) -> None:
    """Raises BitstreamError unless the file was made by the model of this fingerprint."""
    if container.fingerprint != fingerprint:
        raise BitstreamError(
            f"the file was made by a model with fingerprint {container.fingerprint:#010x}, "
            f"but model {model_name!r} has {fingerprint:#010x}"
        )


def _header_bytes(data: bytes) -> int:
    """How long the header of a file is by its version; raises BitstreamError for another one."""
    version = data[len(MAGIC)] if len(data) > len(MAGIC) else VERSION
    if version not in (VERSION, VERSION_WITH_CHUNKS):
        raise BitstreamError(
            f"the file has version {version}, this program reads versions"
            f" {VERSION} and {VERSION_WITH_CHUNKS}"
        )
    return HEADER_BYTES + (CHUNK_LENGTHS_BYTES if version == VERSION_WITH_CHUNKS else 0)


def _chunk_lengths(data: bytes, header_bytes: int) -> tuple[int, int]:
    """Bytes of areas and of metadata; raises BitstreamError."""
    if header_bytes == HEADER_BYTES:
        return 0, 0
    flat_length, metadata_length = _CHUNK_LENGTHS.unpack_from(data, HEADER_BYTES)
    if flat_length == metadata_length == 0:
        raise BitstreamError(f"a file of version {VERSION_WITH_CHUNKS} has neither of its chunks")
    if metadata_length > MAX_METADATA:
        raise BitstreamError(
            f"the metadata has {metadata_length} bytes; it must be at most {MAX_METADATA}"
        )
    return flat_length, metadata_length


def _stream_length(name: str, stream: bytes) -> int:
    """Returns the length of a stream once it is known to be bytes that a uint32 can count."""
    if not isinstance(stream, bytes):
        raise ValueError(f"{name} must be bytes, found {type(stream).__name__}")
    if len(stream) >= 2**32:
        raise ValueError(f"{name} must be shorter than 2**32 bytes, found {len(stream)}")
    return len(stream)


def _file_crc(fields: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(fields))


def _too_large(width: int, height: int, max_pixels: int) -> str:
    return (
        f"the image is too large: {width} x {height} = {width * height} pixels, "
        f"at most {max_pixels} are {'supported' if max_pixels == MAX_PIXELS else 'allowed'}"
    )
