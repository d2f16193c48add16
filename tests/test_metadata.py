"""Tests of the metadata chunk: exact round trip, bounded, and every foreign content refused."""

import struct
import zlib

import pytest

from diffcomp.coding.bitstream import MAX_METADATA, BitstreamError, Container, pack, unpack
from diffcomp.coding.metadata import (
    Metadata,
    attach_metadata,
    pack_metadata,
    read_metadata,
    unpack_metadata,
)

FILE = pack(Container(1, 8, 8, 7, 2, b"zed", b"why"))


@pytest.mark.parametrize("exif", [None, b"II*\0exif"])
@pytest.mark.parametrize("xmp", [None, b"<x:xmpmeta/>" * 1000])
def test_metadata_come_back_and_the_picture_is_untouched(exif, xmp):
    metadata = Metadata(exif, xmp)
    data = attach_metadata(FILE, metadata)
    assert read_metadata(data) == metadata
    assert bool(metadata) == bool(exif or xmp)
    assert unpack(data).z_stream == b"zed" and unpack(data).y_stream == b"why"
    assert attach_metadata(data, Metadata()) == FILE
    assert len(data) < 200  # it is compressed


def test_a_file_without_metadata_says_so():
    assert read_metadata(FILE) == Metadata()
    assert pack_metadata(Metadata(b"", None)) == b""


def item(kind: int, value: bytes) -> bytes:
    return struct.pack("<BI", kind, len(value)) + value


@pytest.mark.parametrize(
    "chunk, message",
    [
        (b"none", "damaged: its zlib stream is broken"),
        (zlib.compress(item(1, b"a"))[:-1], "damaged: its zlib stream is truncated"),
        (zlib.compress(item(1, b"a")) + b"b", "damaged: 1 bytes follow"),
        (zlib.compress(item(1, b"a") * 2), "second kind 1"),
        (zlib.compress(item(3, b"a")), "foreign kind 3"),
        (zlib.compress(item(2, b"abc")[:-1]), "truncated: xmp has 3 bytes by its header"),
        (zlib.compress(item(2, b"abc") + b"\1\0"), "ends with 2 bytes too many"),
        (zlib.compress(bytes(MAX_METADATA + 1)), f"inflates to more than {MAX_METADATA} bytes"),
    ],
)
def test_a_chunk_of_another_kind_is_refused(chunk, message):
    with pytest.raises(BitstreamError, match=message):
        unpack_metadata(chunk)


def test_too_much_metadata_is_refused():
    with pytest.raises(ValueError, match=f"metadata has {MAX_METADATA + 5} bytes; a file holds"):
        pack_metadata(Metadata(exif=bytes(MAX_METADATA)))
