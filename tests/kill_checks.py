"""What `kill_jobs.py` kills, and how files must look after a kill and at the end."""

import csv
import functools
import io
import json
import os
import runpy
import shutil
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

Files = dict[str, bytes]  # by path below a folder

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
PICTURES = 32
TIMES = ("encode_seconds", "decode_seconds", "protocol")


def files_below(folder: Path) -> Files:
    """All files, by path; one that goes away meanwhile counts as not there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def is_temporary(name: str) -> bool:
    """Whether a path is of what is not finished, in a place that nobody takes for a result."""
    return any(p.endswith(".tmp") or "orbax-checkpoint-tmp" in p for p in Path(name).parts)


def write_pictures(folder: Path, number: int) -> None:
    """Crops of a photograph, of two sizes: two programs are compiled."""
    folder.mkdir(parents=True)
    for i in range(number):
        (folder / f"{i:02d}.png").write_bytes(_picture(i))


@functools.cache
def _picture(i: int) -> bytes:
    """A PNG file, packed once: a folder of them is begun again and again."""
    width, file = 120 if i % 2 else 200, io.BytesIO()
    crop = skimage.data.astronaut()[7 * i : 7 * i + 160, 5 * i : 5 * i + width]
    Image.fromarray(crop).save(file, "png")
    return file.getvalue()


class Job:
    """Commands that are run one after the other in a folder."""

    name = ""
    commands: tuple[list[str], ...] = ()
    outputs = ""  # the folder of the results, below that in which the commands run

    def begin(self, folder: Path) -> None:
        """Makes the folder anew: the inputs, and nothing else."""
        shutil.rmtree(folder, ignore_errors=True)
        write_pictures(folder / "photos", PICTURES)

    def progress(self, folder: Path) -> int:
        """A number that grows when a result is written."""
        # Unlike rglob, walk passes over folders that go away meanwhile.
        return sum(len(files) for _, _, files in os.walk(folder / self.outputs))

    def is_done(self, folder: Path) -> bool:
        """Whether a command that was killed had done all, and would refuse to be run again."""
        return False

    def final(self, folder: Path) -> Files:
        """What an undisturbed run and one that was killed must have in common."""
        return files_below(folder)

    def check(self, folder: Path, before: Files, reference: Files) -> int:
        """Raises AssertionError unless all is whole; returns the number of temporary files."""
        found = files_below(folder)
        whole = {name: data for name, data in found.items() if not is_temporary(name)}
        for name in before.keys() - found.keys():
            assert is_temporary(name), f"{name} is gone"
        for name, data in whole.items():
            assert name in reference, f"{name} should not be there"
            assert self.is_whole(name, data, before, reference), f"{name} is not whole"
        return len(found) - len(whole)

    def is_whole(self, name: str, data: bytes, before: Files, reference: Files) -> bool:
        return data in (reference[name], before.get(name))

    def check_final(self, folder: Path, reference: Files) -> None:
        """Raises AssertionError unless the folder is as that of an undisturbed run."""
        found = self.final(folder)
        assert found.keys() == reference.keys(), sorted(found.keys() ^ reference.keys())
        for name, data in found.items():
            assert data == reference[name], f"{name} is another than that of an undisturbed run"


OPTIONS = ("--model", str(GOLDEN / "tiny_model"))


class FolderJob(Job):
    name, outputs = "folder", "."
    commands = (
        ["diffcomp", "compress", "photos", "-o", "out", "-r", "--skip-existing", *OPTIONS],
        ["diffcomp", "decompress", "out", "-o", "back", "-r", "--skip-existing", *OPTIONS],
    )


class ReplaceJob(Job):
    """Its outputs are there before, of another quality."""

    name, outputs = "replace", "out"
    commands = (["diffcomp", "compress", "photos", "-o", "out", "--force", *OPTIONS],)

    def begin(self, folder: Path) -> None:
        super().begin(folder)
        (folder / "out").mkdir()
        for picture in (folder / "photos").iterdir():
            (folder / "out" / f"{picture.stem}.dfc").write_bytes(
                b"precious " + picture.name.encode()
            )

    def progress(self, folder: Path) -> int:
        return max(path.stat().st_mtime_ns for path in (folder / "out").glob("*.dfc"))


class EvaluateJob(Job):
    name, outputs = "evaluate", "report"
    commands = (
        [
            *(
                "-m",
                "diffcomp",
                "evaluate",
                "photos",
                "--model",
                str(GOLDEN / "tiny_model"),
                "--quality",
                "2,4,6,8",
            ),
            *("--baselines", "jpeg=20/40/60/80,webp=20/40/60/80", "--metrics", "psnr"),
            *("--realism", "0,1", "--out", "report", "--cache", "rows", "--quiet"),
        ],
    )

    def begin(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        write_pictures(folder / "photos", 6)

    def final(self, folder: Path) -> Files:
        """Rows in any order and without times; no page, plot or mean, which hold times."""
        found = files_below(folder)
        for name in list(found):
            if Path(name).suffix in (".html", ".svg", ".png") and "photos" not in name:
                found[name] = b"whole" if found[name] else b""
            elif Path(name).name.startswith("summary."):
                found[name] = b""
            elif Path(name).name == "rows.csv":
                found[name] = "\n".join(sorted(rows_of(found[name]))).encode()
        return found

    def is_whole(self, name: str, data: bytes, before: Files, reference: Files) -> bool:
        if Path(name).name == "rows.csv":
            lines = reference[name].decode().splitlines()
            return set(rows_of(data)) <= set(lines) and data.startswith(
                before.get(name, b"")[:-200]
            )
        if Path(name).suffix == ".json":
            json.loads(data)
            return True
        if Path(name).suffix in (".html", ".svg"):
            return data.rstrip().endswith((b"</html>", b"</svg>"))
        if Path(name).name.startswith("summary."):
            return data.endswith(b"\n")
        if Path(name).suffix == ".png" and "photos" not in name:
            Image.open(io.BytesIO(data)).load()
            return True
        return super().is_whole(name, data, before, reference)


def rows_of(data: bytes) -> list[str]:
    """The whole rows of a CSV file, but for columns of times; a last line may be cut."""
    text = data[: data.rfind(b"\n") + 1].decode()
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [str({k: v for k, v in row.items() if k not in TIMES}) for row in rows]


class ImportJob(Job):
    name, outputs = "import", "."
    commands = (["diffcomp", "import-cdc", str(GOLDEN / "cdc" / "xparam_tiny.pt"), "cdc"],)

    def begin(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def is_done(self, folder: Path) -> bool:
        return (folder / "cdc").exists()


class TrainJob(Job):
    name, outputs = "train", "run"
    commands = (
        [
            *(str(ROOT / "launch" / "train.py"), "--workdir=run"),
            f"--config={ROOT}/configs/base.py:smoke",
            *("--config.data.train=folder:photos", "--config.data.validation=folder:photos"),
            *("--config.train.checkpoint_minutes=0.0", "--config.train.keep_checkpoints=3"),
        ],
    )

    def begin(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        write_pictures(folder / "photos", 8)

    def final(self, folder: Path) -> Files:
        """The last state, and names of files; times and what was measured twice are left out."""
        names = sorted(
            name
            for name in files_below(folder)
            if "events" not in name and "checkpoints" not in name
        )
        kept = sorted(path.name for path in (folder / "run" / "checkpoints").iterdir())
        assert all(name.isdigit() for name in kept), kept
        return {"state": _state(folder), "files": repr((names, kept)).encode()}

    def check(self, folder: Path, before: Files, reference: Files) -> int:
        """Older checkpoints are deleted by newer ones; those that there are, the next run reads."""
        found = files_below(folder)
        for name, data in found.items():
            if is_temporary(name) or "checkpoints" in name or "events" in name:
                continue
            assert data, f"{name} is empty"
            if name.endswith(".png"):
                Image.open(io.BytesIO(data)).load()
            elif name.endswith(".csv"):
                assert data.endswith(b"\n"), f"{name} ends within a line"
                assert data.startswith(before.get(name, b"")), f"{name} has lost rows"
            elif name.endswith(".json"):
                json.loads(data)
        return sum(map(is_temporary, found))


def _state(folder: Path) -> bytes:
    """Position, parameters, average and optimiser of the newest checkpoint."""
    import jax

    from diffcomp.config import from_mapping
    from diffcomp.training import sharding
    from diffcomp.training.checkpoint import Checkpoints
    from diffcomp.training.config import Config
    from diffcomp.training.train_state import state_form

    smoke = runpy.run_path(str(ROOT / "configs" / "base.py"))["get_config"]("smoke")
    smoke.train.keep_checkpoints = 3
    config = from_mapping(Config, smoke)
    checkpoints = Checkpoints(folder / "run", config)
    mesh = sharding.make_mesh(config.mesh)
    found = checkpoints.restore(lambda p: state_form(config, config.stages[p.stage], mesh))
    checkpoints.close()
    assert found is not None
    leaves = jax.tree.leaves(found[1])
    return repr(found[0]).encode() + b"".join(np.asarray(leaf).tobytes() for leaf in leaves)


JOBS = {
    job.name: job for job in (FolderJob, ReplaceJob, EvaluateJob, ImportJob, TrainJob)
}  # by name
