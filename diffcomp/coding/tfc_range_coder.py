"""The range coder's own implementation: the ops of the package tensorflow-compression-ops.

`numba_range_coder` writes and reads the same bytes without TensorFlow, and is what is used unless
`DIFFCOMP_RANGE_CODER=tfc` is set (see `range_coder`). This one is what it is compared with.

The ops have an escape of their own, an Elias gamma code switched on by a negative precision. It is
not used because its decoder counts zero bits without a limit: an empty or zeroed stream hangs it
for good. With positive precisions every stream decodes to something, in a time bounded by the
number of symbols asked for.
"""

import contextlib
import os
from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np


class _TensorFlow(NamedTuple):
    """The two modules used, loaded."""

    tf: ModuleType
    ops: ModuleType


@cache
def _tensorflow() -> _TensorFlow:
    """Imports TensorFlow: late, since it takes seconds; silent; and without touching GPUs."""
    # Without this the import writes a dozen lines on CUDA and oneDNN to stderr. It is set, not
    # defaulted, since JAX has put a lower level there when it was imported first.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f"DIFFCOMP_RANGE_CODER=tfc needs TensorFlow 2.17, for its range coder: {error}"
        ) from error

    # The ops run on the CPU, and TensorFlow would reserve the memory of accelerators JAX uses.
    # A host program that has already started TensorFlow has made its own choice: RuntimeError.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")
    try:
        import tensorflow_compression_ops as ops
    except ImportError as error:
        raise ImportError(
            "DIFFCOMP_RANGE_CODER=tfc needs tensorflow-compression-ops, of which wheels exist for"
            f" Linux on x86-64 only: {error}"
        ) from error

    return _TensorFlow(tf, ops)


class Encoder:
    """Writes positions within tables; see `range_coder.PositionEncoder`."""

    def __init__(self, lookup: np.ndarray) -> None:
        self._handle = _tensorflow().ops.create_range_encoder([], lookup)

    def encode(self, positions: np.ndarray, indexes: np.ndarray) -> None:
        if len(positions) > 0:  # the ops take empty indexes for a call without indexes
            self._handle = _tensorflow().ops.entropy_encode_index(self._handle, indexes, positions)

    def finish(self) -> bytes:
        return _tensorflow().ops.entropy_encode_finalize(self._handle).numpy()


class Decoder:
    """Reads positions within tables; see `range_coder.PositionDecoder`."""

    def __init__(self, lookup: np.ndarray, data: bytes) -> None:
        tensorflow = _tensorflow()
        self._handle = tensorflow.ops.create_range_decoder(tensorflow.tf.constant(data), lookup)

    def decode(self, indexes: np.ndarray) -> np.ndarray:
        if len(indexes) == 0:
            return np.zeros(0, np.int32)
        tensorflow = _tensorflow()
        self._handle, positions = tensorflow.ops.entropy_decode_index(
            self._handle, indexes, indexes.shape, tensorflow.tf.int32
        )
        return positions.numpy()

    def finish(self) -> bool:
        return bool(_tensorflow().ops.entropy_decode_finalize(self._handle).numpy())
