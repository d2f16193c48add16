"""Speed of both range coders: python launch/benchmark_range_coder.py [--repeats=20] [--clock=cpu]

Codes as many symbols as y has for 768x512 pixels, 32 x 48 x 256, with 64 Gaussian tables, and
prints millions of symbols per second, the fastest of the repeats, by which the two take turns.
Two sets of symbols: one in which most are 0, as at the usual qualities, and one in which all tables
are as frequent. Needs tensorflow and tensorflow-compression-ops.
"""

import os
import time
from collections.abc import Callable

import numpy as np
from absl import app, flags

from diffcomp.coding.cdf_tables import CdfTables, gaussian_scales, gaussian_tables, information
from diffcomp.coding.range_coder import (
    IMPLEMENTATION_VARIABLE,
    IMPLEMENTATIONS,
    RangeDecoder,
    RangeEncoder,
)

_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_REPEATS = flags.DEFINE_integer("repeats", 20, "Calls of which the fastest counts.", 1)
_CLOCK = flags.DEFINE_enum("clock", "wall", list(_CLOCKS), "Time that passes, or of processors.")
_SYMBOLS = 32 * 48 * 256


def draw_indexes(mean: float | None) -> np.ndarray:
    """Returns indexes of 64 tables, int32 [symbols]: with a geometric distribution, or even."""
    rng = np.random.default_rng(0)
    if mean is None:
        return rng.integers(0, 64, _SYMBOLS, dtype=np.int32)
    return np.minimum(rng.geometric(1 / (1 + mean), _SYMBOLS) - 1, 63).astype(np.int32)


def encode(tables: CdfTables, symbols: np.ndarray, indexes: np.ndarray) -> bytes:
    encoder = RangeEncoder(tables)
    encoder.encode_index(symbols, indexes)
    return encoder.finish()


def decode(tables: CdfTables, data: bytes, indexes: np.ndarray) -> np.ndarray:
    decoder = RangeDecoder(tables, data)
    symbols = decoder.decode_index(indexes)
    decoder.finish()
    return symbols


def fastest(call: Callable[[], object]) -> dict[str, float]:
    """Returns the seconds of `call` with each implementation."""
    now = _CLOCKS[_CLOCK.value]
    seconds = dict.fromkeys(IMPLEMENTATIONS, np.inf)
    for repeat in range(_REPEATS.value + 1):
        for name in IMPLEMENTATIONS:
            os.environ[IMPLEMENTATION_VARIABLE] = name
            start = now()
            call()
            if repeat:  # the first compiles and loads
                seconds[name] = min(seconds[name], now() - start)
    return seconds


def benchmark(title: str, indexes: np.ndarray) -> None:
    """Prints a row for encoding and a row for decoding."""
    scales = gaussian_scales()
    tables = gaussian_tables(scales)
    normal = np.random.default_rng(1).normal(0, scales[indexes])
    symbols = np.rint(normal).astype(np.int32)
    data = encode(tables, symbols, indexes)
    bits = information(tables, symbols, indexes) / len(symbols)
    for name, call in (
        ("encode", lambda: encode(tables, symbols, indexes)),
        ("decode", lambda: decode(tables, data, indexes)),
    ):
        seconds = fastest(call)
        speeds = "".join(f"{1e-6 * _SYMBOLS / seconds[name]:10.1f}" for name in IMPLEMENTATIONS)
        ratio = seconds["tfc"] / seconds["numba"]
        print(f"{f'{name}, {title}, {bits:.2f} bit':32s}{speeds}{ratio:10.2f}", flush=True)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    header = "".join(f"{name:>10s}" for name in (*IMPLEMENTATIONS, "ratio"))
    print(f"{'million symbols per second':32s}{header}")
    benchmark("mostly 0", draw_indexes(4.0))
    benchmark("even", draw_indexes(None))
    print(f"{_SYMBOLS} symbols, {_CLOCK.value} clock, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    app.run(main)
