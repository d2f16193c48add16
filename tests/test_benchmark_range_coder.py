"""launch/benchmark_range_coder.py: a row for each direction and set. No time is asserted."""

import pytest
from child_processes import run_launch
from range_coder_tables import TFC_MISSING


@pytest.mark.skipif(**TFC_MISSING)
def test_prints_speeds_of_both_and_their_ratio() -> None:
    done = run_launch("benchmark_range_coder.py", "--repeats=1", "--clock=cpu")
    assert done.returncode == 0, done.stderr
    header, *rows, end = done.stdout.splitlines()
    assert header.split()[-3:] == ["numba", "tfc", "ratio"]
    assert [row[:6] for row in rows] == ["encode", "decode"] * 2
    for row in rows:
        numba, tfc, ratio = map(float, row.split()[-3:])
        assert min(numba, tfc) > 0
        assert ratio == pytest.approx(numba / tfc, rel=0.05)
    assert end.startswith("393216 symbols, cpu clock, load ")
