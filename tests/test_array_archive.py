"""Archives of arrays from strangers: nothing is believed that is not there."""

import io
import zipfile

import numpy as np
import pytest

from diffcomp.files.array_archive import FREE, read_arrays
from diffcomp.files.atomic_file import FileError

ARRAY = np.arange(6, dtype="<f4").reshape(2, 3)


def npy(array: np.ndarray, **kwargs) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **kwargs)
    return stream.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    """An entry with this text for a header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


@pytest.fixture
def archive(tmp_path):
    """Writes entries into an archive, and returns its path."""

    def write(*entries, compression=zipfile.ZIP_STORED):
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w", compression) as file:
            for name, data in entries:
                file.writestr(name, data)
        return path

    return write


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_as_numpy_reads_them(tmp_path, save):
    arrays = {
        "a": ARRAY,
        "columns first": np.asfortranarray(ARRAY),
        "big end first": ARRAY.astype(">i2"),
        "one": np.float16(0.5),
        "empty": np.zeros((0, 3), np.int64),
        "flags": np.array([True, False]),
        "small": np.arange(3, dtype=np.uint8),
    }
    save(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == np.asarray(array).dtype.newbyteorder("=")
    floats = read_arrays(tmp_path / "a.npz", np.float32)
    assert {value.dtype for value in floats.values()} == {np.dtype(np.float32)}


SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (header(SHAPE % "(1099511627776,)", bytes(24)), "takes 4398046511"),
        (header(SHAPE % "(7,)", bytes(24)), "takes"),
        (header(SHAPE % "(5,)", bytes(24)), "takes"),
        (header(SHAPE % "(-1,)", bytes(24)), "is no array of numbers"),
        (header(SHAPE % "(2,) * 3", bytes(24)), "is no array of numbers"),
        (header(SHAPE % f"({'1, ' * 33})", bytes(4)), "has 33 axes"),
        (header(SHAPE.replace("<f4", "<f1") % "(6,)", bytes(6)), "which NumPy lacks"),
        (header("__import__('os').abort()\n"), "is no array of numbers"),
        (header("[" * 9000 + "\n"), "is no array of numbers"),
        (npy(np.array([{}], object), allow_pickle=True), "is no array of numbers"),
        (npy(np.array(["text"])), "is no array of numbers"),
        (npy(np.zeros(2, [("a", "f4")])), "is no array of numbers"),
        (npy(np.zeros(2, np.complex64)), "is no array of numbers"),
        (npy(ARRAY)[:5], "does not begin as an array"),
        (b"PK and more", "does not begin as an array"),
        (b"", "does not begin as an array"),
    ],
)
def test_other_entries_are_refused(archive, entry, reason):
    with pytest.raises(FileError, match=f"a.npz: 'x.npy' .*{reason}"):
        read_arrays(archive(("x.npy", entry)))


def test_a_bomb_is_refused_before_it_is_unpacked(archive):
    size = FREE + 1000
    zeros = header(SHAPE % f"({size // 4},)", bytes(size // 4 * 4))
    path = archive(("x.npy", zeros), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < size / 500
    with pytest.raises(FileError, match=r"claims \d+ bytes of arrays"):
        read_arrays(path)


def test_sizes_that_the_archive_does_not_have_are_refused(archive):
    intact = archive(("x.npy", npy(ARRAY))).read_bytes()
    place = intact.index(b"PK\1\2")
    for fields in ((20,), (24,), (20, 24)):  # packed and unpacked, in the central directory
        forged = bytearray(intact)
        for field in fields:
            forged[place + field : place + field + 4] = (2**31).to_bytes(4, "little")
        path = archive()
        path.write_bytes(forged)
        with pytest.raises(FileError, match="a.npz: "):
            read_arrays(path)


def test_a_name_that_is_no_text_is_refused(archive):
    path = archive(("\N{LATIN SMALL LETTER E WITH ACUTE}.npy", npy(ARRAY)))
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa9", b"\xff\xff"))
    with pytest.raises(
        FileError, match="a.npz: is no intact archive of arrays: UnicodeDecodeError"
    ):
        read_arrays(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(archive):
    with pytest.raises(FileError, match="has two arrays of one name"):
        read_arrays(archive(("x.npy", npy(ARRAY)), ("x.npy", npy(ARRAY))))


def test_names_are_only_names(archive, tmp_path):
    path = archive(("../../up.npy", npy(ARRAY)), ("/etc/x.npy", npy(ARRAY)))
    assert list(read_arrays(path)) == ["../../up", "/etc/x"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
