"""Tests of a model's folder: it comes back as it was saved, and every damage is named."""

import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_model

from diffcomp import program_store
from diffcomp.coding.grouped_coder import GroupedCoder
from diffcomp.decode_settings import DecodeConfig
from diffcomp.export import exported_model, model_shapes
from diffcomp.export.exported_model import SMALL, ExportedModel
from diffcomp.export.shipped_models import ModelError
from diffcomp.networks.parts import CODED_LAYERS

BASE = {"architecture": "base"}


@pytest.fixture(scope="module")
def model() -> ExportedModel:
    return tiny_model.codec().model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tiny model, free to be damaged."""
    return Path(shutil.copytree(tiny_model.MODEL, tmp_path / "model"))


def assert_same(a: ExportedModel, b: ExportedModel) -> None:
    assert (a.name, a.config, a.decode, a.card) == (b.name, b.config, b.decode, b.card)
    assert a.coder.fingerprint == b.coder.fingerprint
    assert a.params.keys() == b.params.keys()
    for path, value in a.params.items():
        assert value.dtype == b.params[path].dtype == np.float32
        np.testing.assert_array_equal(value, b.params[path], err_msg=path)


def edit(folder: Path, **changes: object) -> None:
    """Replaces entries of model.json; None removes one."""
    file = folder / "model.json"
    description = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in description.items() if v is not None}))


def rewrite(file: Path, change: Callable[[dict], None]) -> None:
    """Lets `change` edit the arrays of an npz file by name."""
    with np.load(file) as arrays:
        arrays = dict(arrays)
    change(arrays)
    np.savez(file, **arrays)


@pytest.mark.colab
def test_saved_model_comes_back(model, tmp_path: Path) -> None:
    exported_model.save(model, tmp_path / "new" / "folder")
    assert_same(exported_model.load(tmp_path / "new" / "folder"), model)
    names = sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
    assert names == ["coding.npz", "model.json", "weights.npz"]


@pytest.mark.colab
def test_export_gives_what_load_gives(model, tmp_path: Path) -> None:
    """From floats that are on no grid: what is validated in training is what is shipped."""
    rng = np.random.default_rng(0)
    params = {
        path: value + rng.normal(0, 1e-3, value.shape) for path, value in model.params.items()
    }
    decode = DecodeConfig(steps=5, gamma=0.25)
    exported = exported_model.export("other", model.config, params, {"steps": 3}, decode)
    assert exported.coder.fingerprint != model.coder.fingerprint
    exported_model.save(exported, tmp_path)
    assert_same(exported_model.load(tmp_path), exported)
    for path, value in exported.params.items():
        # float16 has 11 significant bits, the coded layers at least 13 behind the point here.
        tolerance = 2.0**-11 * np.abs(params[path]) + 2.0**-14
        assert np.all(np.abs(value - params[path]) <= tolerance), path
        if value.size < SMALL and not path.startswith(CODED_LAYERS):
            np.testing.assert_array_equal(value, params[path].astype(np.float32), err_msg=path)


def test_export_of_an_export_changes_nothing(model) -> None:
    """So fine-tuning starts from the very coder that was shipped."""
    again = exported_model.export(model.name, model.config, model.params, model.card, model.decode)
    assert_same(again, model)
    for name, array in again.coder.to_arrays().items():
        np.testing.assert_array_equal(array, model.coder.to_arrays()[name], err_msg=name)


def test_export_of_an_export_changes_nothing_where_gains_are_kept_as_float16(model) -> None:
    channels = model.config.latent_channels
    config = dataclasses.replace(model.config, quality_knots=SMALL // channels)
    gain = np.random.default_rng(1).normal(3, 1, (config.quality_knots, channels))
    params = model.params | {"hyperprior/log2_gain": gain.astype(np.float32)}
    once = exported_model.export("gains", config, params, {}, model.decode)
    assert np.any(once.params["hyperprior/log2_gain"] != params["hyperprior/log2_gain"])
    assert_same(exported_model.export("gains", config, once.params, {}, model.decode), once)


def test_order_of_the_parameters_does_not_show_in_the_files(model) -> None:
    turned = dict(reversed(model.params.items()))
    exports = [model.architecture.derive_coder(model.config, p) for p in (model.params, turned)]
    assert list(exports[0].to_arrays()) == list(exports[1].to_arrays())


def test_weights_are_all_used_and_coded_layers_are_not_kept_twice(model) -> None:
    with np.load(tiny_model.MODEL / "weights.npz") as arrays:
        kept = set(arrays.files)
    coded = {path for path in model.params if path.startswith(CODED_LAYERS)}
    assert len(coded) == 46
    assert kept == model.params.keys() - coded


def test_save_leaves_a_folder_that_is_in_use_alone(model, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is no empty folder; an exported model"):
        exported_model.save(model, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere is not a readable exported model: .*No such"):
        exported_model.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.json", "coding.npz", "weights.npz"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"not a readable exported model: .*{name}: No such file"):
        exported_model.load(folder)


@pytest.mark.parametrize("name", ["model.json", "coding.npz", "weights.npz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_file(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * (len(content) - 2))])
    with pytest.raises(ModelError, match="not a readable exported model: "):
        exported_model.load(folder)


@pytest.mark.parametrize("name", ["coding.npz", "weights.npz"])
def test_damaged_file(folder: Path, name: str) -> None:
    """In the middle of compressed data, where ZIP's checksum or the inflation finds it."""
    content = bytearray((folder / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match="not a readable exported model: "):
        exported_model.load(folder)


def test_an_array_in_place_of_an_archive(folder: Path) -> None:
    with (folder / "coding.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ModelError, match="not a readable exported model: "):
        exported_model.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, not 1"),
        ({"format": None}, "it lacks 'format'"),
        ({"name": None}, "it lacks 'name'"),
        ({"card": None}, "it lacks 'card'"),
        ({"fingerprint": None}, "it lacks 'fingerprint'"),
        ({"config": None}, "it lacks 'config'"),
        ({"config": 7}, "config is 7; it must be a mapping"),
        (
            {"config": {"architecture": "bass"}},
            "architecture is 'bass'; it must be one of base, cdc",
        ),
        ({"decode": None}, "it lacks 'decode'"),
        ({"decode": {"steps": 2}}, "decode lacks: gamma"),
        (
            {"config": BASE | {"widhts": [1, 2, 3]}},
            "config.widhts is unknown; ModelConfig has: widths",
        ),
        ({"config": BASE | {"widths": [1, 2, 3]}}, "config lacks: latent_channels"),
        ({"fingerprint": "00000000"}, "model.json says 00000000: the files do not belong"),
    ],
)
def test_description_that_does_not_fit(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(ModelError, match=message):
        exported_model.load(folder)


def test_description_that_is_no_mapping(folder: Path) -> None:
    (folder / "model.json").write_text("[1]")
    with pytest.raises(ModelError, match="not a readable exported model: "):
        exported_model.load(folder)


def test_coding_part_of_another_model(model, folder: Path) -> None:
    arrays = model.coder.to_arrays()
    arrays["layers.head_0.bias"] = arrays["layers.head_0.bias"] + 1
    other = GroupedCoder.from_arrays(arrays)
    np.savez(folder / "coding.npz", **arrays)
    message = f"has fingerprint {other.fingerprint:08x}, but .* {model.coder.fingerprint:08x}"
    with pytest.raises(ModelError, match=message):
        exported_model.load(folder)


@pytest.mark.parametrize("name", ["step", "layers.mix_0.bits", "y_tables.lookup"])
def test_coding_part_without_an_array(folder: Path, name: str) -> None:
    rewrite(folder / "coding.npz", lambda arrays: arrays.pop(name))
    with pytest.raises(ModelError, match=f"it lacks '.*{name.removeprefix('layers.')}"):
        exported_model.load(folder)


def test_coding_part_that_is_inconsistent(folder: Path) -> None:
    rewrite(folder / "coding.npz", lambda arrays: arrays.update(step=arrays["step"][1:]))
    with pytest.raises(ModelError, match="both must have 225 rows"):
        exported_model.load(folder)


def test_weights_of_another_configuration(folder: Path) -> None:
    path = "hyperprior/analysis/basis"
    config = json.loads((folder / "model.json").read_text())["config"]
    edit(folder, config=config | {"latent_channels": 24})
    with pytest.raises(ModelError, match=r"has shape .*, but a model of this configuration has"):
        exported_model.load(folder)
    edit(folder, config=config)
    rewrite(folder / "weights.npz", lambda arrays: arrays.pop(path))
    with pytest.raises(ModelError, match=rf"{path} has shape None, .* has \(768, 16\)"):
        exported_model.load(folder)
    rewrite(folder / "weights.npz", lambda arrays: arrays.update({path: np.zeros((768, 16))}))
    exported_model.load(folder)
    rewrite(folder / "weights.npz", lambda arrays: arrays.update(surplus=np.zeros(2)))
    with pytest.raises(ModelError, match=r"surplus has shape \(2,\), but .* has None"):
        exported_model.load(folder)


def test_a_right_checksum_of_wrong_shapes_is_found_when_the_folder_is_read(
    model, folder: Path, monkeypatch, tmp_path: Path
) -> None:
    """Also where the right shapes have been noted before; what is noted is not traced again."""
    monkeypatch.setattr(program_store, "_folder", lambda: tmp_path)
    exported_model.load(folder)
    (path, *_), values = zip(*model.weights.items(), strict=True)
    wrong = np.zeros((*values[0].shape, 2), np.float32)
    params = model.params | {path: wrong}
    rewrite(folder / "weights.npz", lambda arrays: arrays.update({path: wrong}))
    edit(folder, shapes=model_shapes.checksum(model.config, params))
    for _ in range(2):
        with pytest.raises(ModelError, match=f"parameter {path} has shape .*, but a model of"):
            exported_model.load(folder)
    monkeypatch.setattr(model_shapes, "check", lambda *_: pytest.fail("traced again"))
    exported_model.load(tiny_model.MODEL)


def test_a_shipped_model_is_not_traced_to_be_read(monkeypatch) -> None:
    monkeypatch.setattr(program_store, "_folder", lambda: None)
    monkeypatch.setattr(model_shapes, "check", lambda *_: pytest.fail("traced"))
    folders = [path.parent for path in model_shapes.MODELS.glob("*/model.json")]
    assert [exported_model.load(each).name for each in folders] == [each.name for each in folders]
    assert folders


def test_a_description_of_a_gigabyte_is_not_read(folder: Path) -> None:
    with (folder / "model.json").open("wb") as file:
        file.truncate(2**30)  # of which no byte is on the disk
    with pytest.raises(ModelError, match="model.json: is longer than the limit of 1048576 bytes"):
        exported_model.load(folder)


def test_a_description_of_brackets(folder: Path) -> None:
    (folder / "model.json").write_text("[" * 10**5)
    with pytest.raises(ModelError, match="not a readable exported model: .*recursion"):
        exported_model.load(folder)


@pytest.mark.parametrize(
    "name", ["", "..", "../up", "/etc/passwd", "a\\b", ".hidden", "two\nlines", "x" * 101, 7, None]
)
def test_names_that_are_paths_are_refused(model, folder: Path, tmp_path: Path, name) -> None:
    """Evaluations name folders after models."""
    description = json.loads((folder / "model.json").read_text()) | {"name": name}
    (folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="the model's name is"):
        exported_model.load(folder)
    with pytest.raises(ModelError, match="the model's name is"):
        exported_model.save(dataclasses.replace(model, name=name), tmp_path / "new")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("encoder_depths", [10**9, 1, 1]),
        ("latent_channels", 2**40),
        ("hyper_channels", -1),
        ("widths", [2**31, 1, 1]),
    ],
)
def test_networks_out_of_proportion_are_not_built(folder: Path, field: str, value) -> None:
    config = json.loads((folder / "model.json").read_text())["config"]
    edit(folder, config=config | {field: value})
    with pytest.raises(ModelError, match=f"config.{field} is .*; it must be of at most"):
        exported_model.load(folder)


@pytest.mark.parametrize("name", ["step", "layers.head_0.kernel"])
def test_a_coding_part_of_floats_is_refused(folder: Path, name: str) -> None:
    """Of the values that belong there: it would end in an error of NumPy, or code inexactly."""
    rewrite(folder / "coding.npz", lambda a: a.update({name: a[name].astype(np.float64)}))
    with pytest.raises(ModelError, match=f"{name} is of float64; the coding part has integers"):
        exported_model.load(folder)


@pytest.mark.parametrize("bits", [2**31 - 1, -1, 64])
def test_layers_that_shift_without_end_are_refused(folder: Path, bits: int) -> None:
    def change(arrays: dict) -> None:
        name = next(name for name in arrays if name.endswith(".bits"))
        arrays[name] = np.full_like(arrays[name], bits)

    rewrite(folder / "coding.npz", change)
    with pytest.raises(ModelError, match=r"bits is .*; it must be from 0 to 63"):
        exported_model.load(folder)


class Bomb:
    """Unpickling this makes a file."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["coding.npz", "weights.npz"])
def test_pickles_are_not_read(folder: Path, tmp_path: Path, name: str) -> None:
    harm = tmp_path / "harm"
    bomb = np.array([Bomb(harm)], dtype=object)
    rewrite(folder / name, lambda arrays: arrays.update(bomb=bomb, **{"layers.x.kernel": bomb}))
    with pytest.raises(ModelError, match="is no array of numbers by its header"):
        exported_model.load(folder)
    assert not harm.exists()
    (folder / name).write_bytes(pickle.dumps(Bomb(harm)))
    with pytest.raises(ModelError, match="not a readable exported model: "):
        exported_model.load(folder)
    assert not harm.exists()
    pickle.loads(pickle.dumps(Bomb(harm)))
    assert harm.exists()  # the bomb is live
