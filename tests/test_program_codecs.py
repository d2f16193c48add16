"""VTM and BPG, with stand-ins for their programs that keep the planes or the PNG as they are."""

import re
import sys

import numpy as np
import pytest

from diffcomp.distances.distortion import psnr
from diffcomp.evaluation.baselines import baseline_candidate
from diffcomp.evaluation.program_codecs import rgb_to_yuv, yuv_to_rgb

ENCODER_APP = """
import os, sys, zlib
options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--"))
assert os.path.isfile(sys.argv[sys.argv.index("-c") + 1])
assert options["InputChromaFormat"] == "444" and options["FramesToBeEncoded"] == "1"
planes = open(options["InputFile"], "rb").read()
assert len(planes) == 3 * int(options["SourceWidth"]) * int(options["SourceHeight"])
if options["QP"] == "63": sys.exit("QP 63 is not for us")
open(options["BitstreamFile"], "wb").write(zlib.compress(planes))
"""
DECODER_APP = """
import sys, zlib
given = {name: sys.argv[sys.argv.index(name) + 1] for name in ("-b", "-o", "-d")}
assert given["-d"] == "8"
open(given["-o"], "wb").write(zlib.decompress(open(given["-b"], "rb").read()))
"""
BPG = """
import shutil, sys
shutil.copy(sys.argv[-1], sys.argv[sys.argv.index("-o") + 1])
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH with stand-ins only, and VTM's configuration where its sources have it."""
    folder = tmp_path / "vtm" / "bin"
    folder.mkdir(parents=True)
    (tmp_path / "vtm" / "cfg").mkdir()
    (tmp_path / "vtm" / "cfg" / "encoder_intra_vtm.cfg").write_text("# all intra\n")
    texts = {"EncoderApp": ENCODER_APP, "DecoderApp": DECODER_APP, "bpgenc": BPG, "bpgdec": BPG}
    for name, text in texts.items():
        (folder / name).write_text(f"#!{sys.executable} -S\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("DIFFCOMP_VTM_CONFIG", raising=False)
    return folder


def test_vtm_codes_the_planes_with_the_size_before_them(programs, photo):
    candidate = baseline_candidate("vtm")
    assert re.match("EncoderApp [0-9a-f]{8}, DecoderApp [0-9a-f]{8}, enc", candidate.settings)
    image = photo[:43, :57]
    data = candidate.encode(image, 32)
    assert data[:4] == bytes([43, 0, 57, 0])
    np.testing.assert_array_equal(candidate.decode(data), yuv_to_rgb(rgb_to_yuv(image)))


def test_bpg_passes_files(programs, photo):
    candidate = baseline_candidate("bpg")
    np.testing.assert_array_equal(candidate.decode(candidate.encode(photo, 30)), photo)


def test_another_build_is_another_candidate(programs):
    before = baseline_candidate("bpg").settings
    (programs / "bpgdec").write_text((programs / "bpgdec").read_text() + "\n")
    assert baseline_candidate("bpg").settings != before


def test_a_failing_program_says_why(programs, photo):
    with pytest.raises(RuntimeError, match="EncoderApp failed with exit code 1: QP 63 is not for"):
        baseline_candidate("vtm").encode(photo, 63)


@pytest.mark.parametrize(("name", "program"), [("vtm", "DecoderApp"), ("bpg", "bpgenc")])
def test_a_missing_program_is_named(programs, name, program):
    (programs / program).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} needs the program {program} on the PATH"):
        baseline_candidate(name)


def test_vtms_configuration_can_be_elsewhere(programs, tmp_path, monkeypatch):
    (programs.parent / "cfg" / "encoder_intra_vtm.cfg").rename(tmp_path / "intra.cfg")
    with pytest.raises(FileNotFoundError, match="encoder_intra_vtm.cfg, .* set DIFFCOMP_VTM_CON"):
        baseline_candidate("vtm")
    monkeypatch.setenv("DIFFCOMP_VTM_CONFIG", str(tmp_path / "intra.cfg"))
    assert baseline_candidate("vtm").qualities == (47, 42, 37, 32, 27)


def test_colours_by_bt709():
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    y, cb, cr = rgb_to_yuv(primaries)[:, 0]
    np.testing.assert_array_equal(y, [54, 182, 18, 255])
    np.testing.assert_array_equal(cb, [99, 30, 255, 128])
    np.testing.assert_array_equal(cr, [255, 12, 116, 128])


def test_colours_come_back(photo):
    assert psnr(yuv_to_rgb(rgb_to_yuv(photo)), photo) > 50
