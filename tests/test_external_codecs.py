"""Codecs that a JSON file describes, with stand-ins for their programs."""

import json
import sys

import numpy as np
import pytest

from diffcomp import cli
from diffcomp.evaluation.external_codecs import external_candidates

ENCODER = """
import sys
quality, source, target = sys.argv[1:]
if quality == "99": sys.exit("too fine for us")
if quality != "98": open(target, "wb").write(open(source, "rb").read() + int(quality) * b"x")
"""
DECODER = """
import sys
open(sys.argv[2], "wb").write(open(sys.argv[1], "rb").read())
"""


@pytest.fixture
def described(tmp_path, monkeypatch):
    """The description of a codec that keeps the PNG and adds as many bytes as the quality."""
    for name, text in (("enc", ENCODER), ("dec", DECODER)):
        (tmp_path / name).write_text(f"#!{sys.executable} -S\n{text}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return {
        "encode": ["enc", "{q}", "{src}", "{bits}"],
        "decode": ["dec", "{bits}", "{dst}"],
        "qualities": [1, 2, 3, 4],
        "suffix": ".own",
        "version": "2.1",
    }


def write(folder, described, name="own"):
    path = folder / "codecs.json"
    path.write_text(json.dumps({name: described}))
    return str(path)


def test_a_picture_goes_through_the_programs(described, tmp_path, photo):
    (candidate,) = external_candidates(write(tmp_path, described))
    files = [candidate.encode(photo, quality) for quality in candidate.qualities]
    assert np.diff([len(file) for file in files]).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(candidate.decode(files[0]), photo)
    assert (candidate.name, candidate.suffix, candidate.is_model) == ("own", ".own", False)


def test_settings_have_commands_programs_and_version(described, tmp_path):
    (before,) = external_candidates(write(tmp_path, described))
    assert before.settings.startswith("version 2.1, enc ")
    assert before.settings.endswith(": enc {q} {src} {bits}; dec {bits} {dst}")
    (tmp_path / "dec").write_text((tmp_path / "dec").read_text() + "\n")
    (after,) = external_candidates(write(tmp_path, described))
    assert after.settings != before.settings


def test_failing_programs_say_why(described, tmp_path, photo):
    (candidate,) = external_candidates(write(tmp_path, described))
    with pytest.raises(RuntimeError, match="enc failed with exit code 1: too fine for us"):
        candidate.encode(photo, 99)
    with pytest.raises(RuntimeError, match="enc ended well but wrote no file"):
        candidate.encode(photo, 98)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encode": ["enc", "{src}", "{bits}"]}, "encode must have the places {bits}, {q}, {src}"),
        (
            {"decode": ["dec", "{bits}", "{dst}", "{q}"]},
            "decode must have the places {bits}, {dst}",
        ),
        ({"decode": ["dec", "{bits", "{dst}"]}, "decode: expected '}' before end of string"),
        ({"encode": "enc {q} {src} {bits}"}, "it must be a list of texts"),
        (
            {"encode": ["absent", "{q}", "{src}", "{bits}"]},
            "there is no program absent on the PATH",
        ),
        ({"qualities": []}, "qualities is []; it must be a list of numbers"),
        ({"qualities": [1, True]}, "it must be a list of numbers"),
        ({"suffix": "bin"}, "suffix is 'bin'; it must be a text such as '.bin'"),
        ({"qualites": [1]}, "'qualites' is unknown; it has: decode, encode, qualities, suffix"),
    ],
)
def test_a_bad_description_is_one_clear_line(described, tmp_path, change, text, capsys):
    path = write(tmp_path, described | change)
    options = ["--model", "", "--baselines", "", "--external", path, "--out", str(tmp_path / "out")]
    assert cli.main(["evaluate", "--protocol", "failures", *options]) == 1
    error = capsys.readouterr().err
    assert f"{path}: codec own: " in error and text in error and len(error.splitlines()) == 1


def test_a_file_that_is_no_description_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent.json: no such file \(external codecs\)"):
        external_candidates("absent.json")
    for text, reason in (("{", "is no JSON"), ("[]", "must be an object of codecs by name")):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ValueError, match=reason):
            external_candidates(str(tmp_path / "a.json"))
