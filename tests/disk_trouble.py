"""Full and read-only disks, no home, no network, two processes on one folder.

    sudo python tests/disk_trouble.py [--only NAME]

For root, on Linux: disks are small file systems in memory, mounted for the time of a case. Each
command must do its work, or end with one line and exit code 1, and leave what was there. What of
this can be had without root is in the tests, by a limit on the size of files.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kill_checks import GOLDEN, TrainJob, files_below, write_pictures
from kill_jobs import Forked, preload, set_environment, start

from diffcomp.coding.file_info import file_info

MODEL = ("--model", str(GOLDEN / "tiny_model"))
COMPRESS = ["diffcomp", "compress", "photos", "--quiet", *MODEL]
Case = Callable[[Path], None]


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory at `folder`."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, left: int) -> None:
    """Takes what is free but for some bytes."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_bsize
    (folder / "filling").write_bytes(bytes(max(free - left, 0)))


def run(command: list[str], folder: Path) -> tuple[int, list[str]]:
    """Exit code and lines of a command."""
    code = start(command, folder).wait()
    return code, said(folder)


def said(folder: Path) -> list[str]:
    return (folder.parent / f"{folder.name}.log").read_text().splitlines()


def must_fail(command: list[str], folder: Path, reason: str) -> None:
    code, lines = run(command, folder)
    assert code == 1 and len(lines) == 1 and reason in lines[0], (code, lines)


def must_work(command: list[str], folder: Path, outputs: Path) -> None:
    code, lines = run(command, folder)
    assert code == 0, lines
    check_whole(outputs, len(list((folder / "photos").iterdir())))


def check_whole(outputs: Path, number: int) -> None:
    found = files_below(outputs)
    assert len(found) == number, sorted(found)
    for data in found.values():
        file_info(data)


def full_output(folder: Path) -> None:
    with disk(folder / "out", "size=64k") as out:
        fill(out, 4096)
        must_fail([*COMPRESS, "-o", "out", "-j", "1"], folder, "No space left on device")
        for name, data in files_below(out).items():
            assert name == "filling" or file_info(data), name
        (out / "filling").unlink()
        must_work([*COMPRESS, "-o", "out", "--skip-existing"], folder, out)


def full_output_that_is_replaced(folder: Path) -> None:
    with disk(folder / "out", "size=64k") as out:
        for picture in (folder / "photos").iterdir():
            (out / f"{picture.stem}.dfc").write_bytes(b"precious")
        before = files_below(out)
        fill(out, 0)
        must_fail([*COMPRESS, "-o", "out", "--force"], folder, "No space left on device")
        (out / "filling").unlink()
        assert files_below(out) == before


def full_pictures(folder: Path) -> None:
    must_work([*COMPRESS, "-o", "coded"], folder, folder / "coded")
    with disk(folder / "back", "size=64k") as back:
        command = ["diffcomp", "decompress", "coded", "--quiet", *MODEL, "-o", "back"]
        must_fail(command, folder, "No space left on device")
        assert not [name for name in files_below(back) if not name.endswith(".png")]


def full_cache(folder: Path) -> None:
    with disk(folder / "cache", "size=64k") as cache:
        os.environ["DIFFCOMP_CACHE"] = str(cache)
        fill(cache, 4096)
        must_work([*COMPRESS, "-o", "out"], folder, folder / "out")


def read_only(folder: Path) -> None:
    for name in ("out", "cache"):
        (folder / name).mkdir()
    with disk(folder / "out", "size=64k,ro"), disk(folder / "cache", "size=64k,ro") as cache:
        os.environ["DIFFCOMP_CACHE"] = str(cache)
        must_fail([*COMPRESS, "-o", "out"], folder, "Read-only file system")
        must_work([*COMPRESS, "-o", "other"], folder, folder / "other")


def no_home(folder: Path) -> None:
    """A user whom the machine does not know either."""
    for name in ("HOME", "XDG_CACHE_HOME", "DIFFCOMP_CACHE"):
        os.environ.pop(name, None)
    os.chmod(folder, 0o777)
    with passable(folder, Path(os.__file__), Path(sys.prefix)):
        child = os.fork()
        if child == 0:
            os.setuid(54321)
            code, lines = run_here([*COMPRESS, "-o", "out"], folder)
            print(*lines, sep="\n", file=sys.stderr)
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check_whole(folder / "out", len(list((folder / "photos").iterdir())))
    assert not (folder / "~").exists()


@contextmanager
def passable(*places: Path) -> Iterator[None]:
    """Lets any user pass through the folders above, such as root's home with an interpreter in it.

    Their modes are given back afterwards.
    """
    above = sorted({folder for place in places for folder in place.resolve().parents})
    modes = {folder: folder.stat().st_mode for folder in above}
    try:
        for folder, mode in modes.items():
            os.chmod(folder, mode | 0o011)
        yield
    finally:
        for folder, mode in modes.items():
            os.chmod(folder, mode)


def run_here(command: list[str], folder: Path) -> tuple[int, list[str]]:
    """Like `run`, with the words beside the outputs: a user may not write elsewhere."""
    with (folder / "said").open("wb") as log:
        process = Forked(command[1:], folder, log)
    code = process.wait()
    lines = (folder / "said").read_text().splitlines()
    (folder / "said").unlink()
    return code, lines


def no_network(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        os.unshare(os.CLONE_NEWNET) if hasattr(os, "unshare") else _unshare_network()
        code, lines = run([*COMPRESS, "-o", "out"], folder)
        print(*lines, sep="\n", file=sys.stderr)
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check_whole(folder / "out", len(list((folder / "photos").iterdir())))


def _unshare_network() -> None:
    """Before Python 3.12."""
    import ctypes

    assert ctypes.CDLL(None).unshare(0x40000000) == 0


def two_at_once(folder: Path) -> None:
    """On one folder of outputs and one, empty, of compiled programs."""
    os.environ["DIFFCOMP_CACHE"] = str(folder / "cache")
    command = [*COMPRESS, "-o", "out", "--skip-existing", "--keep-going"]
    processes = [start(command, folder) for _ in range(2)]
    codes = [process.wait() for process in processes]
    assert set(codes) <= {0, 1}, said(folder)
    for line in said(folder):
        assert "made by another program" in line or "exists already" in line or "failed" in line
    check_whole(folder / "out", len(list((folder / "photos").iterdir())))
    assert not [name for name in files_below(folder / "cache") if name.endswith(".tmp")]


def full_evaluation(folder: Path) -> None:
    command = ["diffcomp", "evaluate", "photos", "--model", "", "--baselines", "jpeg=20/40/60/80"]
    command += ["--metrics", "psnr", "--out", "report", "--cache", "", "--quiet"]
    with disk(folder / "report", "size=32k") as report:
        fill(report, 20000)
        code, lines = run(command, folder)
        assert code == 1 and len(lines) == 1, lines
    with disk(folder / "report", "size=64m") as report:
        assert run(command, folder)[0] == 0
        whole = (report / "rows.csv").read_text().splitlines()
        (report / "rows.csv").write_text("\n".join(whole[:4]) + "\nphoto,with")  # as a kill left it
        assert run(command, folder)[0] == 0
        assert len((report / "rows.csv").read_text().splitlines()) == len(whole)


def full_training(folder: Path) -> None:
    job = TrainJob()
    job.begin(folder)
    with disk(folder / "run", "size=300k"):
        code, lines = run(job.commands[0], folder)
        # Before that line the checkpoint library logs what it saw, in its own words.
        assert code == 1 and lines[-1].startswith("The training stopped"), lines[-3:]


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        full_output, full_output_that_is_replaced, full_pictures, full_cache, read_only, no_home,
        no_network, two_at_once, full_evaluation, full_training,
    )
}  # fmt: skip


def main() -> int:
    """Each case in a process of its own, as it changes the environment; a line of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CASES)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="disk-trouble-"))
    set_environment(work / "cache")
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    preload()
    failed = 0
    for name, case in CASES.items():
        if args.only not in (None, name):
            continue
        folder = work / name
        write_pictures(folder / "photos", 6)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                case(folder)
            except BaseException as error:
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(f"{name}: {'as it must be' if code == 0 else 'FAILED'}", flush=True)
        failed += code != 0
    if not failed:
        shutil.rmtree(work)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
