"""The command line as users meet it: a process with exit code, stdout, stderr and files."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffcomp import cli
from diffcomp.coding import bitstream
from diffcomp.commands import decompress, file_jobs
from diffcomp.files import image_file

TINY_MODEL = Path(__file__).parent / "golden" / "tiny_model"
MODEL = ("--model", str(TINY_MODEL))


def run(*args: object, cwd: Path) -> subprocess.CompletedProcess:
    """`diffcomp ARGS` in the folder `cwd`."""
    command = [sys.executable, "-m", "diffcomp", *map(str, args)]
    root = str(Path(__file__).resolve().parents[1])
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo):
    """A folder with photo.png (57 x 43) and photo.dfc, made by the command itself."""
    folder = tmp_path_factory.mktemp("cli")
    Image.fromarray(photo[:43, :57]).save(folder / "photo.png")
    done = run("compress", "photo.png", *MODEL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    size = (folder / "photo.dfc").stat().st_size
    assert done.stderr == f"photo.dfc: {size} bytes, {8 * size / (57 * 43):.3f} bpp\n"
    return folder


def test_decompress_gives_the_size_of_the_original(folder):
    done = run("decompress", "photo.dfc", "out.png", "--steps", 2, *MODEL, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "out.png: 57 x 43\n")
    assert image_file.read_image(folder / "out.png").pixels.shape == (43, 57, 3)


def test_options_reach_the_decoder(folder, tmp_path):
    noise = ("--steps", 1, "--gamma", 1, "--realism", 0.5, "--eta", 0.5, "--quiet")
    pictures = {}
    for seed in (1, 2):
        out = tmp_path / f"{seed}.png"
        done = run("decompress", "photo.dfc", out, "--seed", seed, *noise, *MODEL, cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        pictures[seed] = image_file.read_image(out).pixels
    assert not np.array_equal(pictures[1], pictures[2])


def test_info_reads_a_file_without_its_model(folder):
    done = run("info", "photo.dfc", cwd=folder)
    data = (folder / "photo.dfc").read_bytes()
    container = bitstream.unpack(data)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert lines["size"] == "57 x 43 pixels"
    assert lines["model"] == f"unknown (fingerprint {container.fingerprint:08x})"
    assert lines["quality"] == "4"
    assert lines["z"].startswith(f"{8 * len(container.z_stream)} bits")
    assert lines["y"].startswith(f"{8 * len(container.y_stream)} bits")
    assert lines["file"] == f"{len(data)} bytes, {8 * len(data) / (57 * 43):.4f} bpp"


def check_fails(done: subprocess.CompletedProcess, *texts: str, code: int = 1) -> None:
    """One line on stderr, after the usage where argparse found the fault; no traceback."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if not done.stderr.startswith("usage: "):
        assert done.stderr.startswith("diffcomp: ")
        assert len(done.stderr.splitlines()) == 1, done.stderr
    for text in texts:
        assert text in done.stderr


def test_an_existing_output_needs_force(folder):
    before = (folder / "photo.dfc").read_bytes()
    check_fails(run("compress", "photo.png", *MODEL, cwd=folder), "photo.dfc", "--force")
    assert (folder / "photo.dfc").read_bytes() == before


def test_force_replaces(folder, tmp_path):
    target = tmp_path / "x.dfc"
    target.write_bytes(b"old")
    done = run("compress", "photo.png", target, "--force", "--quality", 8, *MODEL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert bitstream.unpack(target.read_bytes()).quality_code == 7 * 32


COMPRESS, DECOMPRESS = ["compress", "photo.png", "x.dfc"], ["decompress", "photo.dfc", "x.png"]


@pytest.mark.parametrize(
    ("code", "args", "texts"),
    [
        # A file is wrong, or the work failed.
        (1, ["compress", "absent.png"], ["absent.png", "No such file"]),
        (1, ["compress", "photo.dfc", "x.dfc"], ["photo.dfc"]),
        (1, ["compress", "photo.png", "no/x.dfc"], ["no", "does not exist"]),
        (1, [*COMPRESS, "--model", "vast"], ["vast", "shipped model"]),
        (1, ["decompress", "absent.dfc"], ["absent.dfc", "No such file"]),
        (1, ["decompress", "photo.png", "x.png"], ["photo.png: not a .dfc file"]),
        (1, ["info", "photo.png"], ["photo.png: not a .dfc file"]),
        # The command line is wrong.
        (2, [*COMPRESS, "--quality", "9"], ["quality is 9", "[1, 8]"]),
        (2, [*COMPRESS, "--quality", "nan"], ["quality is nan"]),
        (2, [*COMPRESS, "--quality", "high"], ["--quality", "'high'"]),
        (2, [*COMPRESS, "--effort", "10"], ["--effort", "10"]),
        (2, [*COMPRESS, "--background", "mauvish"], ["mauvish"]),
        (2, [*COMPRESS, "--target-size", "big"], ["big"]),
        (2, [*COMPRESS, "--target-psnr", "x"], ["--target-psnr is 'x'"]),
        (2, [*COMPRESS, "--max-pixels", "0"], ["max_pixels must be"]),
        (2, [*COMPRESS, "--force", "--skip-existing"], ["exclude each other"]),
        (2, ["decompress", "photo.dfc", "x.xyz"], ["x.xyz", ".png"]),
        (2, [*DECOMPRESS, "--suffix", "xyz"], ["xyz"]),
        (2, [*DECOMPRESS, "--steps", "0"], ["steps is 0"]),
        (2, [*DECOMPRESS, "--gamma", "2"], ["gamma is 2", "[0, 1]"]),
        (2, [*DECOMPRESS, "--realism", "nan"], ["realism is nan"]),
        (2, [*DECOMPRESS, "--seed", "-1"], ["seed is -1"]),
        (2, [*DECOMPRESS, "--compute-dtype", "float8"], ["float8"]),
        (2, ["serve", "--port", "70000"], ["--port is 70000"]),
        (2, ["evaluate", "photo.png", "--out", "o", "--quality", "9"], ["quality is 9"]),
        (2, ["evaluate", "photo.png", "--out", "o", "--quality", "x"], ["--quality is 'x'"]),
        (2, ["evaluate", "photo.png", "--out", "o", "--metrics", "beauty"], ["beauty"]),
        (2, ["evaluate", "photo.png", "--out", "o", "--realism", "2"], ["realism is 2"]),
    ],
)
def test_bad_input_is_one_clear_line_and_no_output(folder, code, args, texts, capsys, monkeypatch):
    # In this process, since each of them as a process would load JAX anew.
    monkeypatch.chdir(folder)
    before = sorted(os.listdir(folder))
    args = args if "--model" in args or args[0] == "info" else [*args, *MODEL]
    try:
        found = cli.main(args)
    except SystemExit as stop:  # of argparse
        found = stop.code
    out, err = capsys.readouterr()
    check_fails(subprocess.CompletedProcess(args, found, out, err), *texts, code=code)
    assert sorted(os.listdir(folder)) == before


def test_no_file_can_write_to_the_terminal(folder, capsys):
    """Line ends and escape sequences in a name are shown, not obeyed."""
    assert cli.main(["info", f"{folder}/a\nb\x1b[2J\udcff.dfc"]) == 1
    assert capsys.readouterr().err.endswith(
        r"a\nb\x1b[2J\udcff.dfc: No such file or directory" "\n"
    )


def test_a_file_of_another_model_is_refused(folder, tmp_path):
    data = (folder / "photo.dfc").read_bytes()
    container = bitstream.unpack(data)
    other = bitstream.pack(
        bitstream.Container(**{**vars(container), "fingerprint": container.fingerprint ^ 1})
    )
    (tmp_path / "other.dfc").write_bytes(other)
    done = run("decompress", tmp_path / "other.dfc", *MODEL, cwd=folder)
    check_fails(done, "other.dfc", "fingerprint")
    assert not (tmp_path / "other.png").exists()


def test_transparency_needs_a_background(tmp_path, capsys):
    pixels = np.full((20, 30, 4), 128, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    assert cli.main(["compress", str(tmp_path / "clear.png"), *MODEL]) == 1
    assert "--background" in capsys.readouterr().err
    assert not (tmp_path / "clear.dfc").exists()
    args = ["compress", str(tmp_path / "clear.png"), "--background", "white", *MODEL]
    assert cli.main(args) == 0
    assert (tmp_path / "clear.dfc").exists()


@pytest.mark.parametrize("args", [[], ["expand"], ["compress"], ["compress", "a", "--qualty", "3"]])
def test_wrong_usage_shows_the_usage(args, tmp_path):
    done = run(*args, cwd=tmp_path)
    check_fails(done, "usage: diffcomp", code=2)


@pytest.mark.parametrize("given", [None, "3"])
def test_blas_has_one_thread_unless_the_user_says_otherwise(given, tmp_path):
    code = (
        "import os, sys; sys.argv = ['diffcomp', '--version']\n"
        "from diffcomp import __main__\n"
        "assert 'numpy' not in sys.modules, 'too late to set anything'\n"
        "try: __main__.main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    environment |= {"OPENBLAS_NUM_THREADS": given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == (given or "1")


def test_the_collector_runs_again_after_the_first_file(tmp_path, monkeypatch):
    """Also after one that fails, and not if it was off before."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.dfc", "b.dfc"):
        (tmp_path / name).touch()
    states = []
    monkeypatch.setattr(decompress, "_decompress", lambda *_: states.append(gc.isenabled()))
    assert gc.isenabled()
    assert cli.main(["decompress", "a.dfc", "b.dfc", "--output-dir", "out"]) == 0
    assert states == [False, True]
    assert gc.isenabled()
    with pytest.raises(KeyError), file_jobs._collector_paused():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with file_jobs._collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_help_and_version_need_no_jax(tmp_path):
    code = (
        "import sys; sys.argv = ['diffcomp', '--help']\n"
        "from diffcomp import cli\n"
        "try: cli.main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'jax', 'tensorflow'} & set(sys.modules), 'slow imports'"
    )
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "compress" in done.stdout
    assert run("--version", cwd=tmp_path).stdout.startswith("diffcomp ")
