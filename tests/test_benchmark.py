"""launch/benchmark.py: it prints every part of training and decoding. No time is asserted."""

import pytest
from child_processes import run_launch

PARTS = ["encoder", "hyper", "context decoder", "score network", "losses", "optimiser", "data"]
# Most of the time is compilation, and no time is asserted.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
PROGRAMS = ["encoder + hyper", "context decoder", "score network, a step"]


def run(*options):
    config = "--config=configs/base.py:smoke"
    return run_launch("benchmark.py", config, *options, XLA_FLAGS=QUICK)


def rows_of(text):
    """Name -> seconds, share, GFLOP/s, ratio, seconds of compilation; "-" is None."""
    lines = [line for line in text.splitlines() if line[22:23].isspace() and line[:1].strip()]
    values = {line[:22].strip(): line[22:].split() for line in lines}
    values = {name: v for name, v in values.items() if len(v) == 5}
    return {n: [None if x == "-" else float(x) for x in v] for n, v in values.items()}


def test_training_prints_every_part_and_their_shares():
    done = run("--stage=score", "--repeats=1", "--batch=1", "--side=64")
    assert done.returncode == 0, done.stderr
    assert "stage score: 1 x 64 x 64 pixels a step" in done.stdout
    assert "of its parts" in done.stdout
    assert "pixels/s" in done.stdout and "plain 3x3 convolution's" in done.stdout
    rows = rows_of(done.stdout)
    assert list(rows) == [*PARTS, "whole step"]
    assert sum(rows[name][1] for name in PARTS) == pytest.approx(1, abs=1e-3)
    assert rows["whole step"][1] is None
    for name, (_, _, gflops, ratio, _) in rows.items():
        assert (gflops is None) == (ratio is None) == (name in ("optimiser", "data"))
        assert gflops is None or gflops > 0


def test_decoding_prints_every_program_and_memory():
    done = run("--part=decode", "--repeats=1", "--side=128x64,64x64", "--clock=cpu")
    assert done.returncode == 0, done.stderr
    # The smaller first, as the peak of memory only grows.
    assert done.stdout.index("64x64 pixels") < done.stdout.index("128x64 pixels")
    assert done.stdout.count("peak resident memory so far") == 2
    rows = rows_of(done.stdout)
    assert list(rows) == PROGRAMS
    assert sum(row[1] for row in rows.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--stage=jiont"], "stage is 'jiont'; it must be 'all' or one of linear, context"),
        (["--side=64x64"], "side is '64x64'; it must be a single number, in multiples of 64"),
        (["--part=decode", "--side=100x64"], "'100x64'; it must be WIDTHxHEIGHT, in multiples of"),
    ],
)
def test_a_wrong_option_is_named(options, text):
    done = run(*options)
    assert done.returncode == 1
    assert text in done.stderr + done.stdout
