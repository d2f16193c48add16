"""launch/benchmark_startup.py, of this checkout against itself. No time is asserted."""

import functools
from pathlib import Path

import pytest
from child_processes import run_launch
from PIL import Image

ROOT = Path(__file__).parents[1]


run = functools.partial(run_launch, "benchmark_startup.py")


@pytest.mark.slow
def test_prints_costs_of_both_their_ratios_and_whether_outputs_are_equal(tmp_path):
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "image.png")
    done = run(f"--against={ROOT}", f"--image={tmp_path / 'image.png'}", "--rounds=1")
    assert done.returncode == 0, done.stderr
    header, *rows, files, pictures, end = done.stdout.splitlines()
    assert header.split() == ["this", "other", "ratio"]
    costs = {}
    for row in rows:
        name, this, other, ratio = row.rsplit(maxsplit=3)
        costs[name] = float(this), float(other)
        assert float(ratio) == pytest.approx(costs[name][1] / costs[name][0], rel=0.05)
    assert len(costs) == 2 * (2 * 3 + 2)
    for kind in ("seconds", "cpu_seconds"):
        parts = (costs[f"warm, {name}, {kind}"][0] for name in ("compress", "decompress"))
        assert costs[f"warm, both, {kind}"][0] == pytest.approx(sum(parts), abs=0.02)
    # In units that a process can have: NumPy, JAX and a model, on a machine of this century.
    assert all(50 < value < 8000 for name in costs if "mega" in name for value in costs[name])
    assert files.startswith("files: equal bytes, ")
    assert pictures == "pictures: equal pixels"
    assert end.startswith("1 warm rounds, load ")


def test_a_commit_that_is_none_and_a_failing_command_are_errors(tmp_path):
    unknown = run("--against=no-such-commit", "--rounds=1")
    assert unknown.returncode != 0
    assert "no-such-commit" in unknown.stderr
    (tmp_path / "diffcomp").mkdir()
    (tmp_path / "diffcomp" / "__main__.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "image.png").write_bytes(b"")
    failing = run(f"--against={tmp_path}", f"--image={tmp_path / 'image.png'}", "--rounds=1")
    assert failing.returncode != 0
    assert "CalledProcessError" in failing.stderr
