"""Reads files of PyTorch without PyTorch and without executing anything.

Such a file is a zip archive, not compressed: `<root>/data.pkl` is a pickle of nested dictionaries
whose tensors name storages, and `<root>/data/<key>` holds the raw values of one storage. Before
PyTorch 1.6 it was a sequence: pickles of a mark, a version, a description of the machine, the
dictionaries and the list of storages, then those storages, each with its length first.
`torch_pickle` reads the pickles. Nothing is read that the file is too short for, and all tensors
together have no more values than the file has bytes: a small file cannot take much memory.
"""

import io
import math
import reprlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from diffcomp.files.torch_pickle import (
    FLOATS,
    MAX_PICKLE,
    OTHERS,
    Storage,
    Tensor,
    TensorUnpickler,
    WeightsError,
)

MAX_AXES = 8  # of a tensor; the networks have up to 5

OLD_MARK, OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001  # how files before PyTorch 1.6 begin


def read_tensors(path: Path, select: Callable[[Any], dict[str, Any]]) -> dict[str, np.ndarray]:
    """The chosen tensors of a file of PyTorch, as float32 arrays by name.

    `select` is given all that the file holds, nested dictionaries whose tensors are not read yet,
    and returns those to read, by name; it raises WeightsError where it does not find them.
    Raises WeightsError, with the reason, for anything but an intact file with such tensors, and
    OSError where the file cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as stream:
        start = stream.read(2)
        if start != b"PK" and start[:1] != b"\x80":
            raise WeightsError(
                f"{path} is no file of PyTorch: it does not begin as a zip archive or a pickle."
            )
        stream.seek(0)
        try:
            if start != b"PK":
                return _read_sequence(stream, select)
            size = stream.seek(0, io.SEEK_END)
            with zipfile.ZipFile(stream) as archive:
                return _read_archive(archive, size, select)
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}") from error
        # Of zipfile more than BadZipFile: names that are no UTF-8, packings that it does not know.
        # And `select` may find anything where it looks for a dictionary.
        except Exception as error:
            raise WeightsError(f"{path} is damaged: {error!r:.200}") from error


def _read_archive(
    archive: zipfile.ZipFile, size: int, select: Callable[[Any], dict[str, Any]]
) -> dict[str, np.ndarray]:
    """`size` is that of the file, in bytes."""
    if sum(entry.compress_size for entry in archive.infolist()) > size:
        raise WeightsError(f"its entries claim more than its {size} bytes.")
    names = set(archive.namelist())
    entries = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(entries) != 1:
        raise WeightsError(f"it has {len(entries)} entries data.pkl; a file of PyTorch has one.")
    root = entries[0].removesuffix("data.pkl")
    order = f"{root}byteorder"  # absent in older files, which are little-endian
    if order in names and _read_entry(archive, order) != b"little":
        raise WeightsError("its values are not little-endian.")

    def find(name: str, storage: Storage, size: int) -> bytes:
        entry = f"{root}data/{storage.key}"
        if entry not in names:
            raise WeightsError(f"{name}: the archive has no entry {entry}.")
        found = archive.getinfo(entry).file_size
        if found != size:
            raise WeightsError(f"{name}: {entry} has {found} bytes, not {size}.")
        return _read_entry(archive, entry)

    if archive.getinfo(entries[0]).file_size > MAX_PICKLE:
        raise WeightsError(f"{entries[0]} has more than {MAX_PICKLE} bytes.")
    tensors = select(TensorUnpickler(io.BytesIO(_read_entry(archive, entries[0]))).unpickle())
    return _read_tensors(tensors, size, find)


def _read_tensors(
    tensors: dict[str, Any], size: int, find: Callable[[str, Storage, int], bytes]
) -> dict[str, np.ndarray]:
    """Of a file of `size` bytes. Tensors may share a storage, and each is given an array."""
    result, left = {}, size
    for name, tensor in tensors.items():
        result[name] = _read_tensor(name, tensor, left, find)
        left -= result[name].size
    return result


def _read_sequence(
    stream: BinaryIO, select: Callable[[Any], dict[str, Any]]
) -> dict[str, np.ndarray]:
    """Of a file before PyTorch 1.6, read from its start."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    mark, version, machine = (TensorUnpickler(stream).unpickle() for _ in range(3))
    if mark != OLD_MARK or version != OLD_VERSION or not isinstance(machine, dict):
        raise WeightsError("it begins as a pickle, but not as one of PyTorch.")
    if machine.get("little_endian") is not True:
        raise WeightsError("its values are not little-endian.")
    unpickler = TensorUnpickler(stream)
    tensors = select(unpickler.unpickle())
    known = unpickler.storages
    keys = TensorUnpickler(stream).unpickle()
    if not isinstance(keys, list) or not all(isinstance(k, str) and k in known for k in keys):
        raise WeightsError("its list of storages names one that no tensor has.")
    values = {key: _next_storage(stream, known[key]) for key in keys}

    def find(name: str, storage: Storage, size: int) -> bytes:
        if storage.key not in values:
            raise WeightsError(f"{name}: the file has no storage {storage.key!r}.")
        found = len(values[storage.key])
        if found != size:
            raise WeightsError(f"{name}: storage {storage.key!r} has {found} bytes, not {size}.")
        return values[storage.key]

    return _read_tensors(tensors, size, find)


def _next_storage(stream: BinaryIO, storage: Storage) -> bytes:
    count = int.from_bytes(stream.read(8), "little")
    if count != storage.count:
        raise WeightsError(f"storage {storage.key!r} has {count} values, not {storage.count}.")
    kind = storage.kind
    size = count * (np.dtype(FLOATS[kind]).itemsize if kind in FLOATS else OTHERS[kind])
    here = stream.tell()
    # Looked up first: memory for as many bytes as are claimed would be taken to read them.
    if stream.seek(0, io.SEEK_END) - here < size:
        raise WeightsError(f"it ends within storage {storage.key!r}.")
    stream.seek(here)
    return stream.read(size)


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise WeightsError(f"{name} is compressed; PyTorch stores its entries as they are.")
    if entry.compress_size != entry.file_size:
        raise WeightsError(f"{name} has two sizes, {entry.compress_size} and {entry.file_size}.")
    return archive.read(name)


def _read_tensor(
    name: str, tensor: Any, left: int, find: Callable[[str, Storage, int], bytes]
) -> np.ndarray:
    """`find` returns the bytes of a storage; name and size are for its errors.

    Raises WeightsError also for more than `left` values.
    """
    if not isinstance(tensor, Tensor) or not isinstance(tensor.storage, Storage):
        raise WeightsError(f"{name} is no tensor.")
    kind, _, count = tensor.storage
    if kind not in FLOATS:
        raise WeightsError(f"{name} is of type {kind}; weights are {', '.join(FLOATS)}.")
    offset, shape, strides = _check_view(name, tensor, count)

    dtype = np.dtype(FLOATS[kind])
    values = np.frombuffer(find(name, tensor.storage, count * dtype.itemsize), dtype)
    if math.prod(shape) > left:
        raise WeightsError(f"{name}: the tensors have more values than the file has bytes.")
    strides = tuple(stride * dtype.itemsize for stride in strides)
    view = np.ndarray(shape, dtype, values, offset * dtype.itemsize, strides)
    if kind == "BFloat16Storage":
        view = (view.astype(np.uint32) << 16).view(np.float32)
    result = view.astype(np.float32, order="C")
    if not np.isfinite(result).all():
        raise WeightsError(f"{name} has values that are not finite.")
    return result


def _check_view(name: str, tensor: Tensor, count: int) -> tuple[int, tuple, tuple]:
    """Offset, shape and strides; WeightsError unless they lie in a storage of `count` values."""
    _, offset, shape, strides = tensor
    whole = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    numbers = (count, offset, *shape, *strides) if whole and len(shape) <= MAX_AXES else ()
    if not numbers or not all(map(_is_size, numbers)) or 0 in shape:
        raise WeightsError(
            f"{name} has shape {reprlib.repr(shape)}, strides {reprlib.repr(strides)} and offset"
            f" {reprlib.repr(offset)}; they must be whole numbers, for up to {MAX_AXES} axes of"
            " length 1 or more."
        )
    # The stride of a single value has no meaning.
    strides = tuple(stride * (n > 1) for n, stride in zip(shape, strides, strict=True))
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # By a stride of 0, an array of any size could be made of one value.
    if math.prod(shape) > count or last >= count:
        raise WeightsError(
            f"{name} with shape {shape}, strides {strides} and offset {offset} does not fit into"
            f" its storage of {count} values."
        )
    return offset, shape, strides


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**128
