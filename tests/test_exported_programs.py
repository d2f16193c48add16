"""Exported programs of the tiny model: its bits and pictures without its code, and refusals."""

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
import types
import zlib
from pathlib import Path

import jax
import jaxlib
import numpy as np
import pytest
import scipy.ndimage
import tiny_model
from child_processes import ROOT, run_launch
from jax import export

from diffcomp.architectures.base import BaseArchitecture
from diffcomp.codec import Codec
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.export import exported_model
from diffcomp.export.published_import import import_cdc
from diffcomp.export.shipped_models import ModelError
from diffcomp.exported_programs import comparison, loading, manifest, program_set, tiles, writing
from diffcomp.exported_programs.networks import ProgramNetworks
from diffcomp.tiling import Source

TILES = (64,)
NOISY = dict(gamma=0.5, eta=0.5, steps=2, seed=3, realism=0.25)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The tiny model with programs beside its parameters."""
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    exported_model.save(tiny_model.codec().model, folder)
    writing.write(tiny_model.codec().model, folder, TILES)
    return folder


@pytest.fixture(scope="module")
def codec(exported) -> Codec:
    return loading.load(exported)


@pytest.fixture
def folder(exported, tmp_path) -> Path:
    """A copy, free to be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "tiny"))


def edit(folder: Path, **changes: object) -> None:
    file = folder / "programs" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def assert_close(a: np.ndarray, b: np.ndarray) -> None:
    """Pictures as close as docs/exported_programs.md says."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype) == (a.shape, np.uint8)
    assert np.abs(a.astype(int) - b).max() <= 1
    assert a.std() > 5


@pytest.mark.parametrize("size", [(75, 101), (50, 60)], ids=["any size", "tile"])
def test_bits_and_pictures_are_those_of_the_networks(codec, size) -> None:
    image, source = tiny_model.image()[: size[0], : size[1]], tiny_model.codec()
    data = codec.compress(image, tiny_model.QUALITY)
    assert data == source.compress(image, tiny_model.QUALITY)
    assert_close(codec.decompress(data), source.decompress(data))
    assert_close(codec.decompress(data, **NOISY), source.decompress(data, **NOISY))
    changed = codec.decompress(data, **(NOISY | {"seed": 4})).astype(int)
    assert np.abs(changed - codec.decompress(data, **NOISY)).max() > 1


def test_a_golden_file_is_read(codec) -> None:
    picture = codec.decompress(tiny_model.FILE.read_bytes())
    assert_close(picture, tiny_model.codec().decompress(tiny_model.FILE.read_bytes()))


def test_tiles_alone_code_what_fits_into_one(exported) -> None:
    codec, source = loading.load(exported, tiles_only=True), tiny_model.codec()
    narrow = tiny_model.image()[:64, :20]
    assert codec.compress(narrow) == source.compress(narrow)  # both compute 64 x 64 pixels
    with pytest.raises(ValueError, match="too large .* it is 65 x 20, and the largest tile 64 x"):
        codec.compress(np.zeros((20, 65, 3), np.uint8))
    with pytest.raises(BitstreamError, match="too large .* it is 101 x 75, and the largest tile"):
        codec.decompress(tiny_model.FILE.read_bytes())


def test_the_least_tile_that_fits_is_taken(codec) -> None:
    found = dataclasses.replace(codec.networks.programs.manifest, tiles=(512, 64, 128))
    programs = types.SimpleNamespace(any_size=False, manifest=found)
    networks = ProgramNetworks(codec.model, programs)
    sizes = [networks.padded_size(*size) for size in ((1, 64), (65, 2), (128, 128), (3, 129))]
    assert sizes == [(64, 64), (128, 128), (128, 128), (512, 512)]


@pytest.mark.slow
def test_large_pictures_are_computed_in_windows(codec, monkeypatch) -> None:
    image = comparison.picture_of(600, 70)
    data, seen = codec.compress(image), []
    whole = codec.decompress(data, **NOISY)
    monkeypatch.setattr(BaseArchitecture, "whole_pixels", 2**15)
    monkeypatch.setattr(tiles, "SIDE", 448)
    assert codec.compress(image, progress=lambda *done: seen.append(done)) == data
    assert seen[-1] == (len(seen), len(seen)) and len(seen) > 1
    assert_close(codec.decompress(data, **NOISY), whole)


def blurred(x: np.ndarray, sight: int) -> np.ndarray:
    """Means over squares that reach `sight` positions far; what is outside is 0."""
    for axis in (0, 1):
        x = scipy.ndimage.uniform_filter1d(x, 2 * sight + 1, axis, mode="constant")
    return x


def test_windows_see_as_far_as_the_stages_say(codec, monkeypatch) -> None:
    """With filters in place of the networks: windows and whole are the same, seams included."""
    monkeypatch.setattr(tiles, "SIDE", 576)
    rng, size = np.random.default_rng(0), (1100, 700)
    described = codec.model.architecture, codec.model.config
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    at = [stage.sight for stage in described[0].encode_stages(described[1])]

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = blurred(x.astype(float), sum(at[:-1]) - 16)
        return mean[::16, ::16], blurred(mean, at[-1] - 64 + 16)[::64, ::64, :2]

    padded = np.pad(image, ((0, 52), (0, 4), (0, 0)), mode="edge")
    calls = []
    found = tiles.encode(*described, image, (3, 2), encode, lambda *done: calls.append(done))
    assert len(calls) > 4
    for a, b in zip(found, encode(padded), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)

    y_hat = rng.normal(size=(72, 44, 2)).astype(np.float32)
    x_t = rng.normal(size=(72 * 16, 44 * 16, 3)).astype(np.float32)

    def context(y_hat: np.ndarray) -> tuple[np.ndarray, ...]:
        wide = blurred(np.repeat(np.repeat(y_hat, 16, 0), 16, 1), 16)
        return tuple(wide[None, ::stride, ::stride] for stride in (4, 8, 16, 1))

    def step(x: np.ndarray, maps: tuple[np.ndarray, ...], origin: tuple[int, int]) -> np.ndarray:
        assert [m.shape[1] * s for m, s in zip(maps, (4, 8, 16, 1), strict=True)] == [len(x)] * 4
        pairs = zip(maps, (4, 8, 16, 1), strict=True)
        added = sum(np.repeat(np.repeat(m[0], s, 0), s, 1) for m, s in pairs)
        return (
            blurred(x, 8) + added[..., :1] + np.arange(origin[0], origin[0] + len(x))[:, None, None]
        )

    run = y_hat, Source(x_t, 1), x_t.shape[:2], context, step
    whole = step(x_t, context(y_hat), (0, 0))
    np.testing.assert_allclose(tiles.denoise(*described, *run), whole, rtol=1e-4, atol=1e-4)


def test_what_programs_cannot_do_is_said(codec) -> None:
    image = tiny_model.image()
    with pytest.raises(ValueError, match="effort is 3; exported programs take effort 0 only"):
        codec.compress(image, effort=3)
    with pytest.raises(ValueError, match="compute_dtype is 'bfloat16'; exported programs"):
        codec.decompress(tiny_model.FILE.read_bytes(), compute_dtype="bfloat16")
    with pytest.raises(ValueError, match="do not estimate bits"):
        codec.bpp_estimate(image)


def test_neither_flax_nor_a_network_is_loaded(exported, tmp_path) -> None:
    """In a process where Flax cannot be imported."""
    np.save(tmp_path / "image.npy", tiny_model.image())
    program = (
        "import sys, zlib\n"
        "sys.modules['flax'] = None\n"
        "import numpy as np\n"
        "from diffcomp.exported_programs import loading\n"
        f"codec = loading.load(r'{exported}')\n"
        f"data = codec.compress(np.load(r'{tmp_path / 'image.npy'}'))\n"
        "print(zlib.crc32(data), codec.decompress(data, gamma=0.5, steps=2).shape)\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('diffcomp.', 'flax'))))\n"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    result, loaded = run.stdout.splitlines()
    data = tiny_model.codec().compress(tiny_model.image())
    assert result == f"{zlib.crc32(data)} (75, 101, 3)"
    names = set(loaded.split()) - {"flax"}  # None, set above
    rooms = ("networks", "published", "objectives", "training", "evaluation", "profiling")
    # How large a model is, which parameters its parts have, and how far they see.
    plain = {"config", "parts", "stages", "schedule"}
    for name in names:
        parts = name.split(".")
        assert parts[1] not in rooms or len(parts) == 2 or parts[2] in plain, name
        assert name != "diffcomp.network_programs" and not name.startswith("flax")
    assert "diffcomp.exported_programs.sampling" in names


def test_parameters_of_another_shape_are_named_before_a_program_runs(folder) -> None:
    """Also where their checksum is right: no network is there to be asked for its shapes."""
    with np.load(folder / "weights.npz") as arrays:
        weights = dict(arrays)
    path = "hyperprior/analysis/basis"
    np.savez(folder / "weights.npz", **weights | {path: weights[path][..., None]})
    shape = re.escape(str((*weights[path].shape, 1)))
    with pytest.raises(ModelError, match=f"parameter {path} has shape {shape}, but the program"):
        loading.load(folder).compress(tiny_model.image())


def test_the_manifest_says_what_there_is(exported) -> None:
    found = manifest.read(exported / "programs")
    assert found.platforms == ("cpu", "cuda", "tpu")
    assert (found.tiles, found.any_size, found.any_size_fault) == (TILES, True, "")
    assert (found.jax, found.jaxlib) == (jax.__version__, jaxlib.__version__)
    assert found.fingerprint == f"{tiny_model.codec().model.coder.fingerprint:08x}"
    assert len(found.programs) == 6
    for entry in found.programs:
        data = (exported / "programs" / entry.name).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert exported_model.load(exported).weights.keys()  # the parameters are read as before


@pytest.mark.parametrize("function", manifest.FUNCTIONS)
def test_programs_are_for_all_platforms_and_hold_no_parameters(exported, function) -> None:
    model = tiny_model.codec().model
    for tile in (TILES[0], 0):
        path = exported / "programs" / manifest.file_name(function, tile)
        program = export.deserialize(bytearray(path.read_bytes()))
        assert program.platforms == ("cpu", "cuda", "tpu")
        params, *inputs = writing.arguments(model, function, tile)
        assert len(program.in_avals) == len(params) + len(jax.tree.leaves(inputs))
        if tile:
            lowered = jax.jit(program.call).trace(params, *inputs)
            for platform in ("cuda", "tpu"):
                assert "stablehlo" in lowered.lower(lowering_platforms=(platform,)).as_text()


def test_a_size_that_an_operation_must_know_leaves_the_tiles(exported, tmp_path, monkeypatch):
    def trace(model, function, tile):
        if not tile:
            raise TypeError("Shapes must be 1D sequences of concrete values\nand more")
        path = exported / "programs" / manifest.file_name(function, tile)
        return export.deserialize(bytearray(path.read_bytes()))

    monkeypatch.setattr(writing, "trace", trace)
    folder = Path(shutil.copytree(tiny_model.MODEL, tmp_path / "tiny"))
    found = writing.write(tiny_model.codec().model, folder, (64,))
    assert not found.any_size
    assert found.any_size_fault == "TypeError: Shapes must be 1D sequences of concrete values"
    codec = loading.load(folder)
    assert codec.networks.padded_size(3, 64) == (64, 64)
    with pytest.raises(ValueError, match="it is 65 x 3, and the largest tile 64 x 64"):
        codec.compress(np.zeros((3, 65, 3), np.uint8))


def test_programs_are_replaced_only_if_asked_for(folder, monkeypatch) -> None:
    before = {p.name: p.read_bytes() for p in (folder / "programs").iterdir()}
    model = tiny_model.codec().model
    with pytest.raises(FileExistsError, match="give --overwrite to replace it"):
        writing.write(model, folder, TILES)
    (folder / "programs" / "encode_64.stablehlo").write_bytes(b"damaged")

    def trace(model, function, tile):
        return export.deserialize(bytearray(before[manifest.file_name(function, tile)]))

    monkeypatch.setattr(writing, "trace", trace)
    writing.write(model, folder, TILES, overwrite=True)
    assert sorted(p.name for p in (folder / "programs").iterdir()) == sorted(before)
    assert sorted(p.name for p in folder.iterdir())[-2:] == ["programs", "weights.npz"]
    loading.load(folder)
    with pytest.raises(ModelError, match="is not the folder of an exported model"):
        writing.write(model, folder / "programs")


@pytest.mark.slow
def test_a_published_model_is_exported_too(tmp_path) -> None:
    model = import_cdc(tiny_model.GOLDEN / "cdc" / "xparam_tiny.pt")
    exported_model.save(model, tmp_path / "cdc")
    found = writing.write(model, tmp_path / "cdc", (64,))
    codec, source = loading.load(tmp_path / "cdc"), Codec(model)
    assert found.any_size
    image = tiny_model.image()[:60, :101]
    data = codec.compress(image)
    assert data == source.compress(image)
    settings = dict(steps=2, gamma=0.8, seed=1)
    found, wanted = (each.decompress(data, **settings) for each in (codec, source))
    assert np.abs(found.astype(int) - wanted).max() <= 1


def text(path: Path) -> None:
    path.write_text("no program")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json is missing"),
    "text manifest": (lambda p: text(p / "manifest.json"), "not a readable manifest: Expecting"),
    "list manifest": (
        lambda p: (p / "manifest.json").write_text("[1]"),
        r"not a readable manifest: manifest is \[1\]; it must be a mapping",
    ),
    "binary manifest": (
        lambda p: (p / "manifest.json").write_bytes(b"\xff\xfe\x00"),
        "not a readable manifest: .*decode",
    ),
    "missing program": (
        lambda p: (p / "encode_any.stablehlo").unlink(),
        "encode_any.stablehlo cannot be read: No such file",
    ),
    "text program": (
        lambda p: text(p / "context_64.stablehlo"),
        "context_64.stablehlo has 10 bytes, but manifest.json says",
    ),
    "flipped bit": (
        lambda p: flipped(p / "denoise_step_any.stablehlo"),
        "denoise_step_any.stablehlo has another SHA-256 than manifest.json says",
    ),
    "swapped programs": (
        lambda p: shutil.copy(p / "encode_64.stablehlo", p / "context_64.stablehlo"),
        "context_64.stablehlo has ",
    ),
}


@pytest.fixture
def unread(monkeypatch) -> None:
    """JAX is given nothing to read."""

    def deserialize(data: bytearray) -> None:
        raise AssertionError("was read")

    monkeypatch.setattr(program_set.export, "deserialize", deserialize)


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as refused:
        loading.load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_refused_before_anything_is_read(folder, unread, what) -> None:
    damage, said = DAMAGE[what]
    damage(folder / "programs")
    with pytest.raises(ModelError, match=said):
        loading.load(folder)
    refusal(folder)


OTHERS = {
    "format": ({"format": 7}, "it has format 7, not 1"),
    "fingerprint": ({"fingerprint": "00c0ffee"}, "fingerprint 00c0ffee, but the parameters"),
    "newer convention": ({"calling_convention": 99}, "have calling convention 99; JAX"),
    "older convention": ({"calling_convention": 1}, "have calling convention 1; JAX"),
    "device": ({"platforms": ["tpu", "cuda"]}, "are for tpu, cuda; JAX runs on cpu here"),
    "old export": (
        {"jaxlib": "0.4.30", "readable_from": "2024-05-28", "readable_until": "2024-12-18"},
        "exported with jaxlib 0.4.30 and are promised .* 2024-05-28 to 2024-12-18; this is jaxlib",
    ),
    "no day": ({"readable_until": "soon"}, "not a readable manifest: Invalid isoformat"),
    "unlisted tile": ({"tiles": [64, 128]}, "must list context_128"),
    "odd tile": ({"any_size": 3}, "any_size is 3; it must be of type bool"),
    "unknown key": ({"extra": 1}, "manifest.extra is unknown"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_programs_of_another_kind_are_refused(folder, unread, what) -> None:
    changes, said = OTHERS[what]
    edit(folder, **changes)
    with pytest.raises(ModelError, match=said):
        loading.load(folder)
    refusal(folder)


def test_programs_of_another_configuration_are_refused(folder, unread) -> None:
    config = json.loads((folder / "model.json").read_text())["config"]
    edit(folder, config=config | {"base_error": 0.25})
    assert "another configuration than the parameters of 'tiny'" in refusal(folder)


def test_an_old_export_can_be_tried_all_the_same(folder) -> None:
    edit(folder, jaxlib="0.4.30", readable_from="2024-05-28", readable_until="2024-12-18")
    assert loading.load(folder, any_jax=True).model.name == "tiny"


def test_what_only_looks_like_a_program_is_named(folder) -> None:
    """Its manifest agrees, so it is JAX that cannot read it."""
    data = b"no program"
    (folder / "programs" / "encode_64.stablehlo").write_bytes(data)
    file = folder / "programs" / "manifest.json"
    values = json.loads(file.read_text())
    for entry in values["programs"]:
        if (entry["function"], entry["tile"]) == ("encode", 64):
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    file.write_text(json.dumps(values))
    codec = loading.load(folder)
    with pytest.raises(ModelError, match="the program encode of tile 64 cannot be read by JAX"):
        codec.compress(np.zeros((64, 64, 3), np.uint8))


def test_stages_are_compared_and_a_foreign_decoder_is_found(exported) -> None:
    codec = loading.load(exported, tiles_only=True)
    source = tiny_model.codec().model
    rows = list(comparison.compare(codec, source))
    assert all(row.within for row in rows), comparison.table(rows)
    assert [row.stage for row in rows][:3] == ["y", "z", "bits"]
    assert {"context 3", "denoise step", "picture"} <= {row.stage for row in rows}
    path = "score_network/head/bias"
    other = dataclasses.replace(source, weights=source.weights | {path: source.weights[path] + 1})
    assert other.coder.fingerprint == source.coder.fingerprint
    rows = list(comparison.compare(codec, other))
    assert [row.stage for row in rows if not row.within] == ["denoise step", "picture"]
    assert "beyond the bound" in comparison.table(rows)


def test_a_nan_is_beyond_every_bound() -> None:
    assert not comparison.StageError("64x64", "y", float("nan"), 1.0, 1.0).within


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["base", "--programs"], "base is a shipped model: give the folder to write"),
        (["TINY"], "is no training run; of a model only --programs can be made"),
        (["TINY", "OUT", "--programs", "--best"], "--name, --best and --card are of one"),
        (["TINY", "OUT", "--programs", "--tiles=100"], "--tiles is 100; it must be multiples"),
        (["RUN", "--programs"], "is a training run: give the folder to write"),
        (["RUN", "RUN"], "exists and is no empty folder"),
        (["OUT", "OUT", "--programs"], "is neither a folder nor a shipped model"),
        (["TINY", "TINY", "--programs"], "exists and is no empty folder"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(args, said, tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    names = {"TINY": str(tiny_model.MODEL)}
    names |= {name: str(tmp_path / name.lower()) for name in ("OUT", "RUN")}
    run = run_launch("export.py", *(names.get(arg, arg) for arg in args))
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("export: ") and said in run.stderr
    assert "Traceback" not in run.stderr and not (tmp_path / "out").exists()


def test_damaged_programs_are_not_validated(folder) -> None:
    flipped(folder / "programs" / "encode_64.stablehlo")
    run = run_launch("validate_programs.py", folder)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("validate_programs: ")
    assert "another SHA-256" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.slow
def test_export_and_validate(tmp_path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    run = run_launch("export.py", tiny_model.MODEL, out, "--programs", "--tiles=64")
    assert run.returncode == 0, run.stderr
    assert "6 programs" in run.stdout and "are promised to read them" in run.stdout
    run = run_launch("validate_programs.py", out)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "all within the bounds"
    source = tiny_model.codec().model
    path = "score_network/head/bias"
    weights = source.weights | {path: source.weights[path] + 1}
    exported_model.save(dataclasses.replace(source, weights=weights), other)
    run = run_launch("validate_programs.py", out, f"--source={other}")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "validate_programs: 4 of 18 are beyond the bound"
