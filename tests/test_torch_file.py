"""Of the format before PyTorch 1.6; tests/test_published_weights.py tests the one since."""

import io
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest

from diffcomp.files.torch_file import WeightsError, read_tensors

GOLDEN = Path(__file__).parent / "golden"
FLOATS = ("a", "view", "half", "p")


def floats(content):
    return {name: content[name] for name in FLOATS}


@pytest.fixture
def intact():
    return (GOLDEN / "torch_1_5.pth").read_bytes()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "old.pth"


def parts(data: bytes) -> list[bytes]:
    """The five pickles, and the storages."""
    stream, ends = io.BytesIO(data), [0]
    for _ in range(5):
        for operation, _, _ in pickletools.genops(stream):
            if operation.name == "STOP":
                ends.append(stream.tell())
    return [data[i:j] for i, j in zip(ends, [*ends[1:], len(data)], strict=True)]


@pytest.mark.parametrize("name", ["torch_1_5.pth", "torch_2_13.pth"])
def test_both_formats_hold_the_same(name):
    tensors = read_tensors(GOLDEN / name, floats)
    counting = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(tensors["a"], counting)
    np.testing.assert_array_equal(tensors["view"], counting[1:, 1:3])
    np.testing.assert_array_equal(tensors["half"], [0.5, -2])
    np.testing.assert_array_equal(tensors["p"], [7])
    assert all(value.dtype == np.float32 for value in tensors.values())


def test_a_tensor_of_integers_is_refused(file):
    with pytest.raises(WeightsError, match="steps is of type LongStorage; weights are"):
        read_tensors(GOLDEN / "torch_1_5.pth", lambda content: {"steps": content["steps"]})


def test_a_truncated_file_is_refused_wherever_it_ends(file, intact):
    for length in range(2, len(intact)):
        file.write_bytes(intact[:length])
        with pytest.raises(WeightsError, match="old.pth"):
            read_tensors(file, floats)


def test_a_changed_byte_is_refused_or_harmless(file, intact):
    refused = 0
    for place in range(len(intact)):
        damaged = bytearray(intact)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        try:
            tensors = read_tensors(file, lambda content: {"a": content["a"]})
        except WeightsError:
            refused += 1
        except KeyError:  # of `select`: the name was changed
            refused += 1
        else:
            assert tensors["a"].shape == (3, 4)
    assert refused > len(intact) // 2


class Malicious:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", range(5))
def test_no_pickle_of_the_file_can_call_a_function(file, intact, tmp_path, place):
    pieces = parts(intact)
    target = tmp_path / "written by the pickle"
    pieces[place] = pickle.dumps(Malicious(target), protocol=2)
    file.write_bytes(b"".join(pieces))
    with pytest.raises(WeightsError, match=r"names _?io\.open, which is no part of"):
        read_tensors(file, floats)
    assert not target.exists()


@pytest.mark.parametrize(
    "place, value, text",
    [
        (0, 5, "it begins as a pickle, but not as one of PyTorch"),
        (1, 1002, "it begins as a pickle, but not as one of PyTorch"),
        (2, {"little_endian": False}, "its values are not little-endian"),
        (4, ["none"], "its list of storages names one that no tensor has"),
        (4, 3, "its list of storages names one that no tensor has"),
        (4, [], "a: the file has no storage "),
    ],
)
def test_other_parts_are_refused(file, intact, place, value, text):
    pieces = parts(intact)
    pieces[place] = pickle.dumps(value, protocol=2)
    file.write_bytes(b"".join(pieces))
    with pytest.raises(WeightsError, match=text):
        read_tensors(file, floats)


def test_a_storage_of_another_length_is_refused(file, intact):
    pieces = parts(intact)
    pieces[5] = (2**40).to_bytes(8, "little") + pieces[5][8:]
    file.write_bytes(b"".join(pieces))
    with pytest.raises(WeightsError, match=f"storage '.*' has {2**40} values, not "):
        read_tensors(file, floats)
