"""Pickles of PyTorch, from strangers: nested dictionaries whose tensors name storages.

A pickle is a program. This reader of it knows the names that dictionaries of tensors need, gives
each a harmless meaning of its own, and refuses every other; PyTorch's own functions are never
called. Nor may a small pickle take much memory or time: it has a greatest length, and keys are
texts or numbers (a tuple that holds another twice, and so on, takes for ever to hash).
"""

import io
import pickle
import reprlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, BinaryIO, ClassVar, NamedTuple

MAX_PICKLE = 2**22  # bytes; those of the released files have 100,000

# Types of storages that hold weights, and as what NumPy reads them. It has no bfloat16, whose bits
# are the upper half of a float32's.
FLOATS = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
}
# Types that a file may hold elsewhere, as for a count of steps, and the bytes of a value.
OTHERS = {
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}


class WeightsError(ValueError):
    """A file of weights that cannot be used, with the reason."""


class Storage(NamedTuple):
    """The marker of a storage in the pickle."""

    kind: str
    key: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage, in values rather than bytes; not yet checked."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


class _Bounded:
    """What an unpickler reads from: no more than `MAX_PICKLE` bytes, and no more than there are.

    A stream asked for 2**60 bytes takes the memory for them before it finds that it has fewer.
    """

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        here = stream.tell()
        self._left = min(stream.seek(0, io.SEEK_END) - here, MAX_PICKLE)
        stream.seek(here)

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise EOFError(f"it ends early, or is longer than {MAX_PICKLE} bytes")
        self._left -= size
        return self._stream.read(size)

    def readline(self) -> bytes:
        line = self._stream.readline(self._left)
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise EOFError("it ends within a line")
        return line


# Python's own, not the one in C: that keeps what it remembers in an array as long as the largest
# number that a pickle gives it, up to 64 GB, and cannot be told which operations to refuse.
class TensorUnpickler(pickle._Unpickler):
    """Builds dictionaries of `Tensor`; nothing that a pickle can name here has an effect."""

    def __init__(self, stream: BinaryIO):
        super().__init__(_Bounded(stream))
        self.storages: dict[str, Storage] = {}  # by key, each as first named

    def unpickle(self) -> Any:
        """Raises WeightsError for a pickle that is damaged or holds anything else."""
        try:
            return self.load()
        except WeightsError:
            raise
        # A damaged pickle may raise whatever the operations do that it happens to consist of.
        except Exception as error:
            raise WeightsError(f"data.pkl cannot be read: {error!r:.200}.") from error

    def _check_keys(self, keys: Iterable[Any]) -> None:
        for key in keys:
            if type(key) not in (str, int, float, bool, type(None)):
                raise WeightsError(f"data.pkl has a key of type {type(key).__name__}.")

    def load_dict(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_dict()

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def load_build(self) -> None:
        """Would set attributes of anything, as of the functions below; none is needed."""
        self.stack.pop()

    # Operations by code. Without sets, whose members are hashed, and without those of extensions,
    # of classes by other ways than `find_class`, of buffers outside of the pickle, and of byte
    # arrays, for which memory is taken before it is known that they are there.
    dispatch: ClassVar = {
        code: operation
        for code, operation in pickle._Unpickler.dispatch.items()
        if bytes([code])
        not in (
            *(pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.INST, pickle.OBJ),
            *(pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
            pickle.BYTEARRAY8,
        )
    } | {
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.BUILD[0]: load_build,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in (*FLOATS, *OTHERS):
            return name
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        raise WeightsError(
            f"data.pkl names {module}.{name}, which is no part of a dictionary of weights."
        )

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            # The last was of use in the old format only, where it is None but for views.
            case ("storage", str(kind), str(key), str(), int(count)) | (
                "storage",
                str(kind),
                str(key),
                str(),
                int(count),
                None,
            ) if kind in FLOATS or kind in OTHERS:
                storage = Storage(kind, key, count)
                self.storages.setdefault(key, storage)
                return storage
        raise WeightsError(
            f"data.pkl names a storage {reprlib.repr(pid)}, which is not of PyTorch's form."
        )


# What a pickle may call. PyTorch gives a dictionary no argument: of one the keys would be hashed
# before they are checked.
_FUNCTIONS = {
    ("collections", "OrderedDict"): lambda: OrderedDict(),
    ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: Tensor(
        storage, offset, shape, strides
    ),
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
}
