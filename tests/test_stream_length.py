"""What a header claims must be paid for in bytes, before anything of its size is allocated."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import tiny_model

from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import CdfTables, information
from diffcomp.coding.range_coder import RangeEncoder
from diffcomp.coding.stream_length import SAVED_BITS, least_bits, least_bits_per_position


@pytest.fixture(scope="module")
def tables() -> CdfTables:
    return tiny_model.codec().model.coder.y_tables


def test_least_bits_are_those_of_each_tables_likeliest_symbol(tables) -> None:
    for index, bits in enumerate(least_bits(tables)):
        symbols = tables.offsets[index] + np.arange(tables.sizes[index] - 1)
        costs = [information(tables, np.array([s]), np.array([index])) for s in symbols]
        assert bits == pytest.approx(min(costs))
    assert least_bits_per_position(tables, None) == pytest.approx(least_bits(tables).sum())
    assert least_bits_per_position(tables, 3) == pytest.approx(3 * least_bits(tables).min())


@pytest.mark.parametrize("count", [10, 1000, 300_000])
def test_no_stream_is_shorter_than_the_bound(tables, count: int) -> None:
    """Of nothing but the likeliest symbol of the cheapest table."""
    indexes = np.full(count, np.argmin(least_bits(tables)))
    encoder = RangeEncoder(tables)
    encoder.encode_index(np.zeros(count, np.int32), indexes)
    least = count * least_bits(tables).min() - SAVED_BITS
    assert least <= 8 * len(encoder.finish()) <= least + SAVED_BITS + 32


def forged(**changes: int) -> bytes:
    """The golden file with another header and a right CRC."""
    container = bitstream.unpack(tiny_model.FILE.read_bytes())
    return bitstream.pack(dataclasses.replace(container, **changes))


@pytest.mark.parametrize("size", [(65535, 4096), (16384, 16384), (65535, 1), (4096, 4096)])
def test_forged_size_is_refused_before_it_is_allocated(size: tuple[int, int]) -> None:
    data = forged(width=size[0], height=size[1])
    codec = tiny_model.codec()
    tracemalloc.start()
    with pytest.raises(BitstreamError, match="the header claims .* which take at least"):
        codec.decompress(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_either_stream_can_be_too_short() -> None:
    coder = tiny_model.codec().model.coder
    shape = (256, 256)
    channels = coder.step.shape[1]
    z_bits = 64 * 64 * least_bits_per_position(coder.z_tables, None)
    y_bits = 256 * 256 * least_bits_per_position(coder.y_tables, channels)
    streams = tiny_model.codec().model.coder.encode(
        np.zeros((1, 1, channels), np.float32), np.zeros((1, 1, len(coder.z_tables))), 0
    )
    z, y = bytes(int(z_bits // 8)), bytes(int(y_bits // 8))
    with pytest.raises(BitstreamError, match="64 x 64 positions of z"):
        coder.decode(dataclasses.replace(streams, z_stream=z[:-16], y_stream=y), shape, 0)
    with pytest.raises(BitstreamError, match="256 x 256 positions of y"):
        coder.decode(dataclasses.replace(streams, z_stream=z, y_stream=y[:-16]), shape, 0)
