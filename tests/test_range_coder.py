"""Tests of the range coder: exact round trips, sizes near the ideal, and no harm from bad data.

Every test runs with both implementations; test_range_coders_agree.py compares them.
"""

import math
import subprocess
import sys
import threading

import numpy as np
import pytest
from range_coder_tables import TFC_MISSING

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import (
    MAX_SYMBOL,
    CdfTables,
    gaussian_scales,
    gaussian_tables,
    information,
    tables_from_pmfs,
)
from diffcomp.coding.range_coder import RangeDecoder, RangeEncoder

pytestmark = pytest.mark.tfc  # in both implementations

SCALES = gaussian_scales(8, 0.11, 40.0)
TABLES = gaussian_tables(SCALES)
# Three channels: skewed, even, and one where the escape is the rule.
PRIOR = tables_from_pmfs([np.array([0.001, 0.998]), np.full(8, 0.12), np.array([0.01])], [-1, 5, 0])


@pytest.fixture(
    params=["numba", pytest.param("tfc", marks=pytest.mark.skipif(**TFC_MISSING))], autouse=True
)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the implementation that the test uses."""
    monkeypatch.setenv("DIFFCOMP_RANGE_CODER", request.param)
    return request.param


def encode(tables: CdfTables, symbols: np.ndarray, indexes: np.ndarray) -> bytes:
    encoder = RangeEncoder(tables)
    encoder.encode_index(symbols, indexes)
    return encoder.finish()


def decode(tables: CdfTables, data: bytes, indexes: np.ndarray) -> np.ndarray:
    decoder = RangeDecoder(tables, data)
    symbols = decoder.decode_index(indexes)
    decoder.finish()
    return symbols


def draw(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Symbols of `TABLES` and their indexes, int32 of `shape`."""
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(TABLES), shape, dtype=np.int32)
    return np.rint(rng.normal(0, SCALES[indexes])).astype(np.int32), indexes


def outliers() -> tuple[np.ndarray, np.ndarray]:
    """Symbols at and beyond the ends of every table, up to the largest allowed, and indexes."""
    powers = 2 ** np.arange(25)
    far = np.concatenate([-powers, 1 - powers, powers - 1, powers])
    near = np.arange(-170, 171)
    symbols = np.tile(np.concatenate([far, near]), len(TABLES))
    return symbols, np.repeat(np.arange(len(TABLES)), len(far) + len(near))


SIGNALS = {
    "empty": (np.zeros(0, np.int32), np.zeros(0, np.int32)),
    "empty, 4-D": (np.zeros((1, 0, 3, 8), np.int32), np.zeros((1, 0, 3, 8), np.int32)),
    "scalar": (np.int32(-3), np.int32(7)),
    "one symbol": (np.array([2]), np.array([5])),
    "skewed": (np.zeros(20_000, np.int32), np.zeros(20_000, np.int32)),
    "random": draw((2, 5, 7, 8)),
    "1e5 symbols": draw((100_000,)),
    "outliers": outliers(),
    "only outliers": (np.full(3000, -(2**20)), np.zeros(3000, np.int32)),
    "int64 and uint8": (np.arange(-4, 4), np.arange(8, dtype=np.uint8)),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_round_trip_and_size(name: str) -> None:
    symbols, indexes = SIGNALS[name]
    data = encode(TABLES, symbols, indexes)
    decoded = decode(TABLES, data, indexes)
    assert decoded.dtype == np.int32
    assert decoded.shape == np.shape(symbols)
    assert np.array_equal(decoded, symbols)
    ideal = information(TABLES, symbols, indexes)
    assert ideal / 8 - 4 <= len(data) <= math.ceil(1.01 * ideal / 8) + 8


def test_largest_symbols_of_shifted_tables() -> None:
    tables = tables_from_pmfs([np.array([0.5]), np.array([0.5])], [2**16, -(2**16)])
    symbols = np.array([[MAX_SYMBOL, MAX_SYMBOL], [-MAX_SYMBOL, -MAX_SYMBOL], [0, 0]])
    indexes = np.broadcast_to([0, 1], symbols.shape)
    assert np.array_equal(decode(tables, encode(tables, symbols, indexes), indexes), symbols)


def test_channels_use_their_own_table() -> None:
    rng = np.random.default_rng(1)
    symbols = np.stack(
        [np.zeros((2, 50, 50), int), rng.integers(5, 13, (2, 50, 50)), np.ones((2, 50, 50), int)],
        axis=-1,
    )
    encoder = RangeEncoder(PRIOR)
    encoder.encode_channel(symbols)
    data = encoder.finish()
    assert data == encode(PRIOR, symbols, np.broadcast_to(np.arange(3), symbols.shape))
    decoder = RangeDecoder(PRIOR, data)
    assert np.array_equal(decoder.decode_channel(symbols.shape), symbols)
    decoder.finish()


def test_calls_share_one_stream() -> None:
    """What a two-pass context model needs: the second indexes follow from the first symbols."""
    first, first_indexes = draw((3, 400), seed=2)
    second, _ = draw((3, 400), seed=3)
    second[0, :9] = 10**6
    second_indexes = np.abs(first) % len(TABLES)
    z = np.zeros((10, len(TABLES)), np.int32)
    encoder = RangeEncoder(TABLES)
    encoder.encode_index(first, first_indexes)
    encoder.encode_channel(z)
    encoder.encode_index(np.zeros(0, int), np.zeros(0, int))
    encoder.encode_index(second, second_indexes)
    decoder = RangeDecoder(TABLES, encoder.finish())
    decoded = decoder.decode_index(first_indexes)
    assert np.array_equal(decoded, first)
    assert np.array_equal(decoder.decode_channel(z.shape), z)
    assert decoder.decode_index(np.zeros(0, int)).shape == (0,)
    assert np.array_equal(decoder.decode_index(np.abs(decoded) % len(TABLES)), second)
    decoder.finish()


def test_golden_stream() -> None:
    """The format must not change silently: it is that of files that exist."""
    symbols = np.array([[0, 5, 0], [-1, 12, 77], [300, -9, -70_000]])
    encoder = RangeEncoder(PRIOR)
    encoder.encode_channel(symbols)
    assert encoder.finish().hex() == "00421369db1e06541ab76202"


def test_empty_stream_is_empty() -> None:
    assert RangeEncoder(TABLES).finish() == b""
    RangeDecoder(TABLES, b"").finish()


@pytest.mark.parametrize("tables", [TABLES, PRIOR], ids=["tables", "prior"])
def test_any_bytes_decode_to_symbols_or_raise(tables: CdfTables) -> None:
    """An escape must end even where the stream has ended, where zeros follow for ever."""
    constant = [bytes([value]) * length for value in (0, 255) for length in (0, 1, 100, 4000)]
    random = [np.random.default_rng(length).bytes(length) for length in (*range(1, 200), 4000)]
    for data in constant + random:
        decoder = RangeDecoder(tables, data)
        try:
            symbols = decoder.decode_channel((60, len(tables)))
            assert np.abs(symbols).max() <= MAX_SYMBOL
            decoder.finish()
        except BitstreamError:
            continue
        # An escape takes at most 16 + 6 + 31 bits, so that these cannot have been read to the end.
        assert len(data) < 4000


def test_escape_beyond_the_largest_symbol_raises() -> None:
    with pytest.raises(BitstreamError, match=r"symbol -\d+ is beyond ±16777216"):
        RangeDecoder(PRIOR, b"\xff" * 100).decode_index(np.full(5, 2))


def test_truncated_stream_raises_or_decodes_differently() -> None:
    symbols, indexes = draw((300,), seed=4)
    symbols[::50] = 10**5
    data = encode(TABLES, symbols, indexes)
    for length in range(len(data)):
        try:
            decoded = decode(TABLES, data[:length], indexes)
        except BitstreamError:
            continue
        assert not np.array_equal(decoded, symbols)


def test_finish_finds_what_was_not_read() -> None:
    symbols, indexes = draw((300,), seed=5)
    data = encode(TABLES, symbols, indexes)
    for surplus in (b"\x01", bytes(100)):
        with pytest.raises(BitstreamError, match="does not end with the last symbol"):
            decode(TABLES, data + surplus, indexes)
    with pytest.raises(BitstreamError, match="does not end with the last symbol"):
        decode(TABLES, data, indexes[:250])


ONES = np.ones((4, 8), np.int32)


@pytest.mark.parametrize(
    ("symbols", "indexes", "message"),
    [
        (ONES * 1.0, ONES, "symbols must be integers, found float64"),
        (ONES > 0, ONES, "symbols must be integers, found bool"),
        (ONES * (MAX_SYMBOL + 1), ONES, "symbols must lie within ±16777216, found 16777217 to"),
        (ONES * -(MAX_SYMBOL + 1), ONES, "symbols must lie within ±16777216, found -16777217"),
        (np.full((4, 8), 2**64 - 1, np.uint64), ONES, "symbols must lie within .* found 184467"),
        (np.full((4, 8), -(2**63)), ONES, "symbols must lie within .* found -922337"),
        (ONES, ONES * 1.0, "indexes must be integers, found float64"),
        (ONES, ONES * 8, "indexes must be from 0 to 7, found 8 to 8"),
        (ONES, -ONES, "indexes must be from 0 to 7, found -1 to -1"),
        (ONES, ONES[:, :4], r"agree in shape: \(4, 8\), \(4, 4\)"),
        (ONES, ONES.ravel(), r"agree in shape: \(4, 8\), \(32,\)"),
    ],
)
def test_encode_index_refuses(symbols: np.ndarray, indexes: np.ndarray, message: str) -> None:
    encoder = RangeEncoder(TABLES)
    with pytest.raises(ValueError, match=message):
        encoder.encode_index(symbols, indexes)
    assert encoder.finish() == b""


@pytest.mark.parametrize("shape", [(), (0,), (7,), (8, 1), (4, 16)])
def test_channels_must_be_as_many_as_tables(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="last axis must be 8 long, found shape"):
        RangeEncoder(TABLES).encode_channel(np.zeros(shape, np.int32))
    with pytest.raises(ValueError, match="last axis must be 8 long, found shape"):
        RangeDecoder(TABLES, b"").decode_channel(shape)


def test_decoder_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="indexes must be from 0 to 7, found 0 to 8"):
        RangeDecoder(TABLES, b"").decode_index(np.array([0, 8]))
    with pytest.raises(ValueError, match="indexes must be integers, found float32"):
        RangeDecoder(TABLES, b"").decode_index(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="data must be bytes, found str"):
        RangeDecoder(TABLES, "stream")


def test_finish_ends_use() -> None:
    encoder, decoder = RangeEncoder(TABLES), RangeDecoder(TABLES, b"")
    encoder.finish()
    decoder.finish()
    with pytest.raises(ValueError, match="the encoder is finished"):
        encoder.encode_index(ONES, ONES)
    with pytest.raises(ValueError, match="the encoder is finished"):
        encoder.finish()
    with pytest.raises(ValueError, match="the decoder is finished"):
        decoder.decode_index(ONES)
    with pytest.raises(ValueError, match="the decoder is finished"):
        decoder.finish()


def test_threads_do_not_disturb_each_other() -> None:
    signals = [draw((100_000,), seed) for seed in range(4)]
    expected = [encode(TABLES, *signal) for signal in signals]
    found = [b""] * len(signals)

    def code(i: int) -> None:
        symbols, indexes = signals[i]
        if np.array_equal(decode(TABLES, expected[i], indexes), symbols):
            found[i] = encode(TABLES, symbols, indexes)

    threads = [threading.Thread(target=code, args=(i,)) for i in range(len(signals))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_compilers_are_loaded_late_and_in_silence(implementation: str) -> None:
    program = """
import sys
import numpy as np
from diffcomp.coding.cdf_tables import gaussian_tables
from diffcomp.coding.range_coder import RangeEncoder
assert not {"jax", "numba", "tensorflow"} & set(sys.modules)
encoder = RangeEncoder(gaussian_tables(np.ones(1)))
encoder.encode_channel(np.zeros((3, 1), int))
encoder.finish()
assert [name for name in ("numba", "tensorflow") if name in sys.modules] == sys.argv[1:]
"""
    module = {"numba": "numba", "tfc": "tensorflow"}[implementation]
    result = subprocess.run([sys.executable, "-c", program, module], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["", "TFC", "tensorflow"])
def test_unknown_implementation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFCOMP_RANGE_CODER", name)
    message = f"DIFFCOMP_RANGE_CODER is '{name}'; it must be one of numba, tfc"
    with pytest.raises(ValueError, match=message):
        RangeEncoder(TABLES)
    with pytest.raises(ValueError, match=message):
        RangeDecoder(TABLES, b"")
