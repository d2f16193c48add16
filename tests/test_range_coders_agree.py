"""Both implementations of the range coder write the same bytes and read any bytes alike.

The ops code many streams in one call, of the same tables and lengths: so do these tests, below the
escapes, where tables of all precisions can be had.
"""

import os

import numpy as np
import pytest
from range_coder_tables import TFC_MISSING, random_lookup, random_positions

from diffcomp.coding import numba_range_coder
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import MAX_SYMBOL, gaussian_scales, gaussian_tables
from diffcomp.coding.range_coder import RangeDecoder, RangeEncoder

pytestmark = [pytest.mark.skipif(**TFC_MISSING), pytest.mark.tfc]

ROUNDS, STREAMS = 55, 200  # 11,000 cases
FLIP, CUT, EXTEND, EMPTY, RANDOM = range(5)


@pytest.fixture(scope="module")
def ops():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # or every damaged stream is logged
    import tensorflow_compression_ops

    return tensorflow_compression_ops


def tfc_encode(ops, lookup, calls) -> list[bytes]:
    """Streams of the ops; `calls` are pairs of positions and indexes, int32 [streams, n]."""
    handle = ops.create_range_encoder([len(calls[0][0])], lookup)
    for positions, indexes in calls:
        if indexes.size:
            handle = ops.entropy_encode_index(handle, indexes, positions)
    return ops.entropy_encode_finalize(handle).numpy().tolist()


def tfc_decode(ops, lookup, streams: list[bytes], calls) -> tuple[list[np.ndarray], np.ndarray]:
    """Positions, int32 [streams, n] for each call, and the verdicts, bool [streams]."""
    handle = ops.create_range_decoder(np.array(streams, object), lookup)
    positions = []
    for indexes in calls:
        if indexes.size:
            handle, found = ops.entropy_decode_index(handle, indexes, indexes.shape[1:], np.int32)
            positions.append(found.numpy())
        else:
            positions.append(np.zeros_like(indexes))
    return positions, ops.entropy_decode_finalize(handle).numpy()


def numba_encode(lookup, calls) -> list[bytes]:
    """As `tfc_encode`."""
    streams = []
    for i in range(len(calls[0][0])):
        encoder = numba_range_coder.Encoder(lookup)
        for positions, indexes in calls:
            encoder.encode(positions[i], indexes[i])
        streams.append(encoder.finish())
    return streams


def numba_decode(lookup, streams: list[bytes], calls) -> tuple[list[np.ndarray], np.ndarray]:
    """As `tfc_decode`."""
    decoders = [numba_range_coder.Decoder(lookup, stream) for stream in streams]
    positions = [
        np.stack([d.decode(row) for d, row in zip(decoders, indexes, strict=True)])
        for indexes in calls
    ]
    return positions, np.array([decoder.finish() for decoder in decoders])


def damage(rng: np.random.Generator, stream: bytes) -> bytes:
    kind = rng.integers(5)
    if kind == FLIP and stream:
        changed = bytearray(stream)
        changed[rng.integers(len(stream))] ^= 1 << rng.integers(8)
        return bytes(changed)
    if kind == CUT:
        return stream[: rng.integers(len(stream) + 1)]
    if kind == EXTEND:
        return stream + rng.choice([b"\0", b"\0\0", b"\xff", rng.bytes(5)])
    return b"" if kind == EMPTY else rng.bytes(rng.integers(1, len(stream) + 9))


def check_decoders(ops, lookup, streams: list[bytes], calls) -> tuple[list, np.ndarray]:
    """Returns what both decoders made of the streams, once it is known to be the same."""
    expected, expected_verdicts = tfc_decode(ops, lookup, streams, calls)
    found, verdicts = numba_decode(lookup, streams, calls)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(verdicts, expected_verdicts)
    return found, verdicts


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_same_bytes_symbols_and_verdicts(ops, seed: int) -> None:
    """Two calls a stream, the second of them empty in every fourth round."""
    rng = np.random.default_rng(seed)
    tables = random_lookup(rng, rng.choice([1, 2, 16, 40]))
    lookup = np.concatenate(tables)
    calls = []
    for length in (rng.integers(0, 60), rng.integers(1, 60) if seed % 4 else 0):
        indexes = rng.integers(0, len(tables), (STREAMS, length), dtype=np.int32)
        calls.append((random_positions(rng, tables, indexes), indexes))
    streams = numba_encode(lookup, calls)
    assert streams == tfc_encode(ops, lookup, calls)

    indexes = [call[1] for call in calls]
    found, verdicts = check_decoders(ops, lookup, streams, indexes)
    for (positions, _), again in zip(calls, found, strict=True):
        np.testing.assert_array_equal(again, positions)
    assert verdicts.all()
    check_decoders(ops, lookup, [damage(rng, stream) for stream in streams], indexes)


def test_long_carries(ops) -> None:
    """Symbols that keep a round number in the interval leave the carry open; more then decide it.

    They are what a decoder reads behind the end of a short stream. A run that ends with a carry
    leaves bytes of 0 behind, one that ends without leaves 255.
    """
    runs = {0: 0, 255: 0}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        tables = random_lookup(rng, 16)
        lookup = np.concatenate(tables)
        open_indexes = rng.integers(0, 16, (40, 3000), dtype=np.int32)
        prefixes = [rng.bytes(rng.integers(1, 9)) for _ in range(40)]
        (positions,), _ = check_decoders(ops, lookup, prefixes, [open_indexes])
        last = rng.integers(0, 16, (40, 8), dtype=np.int32)
        calls = [(positions, open_indexes), (random_positions(rng, tables, last), last)]
        for chosen in (calls[:1], calls):
            streams = numba_encode(lookup, chosen)
            assert streams == tfc_encode(ops, lookup, chosen)
            _, verdicts = check_decoders(ops, lookup, streams, [call[1] for call in chosen])
            assert verdicts.all()
        for byte in runs:
            runs[byte] += sum(bytes([byte]) * 500 in stream for stream in streams)
    assert min(runs.values()) > 20, runs


def test_a_million_symbols_in_one_call(ops) -> None:
    rng = np.random.default_rng(0)
    scales = gaussian_scales()
    tables = gaussian_tables(scales)
    rows = [np.append(16, tables.cdf(i)).astype(np.int32) for i in range(len(tables))]
    indexes = rng.integers(0, len(tables), (1, 10**6), dtype=np.int32)
    calls = [(random_positions(rng, rows, indexes), indexes)]
    streams = numba_encode(tables.lookup, calls)
    assert streams == tfc_encode(ops, tables.lookup, calls)
    (found,), verdicts = check_decoders(ops, tables.lookup, streams, [indexes])
    np.testing.assert_array_equal(found, calls[0][0])
    assert verdicts.all()
    assert len(streams[0]) > 500_000


def coded(monkeypatch, implementation: str, tables, calls) -> bytes:
    monkeypatch.setenv("DIFFCOMP_RANGE_CODER", implementation)
    encoder = RangeEncoder(tables)
    for symbols, indexes in calls:
        encoder.encode_index(symbols, indexes)
    return encoder.finish()


def read(monkeypatch, implementation: str, tables, stream: bytes, calls) -> list | str:
    """What was decoded, or the error's text."""
    monkeypatch.setenv("DIFFCOMP_RANGE_CODER", implementation)
    decoder = RangeDecoder(tables, stream)
    try:
        symbols = [decoder.decode_index(indexes).tolist() for _, indexes in calls]
        decoder.finish()
    except BitstreamError as error:
        return str(error)
    return symbols


def test_same_escapes(monkeypatch) -> None:
    """Through the interface, with many symbols outside of their tables, whole and damaged."""
    scales = gaussian_scales(8, 0.11, 40.0)
    tables = gaussian_tables(scales)
    outcomes = set()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        calls = []
        for length in rng.integers(0, 30, rng.integers(1, 4)):
            indexes = rng.integers(0, len(scales), length)
            symbols = np.rint(rng.normal(0, scales[indexes])).astype(int)
            escaped = rng.random(length) < rng.choice([0.1, 1.0])
            far = 2 ** rng.uniform(0, 24, length) * rng.choice([-1, 1], length)
            calls.append((np.where(escaped, far.astype(int), symbols), indexes))
        stream = coded(monkeypatch, "numba", tables, calls)
        assert stream == coded(monkeypatch, "tfc", tables, calls)
        for data in (stream, damage(rng, stream)):
            found = read(monkeypatch, "numba", tables, data, calls)
            assert found == read(monkeypatch, "tfc", tables, data, calls)
            assert data != stream or found == [symbols.tolist() for symbols, _ in calls]
            outcomes.add(found if isinstance(found, str) else "symbols")
    assert "the stream is damaged: it does not end with the last symbol" in outcomes
    assert any(f"is beyond ±{MAX_SYMBOL}" in outcome for outcome in outcomes)
