"""launch/compare_stacks.py, of one stack against itself."""

import functools

import pytest
from child_processes import run_launch
from PIL import Image

run = functools.partial(run_launch, "compare_stacks.py")


@pytest.mark.slow
def test_counts_what_differs(tmp_path):
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "a.png")
    Image.radial_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "b.png")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    this, other, *counts = done.stdout.splitlines()
    assert this.removeprefix("this: ") == other.removeprefix("other: ")
    assert counts == [
        "files whose bytes differ: 0 of 2",
        "y_hat of the files of this: equal in 2 of 2",
        "y_hat of the files of other: equal in 2 of 2",
    ]


def test_a_missing_folder_is_wrong_usage(tmp_path):
    done = run(tmp_path / "missing")
    assert done.returncode == 1
    assert "one folder of pictures must be given" in done.stderr + done.stdout
