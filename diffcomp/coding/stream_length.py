"""How long a range coded stream must at least be: what a header claims has to be paid for in bytes.

A header of 29 bytes can claim 2**28 pixels. What they would take to decode is allocated only if the
streams are long enough for the cheapest symbols that the tables have.
"""

import numpy as np

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import PRECISION, CdfTables

# An encoder stops at the shortest number of its interval. That the number has b bits less than the
# interval's information happens once in 2**b files.
SAVED_BITS = 64


def least_bits(tables: CdfTables) -> np.ndarray:
    """Cost of the likeliest symbol of each table, float64 [tables], in bits."""
    counts = np.diff(tables.lookup.astype(np.int64))
    # Within a table only: not from its precision to its first count, nor on to the next table.
    counts[tables.starts] = 0
    counts[tables.starts[1:] - 1] = 0
    return PRECISION - np.log2(np.maximum.reduceat(counts, tables.starts))


def least_bits_per_position(tables: CdfTables, channels: int | None) -> float:
    """Bits that a position takes at least.

    With `channels` None each table codes one channel; otherwise any table may code each of them.
    """
    bits = least_bits(tables)
    return float(bits.sum()) if channels is None else float(bits.min()) * channels


def check_stream_length(
    name: str, stream: bytes, shape: tuple[int, int], bits_per_position: float
) -> None:
    """Raises BitstreamError for a stream that cannot hold [h, w] positions; allocates nothing."""
    least = shape[0] * shape[1] * bits_per_position - SAVED_BITS
    if 8 * len(stream) < least:
        raise BitstreamError(
            f"the header claims {shape[1]} x {shape[0]} positions of {name}, which take at least"
            f" {least / 8:.0f} bytes; the file has {len(stream)} for them"
        )
