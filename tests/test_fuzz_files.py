"""A slice of what `make fuzz` tries for minutes."""

import random

import pytest
from fuzz_files import PARTS, part_of, tried
from fuzz_weights import archive_of, bombs

from diffcomp.files.torch_file import WeightsError, read_tensors

# Cases of each kind; of a model each takes a twentieth of a second.
NUMBER = {"dfc": 400, "pictures": 300, "models": 30, "weights": 100}


@pytest.mark.parametrize("name", PARTS)
def test_files_from_strangers_are_refused_or_read_rightly(name, tmp_path):
    part, random_ = part_of(name), random.Random(7)
    for kind, allowed in part.kinds.items():
        results = [
            tried(part, kind, random_, tmp_path / "case").result for _ in range(NUMBER[name])
        ]
        assert set(results) <= allowed, kind
        assert results.count("refused") > len(results) / 4, kind


@pytest.mark.parametrize("number", range(len(bombs())))
@pytest.mark.parametrize("zipped", [True, False])
def test_small_pickles_take_neither_memory_nor_time(number, zipped, tmp_path):
    """Each would take gigabytes or years of a reader that follows it."""
    file = tmp_path / "bomb.pt"
    file.write_bytes(archive_of(bombs()[number]) if zipped else bombs()[number])
    with pytest.raises(WeightsError):
        read_tensors(file, lambda content: content["model"])
