"""What a picture says beside its pixels, EXIF and XMP, and its chunk in a `.dfc` file.

The chunk is a zlib stream (RFC 1950) of up to two items, each one byte for its kind (1 EXIF, 2
XMP), four for its length (unsigned, little-endian), then its bytes; no kind stands twice.
"""

import dataclasses
import struct
import zlib

from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import MAX_METADATA, BitstreamError

_KINDS = {1: "exif", 2: "xmp"}
_ITEM = struct.Struct("<BI")


@dataclasses.dataclass(frozen=True)
class Metadata:
    """EXIF and XMP of a picture, true of its pixels as they are: upright and in sRGB."""

    exif: bytes | None = None  # a TIFF stream, without the "Exif\0\0" of JPEG before it
    xmp: bytes | None = None  # an XMP packet, UTF-8

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp)

    @property
    def kinds(self) -> str:
        """What there is of it, for a person: "EXIF and XMP", or one of them."""
        return " and ".join(name.upper() for name in _KINDS.values() if getattr(self, name))


def pack_metadata(metadata: Metadata) -> bytes:
    """Returns the chunk, empty for no metadata; raises ValueError if over `MAX_METADATA` bytes."""
    items = b""
    for kind, name in _KINDS.items():
        value = getattr(metadata, name)
        if value:
            items += _ITEM.pack(kind, len(value)) + value
    if len(items) > MAX_METADATA:
        raise ValueError(
            f"metadata has {len(items)} bytes; a file holds at most {MAX_METADATA} of it"
        )
    return zlib.compress(items, 9) if items else b""


def unpack_metadata(chunk: bytes) -> Metadata:
    """The inverse of `pack_metadata`; raises BitstreamError for a chunk that is not of its kind."""
    if not chunk:
        return Metadata()
    try:
        items = inflate(chunk, MAX_METADATA)
    except ValueError as error:
        raise BitstreamError(f"the metadata is damaged: {error}") from error
    found: dict[str, bytes] = {}
    while items:
        if len(items) < _ITEM.size:
            raise BitstreamError(f"the metadata ends with {len(items)} bytes too many")
        kind, length = _ITEM.unpack_from(items)
        name = _KINDS.get(kind)
        if name is None or name in found:
            raise BitstreamError(
                f"the metadata has a {'second' if name else 'foreign'} kind {kind}"
            )
        if len(items) < _ITEM.size + length:
            raise BitstreamError(
                f"the metadata is truncated: {name} has {length} bytes by its header"
            )
        found[name] = items[_ITEM.size : _ITEM.size + length]
        items = items[_ITEM.size + length :]
    return Metadata(**found)


def attach_metadata(data: bytes, metadata: Metadata) -> bytes:
    """A `.dfc` file with other metadata, or with none; raises as `unpack` and `pack_metadata`."""
    container = bitstream.unpack(data)
    return bitstream.pack(dataclasses.replace(container, metadata=pack_metadata(metadata)))


def metadata_bytes(metadata: Metadata) -> int:
    """By how many bytes, at most, metadata makes a file longer; raises as `pack_metadata`."""
    chunk = pack_metadata(metadata)
    return len(chunk) + bitstream.CHUNK_LENGTHS_BYTES if chunk else 0


def read_metadata(data: bytes) -> Metadata:
    """The metadata of a `.dfc` file; raises BitstreamError if file or metadata is damaged."""
    return unpack_metadata(bitstream.unpack(data).metadata)


def inflate(data: bytes, limit: int) -> bytes:
    """Decompresses one whole zlib stream; raises ValueError if broken or over `limit` bytes."""
    decompressor = zlib.decompressobj()
    try:
        plain = decompressor.decompress(data, limit + 1)
    except zlib.error as error:
        raise ValueError(f"its zlib stream is broken: {error}") from error
    if len(plain) > limit:
        raise ValueError(f"it inflates to more than {limit} bytes")
    if not decompressor.eof:
        raise ValueError("its zlib stream is truncated")
    if decompressor.unused_data:
        raise ValueError(f"{len(decompressor.unused_data)} bytes follow its zlib stream")
    return plain
