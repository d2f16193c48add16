"""Arrays of an `.npz` file from a stranger: all that it claims is checked before memory is taken.

`numpy.load` believes a header: it allocates what that claims and evaluates its text. Here the
header must be of the one form in which NumPy writes arrays of numbers, an entry must hold exactly
what its header says, and an archive may unpack to no more than `FREE` bytes or `MOST_RATIO` times
its own.
"""

import math
import re
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from diffcomp.files.atomic_file import FileError, errors_name

MOST_RATIO = 20  # bytes unpacked per byte of the file
FREE = 2**24  # bytes that any archive may unpack to
MAX_AXES = 32

# Of numbers only: objects, which are pickles, texts and records have other descriptions.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biuf][1248])', 'fortran_order': (True|False),"
    rb" 'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\), \} *\n"
)
_LONGEST_HEADER = 4096  # bytes


def read_arrays(path: Path, dtype: type | None = None) -> dict[str, np.ndarray]:
    """Arrays of numbers by name, each turned into `dtype`, if given, before the next is read.

    Raises FileError, which names file and array, for anything but an intact archive of arrays of
    numbers, and for one that claims more than it may hold.
    """
    with errors_name(path), Path(path).open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                _check_sizes(archive, stream.seek(0, 2))
                return {
                    entry.filename.removesuffix(".npy"): _read(archive, entry, dtype)
                    for entry in archive.infolist()
                }
        except FileError:
            raise
        # Of zipfile more than BadZipFile: names that are no UTF-8, packings that it does not know.
        except Exception as error:
            raise FileError(f"is no intact archive of arrays: {error!r:.200}") from error


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Raises FileError unless the entries can come from a file of `size` bytes."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise FileError("has two arrays of one name")
    for entry in entries:
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
            raise FileError(f"{entry.filename!r} has two sizes, though it is not compressed")
    if sum(entry.compress_size for entry in entries) > size:
        raise FileError(f"claims more than its {size} bytes")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(FREE, MOST_RATIO * size):
        raise FileError(
            f"claims {unpacked} bytes of arrays; of {size} bytes come {MOST_RATIO} times as many at"
            " most"
        )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, dtype: type | None) -> np.ndarray:
    with archive.open(entry) as stream:
        kind, turned, shape, header = _read_header(entry.filename, stream)
        count = math.prod(shape)
        size = count * kind.itemsize
        if header + size != entry.file_size:
            raise FileError(
                f"{entry.filename!r} has {entry.file_size} bytes, but an array of shape {shape} and"
                f" type {kind} takes {header + size}"
            )
        data = bytearray(stream.read(size))
        if len(data) != size or stream.read(1):
            raise FileError(f"{entry.filename!r} does not have the size that it claims")
    values = np.frombuffer(data, kind).reshape(shape, order="F" if turned else "C")
    return np.asarray(values, dtype or kind.newbyteorder("="))


def _read_header(name: str, stream: BinaryIO) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """Type, whether columns come first, shape, and the bytes of the header itself."""
    start = stream.read(8)
    width = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(start)
    if width is None:
        raise FileError(f"{name!r} does not begin as an array of NumPy")
    length = int.from_bytes(stream.read(width), "little")
    text = stream.read(length) if length <= _LONGEST_HEADER else b""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise FileError(f"{name!r} is no array of numbers by its header")
    shape = tuple(int(part) for part in match[3].replace(b" ", b"").split(b",") if part)
    if len(shape) > MAX_AXES:
        raise FileError(f"{name!r} has {len(shape)} axes; {MAX_AXES} are allowed")
    try:
        kind = np.dtype(match[1].decode())
    except TypeError as error:  # such as a float of one byte
        raise FileError(f"{name!r} has type {match[1].decode()}, which NumPy lacks") from error
    return kind, match[2] == b"True", shape, 8 + width + length
