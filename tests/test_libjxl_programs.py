"""SSIMULACRA2 and Butteraugli, with stand-ins for libjxl's programs, or with them if installed."""

import dataclasses
import re
import shutil
import sys

import numpy as np
import pytest
from metric_pairs import face
from pictures import jpeg, noise

from diffcomp.evaluation import row_cache
from diffcomp.evaluation.columns import definitions
from diffcomp.evaluation.evaluate import chosen_metrics
from diffcomp.evaluation.metrics import libjxl_programs
from diffcomp.evaluation.metrics.catalogue import METRICS, check_programs, compare

NAMES = list(libjxl_programs.PROGRAMS)
# 50, and what the decoded image's bytes are more than the original's: it tells which is which.
PROGRAM = """
import sys
def mean(path):
    kind, size, top, pixels = open(path, "rb").read().split(b"\\n", 3)
    assert (kind, top) == (b"P6", b"255")
    return sum(pixels) / len(pixels)
value = 50 + mean(sys.argv[2]) - mean(sys.argv[1])
if value > 149: sys.exit("that is too much")
print(TEXT % value)
"""
TEXTS = {"ssimulacra2": "'%.8f'", "butteraugli_main": "'9.8765432101\\n3-norm: %.6f'"}
needs_programs = pytest.mark.skipif(
    not all(shutil.which(each.name) for each in libjxl_programs.PROGRAMS.values()),
    reason="needs ssimulacra2 and butteraugli_main of libjxl 0.11 on the PATH",
)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH with stand-ins only, whose value of the known pair is the known one."""
    for name, text in TEXTS.items():
        path = tmp_path / name
        path.write_text(f"#!{sys.executable} -S\n{PROGRAM.replace('TEXT', text)}")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    image, reference = libjxl_programs.known_pair()
    for name, program in libjxl_programs.PROGRAMS.items():
        known = dataclasses.replace(program, known=50 + image.mean() - reference.mean())
        monkeypatch.setitem(libjxl_programs.PROGRAMS, name, known)
    libjxl_programs.check_file.cache_clear()
    yield tmp_path
    libjxl_programs.check_file.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_the_original_comes_first_and_the_right_number_is_read(programs, name):
    reference = noise(0, 9, 14) // 2
    image = reference + np.uint8(3)
    assert compare(name, image, reference) == pytest.approx(53, abs=1e-6)
    assert compare(name, reference, image) == pytest.approx(47, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_another_program_of_the_name_is_refused(programs, monkeypatch, name):
    program = libjxl_programs.PROGRAMS[name]
    monkeypatch.setitem(
        libjxl_programs.PROGRAMS, name, dataclasses.replace(program, known=program.known + 0.01)
    )
    with pytest.raises(RuntimeError, match=f"{program.name} gives .* needs the program of libjxl"):
        check_programs(["psnr", name])


def test_what_is_printed_must_be_the_whole_of_what_libjxl_prints(programs):
    path = programs / "ssimulacra2"
    path.write_text(path.read_text().replace("print(", "print('SSIMULACRA2 score:', "))
    with pytest.raises(RuntimeError, match="ssimulacra2 printed 'SSIMULACRA2 score: .* libjxl's"):
        check_programs(["ssimulacra2"])


def test_a_failing_program_says_why(programs):
    dark = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(RuntimeError, match="failed with exit code 1: that is too much"):
        compare("ssimulacra2", dark + np.uint8(200), dark)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_program_is_named_before_anything_is_measured(programs, name):
    (programs / libjxl_programs.PROGRAMS[name].name).unlink()
    with pytest.raises(FileNotFoundError, match=f"Metric {name} needs .* package libjxl-devtools"):
        check_programs([name])


@pytest.mark.parametrize("name", NAMES)
def test_small_images_are_refused(programs, name):
    image = np.zeros((7, 30, 3), np.uint8)
    with pytest.raises(ValueError, match="needs at least 8x8"):
        compare(name, image, image)


def test_all_stands_for_what_needs_no_program():
    assert not set(NAMES) & set(chosen_metrics(["all"]))
    assert chosen_metrics(["all", "ssimulacra2"])[-1] == "ssimulacra2"
    assert set(chosen_metrics(["all", *NAMES])) == set(METRICS)


def test_definitions_and_the_cache_of_rows_know_the_build(programs):
    row_cache.figures_version.cache_clear()
    before = row_cache.figures_version()
    text = definitions(["butteraugli"], [], 1)["butteraugli"]
    assert re.search(r"; by libjxl's program butteraugli_main [0-9a-f]{8}, ", text)
    path = programs / "butteraugli_main"
    path.write_text(path.read_text() + "\n")
    row_cache.figures_version.cache_clear()
    assert row_cache.figures_version() != before
    assert definitions(["butteraugli"], [], 1)["butteraugli"] != text
    row_cache.figures_version.cache_clear()


@needs_programs
@pytest.mark.parametrize("name", NAMES)
def test_libjxls_programs(name):
    reference = face(176, 192)
    check_programs([name])
    assert compare(name, reference, reference) == METRICS[name].ideal
    values = [compare(name, jpeg(reference, quality), reference) for quality in (95, 50, 10)]
    assert values == sorted(values, reverse=METRICS[name].higher_is_better)
    # By libjxl 0.11.2, of the same pixels by each version of libjpeg to their last level.
    expected = {"ssimulacra2": 72.983, "butteraugli": 1.5121}[name]
    assert values[1] == pytest.approx(expected, rel=0.02)
