"""Tests of the container: exact round trip, and a helpful error for every kind of damage."""

import dataclasses
import struct
import tracemalloc
import zlib

import pytest

from diffcomp.coding.bitstream import (
    CHUNK_LENGTHS_BYTES,
    HEADER_BYTES,
    MAX_METADATA,
    MAX_PIXELS,
    MAX_SIDE,
    BitstreamError,
    Container,
    check_fingerprint,
    pack,
    unpack,
)

EXAMPLE = Container(
    fingerprint=0x89ABCDEF,
    width=768,
    height=512,
    quality_code=7,
    symbols_crc=0x01234567,
    z_stream=b"zed",
    y_stream=b"why?!",
)

GOLDEN = (
    "44464301"  # magic and version
    "efcdab89"  # fingerprint
    "00030002"  # width and height
    "07"  # quality code
    "0300000005000000"  # lengths
    "67452301"  # CRC-32 of the symbols
    "aff3ee7c"  # CRC-32 of all the rest
    "7a6564"  # "zed"
    "7768793f21"  # "why?!"
)


def forged(width: int = 8, height: int = 8, z_length: int = 0, y_length: int = 0) -> bytes:
    """A file without payload whose CRC-32 is right, whatever its header claims."""
    fields = struct.pack("<3sBIHHBIII", b"DFC", 1, 0, width, height, 0, z_length, y_length, 0)
    return fields + struct.pack("<I", zlib.crc32(fields))


def test_golden() -> None:
    assert pack(EXAMPLE).hex() == GOLDEN
    assert unpack(bytes.fromhex(GOLDEN)) == EXAMPLE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"z_stream": b""},
        {"y_stream": b""},
        {"z_stream": b"", "y_stream": b""},
        {"width": 1, "height": MAX_SIDE},
        {"width": MAX_SIDE, "height": 1},
        {"width": 2**14, "height": MAX_PIXELS // 2**14},
        {"fingerprint": 0, "quality_code": 0, "symbols_crc": 0},
        {"fingerprint": 2**32 - 1, "quality_code": 255, "symbols_crc": 2**32 - 1},
        {"y_stream": bytes(range(256)) * 300},
    ],
)
def test_unpack_inverts_pack(changes: dict) -> None:
    container = dataclasses.replace(EXAMPLE, **changes)
    data = pack(container)
    assert unpack(data) == container
    assert len(data) == HEADER_BYTES + len(container.z_stream) + len(container.y_stream)


def test_header_takes_at_most_32_bytes() -> None:
    assert len(pack(dataclasses.replace(EXAMPLE, z_stream=b"", y_stream=b""))) <= 32


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (range(0, 3), "not a .dfc file"),
        (range(3, 4), "reads versions 1 and 2"),
        (range(4, 13), "damaged"),
        (range(13, 21), "truncated|surplus"),
        (range(21, 29), "damaged"),
        (range(29, 37), "damaged"),
    ],
)
def test_every_flipped_bit_is_found(positions: range, message: str) -> None:
    data = pack(EXAMPLE)
    for position in positions:
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(BitstreamError, match=message):
                unpack(bytes(damaged))


def test_every_truncation_is_found() -> None:
    data = pack(EXAMPLE)
    with pytest.raises(BitstreamError, match="the file is empty"):
        unpack(b"")
    for length in range(1, HEADER_BYTES):
        with pytest.raises(BitstreamError, match=f"header is truncated: .*29 .* found {length}$"):
            unpack(data[:length])
    for length in range(HEADER_BYTES, len(data)):
        with pytest.raises(BitstreamError, match=f"file is truncated: .*37 .* found {length}$"):
            unpack(data[:length])


WITH_CHUNKS = dataclasses.replace(EXAMPLE, flat_areas=b"flat", metadata=b"who")

GOLDEN_WITH_CHUNKS = (
    "44464302"  # magic and version
    "efcdab890003000207"  # fingerprint, width, height, quality code: as before
    "030000000500000067452301"  # lengths and CRC-32 of the symbols: as before
    "a6aae534"  # CRC-32 of all the rest
    "0400000003000000"  # lengths of areas and metadata
    "7a65647768793f21"  # the streams
    "666c6174"  # "flat"
    "77686f"  # "who"
)


def test_chunks_make_it_version_2() -> None:
    assert pack(WITH_CHUNKS).hex() == GOLDEN_WITH_CHUNKS
    assert unpack(bytes.fromhex(GOLDEN_WITH_CHUNKS)) == WITH_CHUNKS
    longest = dataclasses.replace(EXAMPLE, metadata=bytes(MAX_METADATA))
    assert unpack(pack(longest)) == longest


@pytest.mark.parametrize("chunks", [{"flat_areas": b"flat"}, {"metadata": b"who"}])
def test_either_chunk_alone(chunks: dict) -> None:
    container = dataclasses.replace(EXAMPLE, **chunks)
    data = pack(container)
    assert unpack(data) == container
    assert container.header_bytes == HEADER_BYTES + CHUNK_LENGTHS_BYTES
    assert len(data) == container.header_bytes + 8 + len(b"".join(chunks.values()))


def test_every_damage_to_a_file_with_chunks_is_found() -> None:
    data = pack(WITH_CHUNKS)
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                unpack(bytes(damaged))
    for length in range(len(data)):
        with pytest.raises(BitstreamError, match="empty|truncated"):
            unpack(data[:length])
    with pytest.raises(BitstreamError, match="surplus bytes: expected 52 bytes, found 53"):
        unpack(data + b"\0")


@pytest.mark.parametrize("length", [MAX_METADATA + 1, 2**32 - 1])
def test_metadata_of_a_length_that_is_not_allowed(length: int) -> None:
    data = pack(WITH_CHUNKS)
    forged_length = data[:33] + struct.pack("<I", length) + data[37:]
    with pytest.raises(BitstreamError, match=f"metadata has {length} bytes; it must be at most"):
        unpack(forged_length)
    if length < 2**25:
        with pytest.raises(ValueError, match=f"at most {MAX_METADATA} bytes, found {length}"):
            pack(dataclasses.replace(EXAMPLE, metadata=bytes(length)))


def test_a_file_of_version_2_without_chunks() -> None:
    data = pack(WITH_CHUNKS)
    with pytest.raises(BitstreamError, match="version 2 has neither of its chunks"):
        unpack(data[:29] + bytes(8) + data[37:])


@pytest.mark.parametrize("surplus", [b"\0", b"more"])
def test_surplus_bytes_are_found(surplus: bytes) -> None:
    found = 37 + len(surplus)
    with pytest.raises(BitstreamError, match=f"surplus bytes: expected 37 bytes, found {found}$"):
        unpack(pack(EXAMPLE) + surplus)


def test_streams_exchanged_between_files_are_found() -> None:
    other = pack(dataclasses.replace(EXAMPLE, y_stream=b"whom?"))
    with pytest.raises(BitstreamError, match="damaged: its CRC-32 is 0x[0-9a-f]{8}, the header"):
        unpack(pack(EXAMPLE)[:HEADER_BYTES] + other[HEADER_BYTES:])


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"D", b"dfc" * 20])
def test_foreign_files(data: bytes) -> None:
    message = "header is truncated" if data == b"D" else "it starts with .* instead of b'DFC'"
    with pytest.raises(BitstreamError, match=message):
        unpack(data)


def test_version_of_the_future_is_named_before_anything_else() -> None:
    with pytest.raises(BitstreamError, match="the file has version 3, this program reads"):
        unpack(b"DFC\x03")


@pytest.mark.parametrize(("width", "height"), [(0, 8), (8, 0), (0, 0)])
def test_image_without_pixels(width: int, height: int) -> None:
    with pytest.raises(BitstreamError, match=f"no pixels: width {width}, height {height}"):
        unpack(forged(width, height))


@pytest.mark.parametrize(("width", "height"), [(MAX_SIDE, MAX_SIDE), (2**14, 2**14 + 1)])
def test_absurd_size_with_valid_crc(width: int, height: int) -> None:
    with pytest.raises(BitstreamError, match=f"too large: {width} x {height} = {width * height}"):
        unpack(forged(width, height))


def test_claimed_lengths_are_not_allocated() -> None:
    data = forged(z_length=2**32 - 1, y_length=2**32 - 1)
    tracemalloc.start()
    try:
        with pytest.raises(
            BitstreamError, match=f"expected {29 + 2 * (2**32 - 1)} bytes, found 29"
        ):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": -1}, "fingerprint must be an integer from 0 to 4294967295, found -1"),
        ({"fingerprint": 2**32}, "fingerprint .* found 4294967296"),
        ({"width": 0}, "width must be an integer from 1 to 65535, found 0"),
        ({"width": 2**16}, "width .* found 65536"),
        ({"height": 0}, "height must be an integer from 1 to 65535, found 0"),
        ({"height": 2**16}, "height .* found 65536"),
        ({"quality_code": 256}, "quality_code must be an integer from 0 to 255, found 256"),
        ({"quality_code": 0.5}, r"quality_code .* found 0.5 \(float\)"),
        ({"symbols_crc": 2**32}, "symbols_crc must be .* found 4294967296"),
        ({"width": 2**14, "height": 2**14 + 1}, f"too large: .* at most {MAX_PIXELS}"),
        ({"z_stream": "zed"}, "z_stream must be bytes, found str"),
        ({"y_stream": None}, "y_stream must be bytes, found NoneType"),
    ],
)
def test_pack_refuses(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack(dataclasses.replace(EXAMPLE, **changes))


def test_check_fingerprint() -> None:
    check_fingerprint(EXAMPLE, 0x89ABCDEF, "photo")
    with pytest.raises(
        BitstreamError, match="fingerprint 0x89abcdef, but model 'photo' has 0x0000002a"
    ):
        check_fingerprint(EXAMPLE, 42, "photo")
