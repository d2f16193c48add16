"""The real loop on the smoke configuration: stop, resume, files, failure; and its two programs."""

import csv
import dataclasses
import json
import logging
import os
import re
import runpy
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from child_processes import run_launch
from PIL import Image
from small_model import random_params

from diffcomp import codec
from diffcomp.config import from_mapping
from diffcomp.export import exported_model
from diffcomp.training.checkpoint import Position
from diffcomp.training.config import Config
from diffcomp.training.train_loop import restore_average, train

SPEED = ("seconds_per_step", "images_per_second", "share_waiting")
ROOT = Path(__file__).resolve().parents[1]
GET_CONFIG = runpy.run_path(str(ROOT / "configs" / "base.py"))["get_config"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory, photo):
    folder = tmp_path_factory.mktemp("photos")
    for name, pixels in (("face.png", photo), ("mirror.png", photo[::-1, ::-1])):
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def config(photos):
    """Four steps of the smoke configuration's first stage, two of its second."""
    smoke = from_mapping(Config, GET_CONFIG("smoke"))
    source = f"folder:{photos}"
    linear, context = smoke.stages[:2]
    return dataclasses.replace(
        smoke,
        data=dataclasses.replace(smoke.data, train=source, validation=source),
        train=dataclasses.replace(smoke.train, validate_every=4),
        stages=(dataclasses.replace(linear, steps=4), context),
    )


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory):
    """The last state of an uninterrupted run, and its folder."""
    workdir = tmp_path_factory.mktemp("straight")
    return train(config, workdir), workdir


class Terminator(logging.Handler):
    """Sends this process SIGTERM at each log line that starts with one of `cues`."""

    def __init__(self, *cues):
        super().__init__()
        self.cues = list(cues)

    def emit(self, record):
        for cue in [c for c in self.cues if record.getMessage().startswith(c)]:
            self.cues.remove(cue)
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def terminate_at():
    """Installs a `Terminator` with the given cues, and returns it."""
    log = logging.getLogger("diffcomp.training.run_metrics")
    before, added = log.level, []

    def install(*cues):
        added.append(Terminator(*cues))
        log.setLevel(logging.INFO)
        log.addHandler(added[-1])
        return added[-1]

    yield install
    log.setLevel(before)
    for handler in added:
        log.removeHandler(handler)


def read_metrics(workdir):
    with (workdir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_states(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_interrupted_and_resumed_training_equals_straight_training(
    config, straight, tmp_path, terminate_at
):
    """Bit for bit: parameters, average and optimiser. Stops within and between stages."""
    handler = signal.getsignal(signal.SIGTERM)
    terminator = terminate_at("linear 2/4", "linear 4/4")
    steps = []
    for place in (Position(0, 2), Position(0, 4), Position(1, 2)):
        state = train(config, tmp_path)
        steps.append(int(state.step))
        position, average = restore_average(config, tmp_path)
        assert position == place
        assert_equal_states(average, state.average)
        assert signal.getsignal(signal.SIGTERM) is handler
    assert terminator.cues == []
    assert steps == [2, 4, 2]
    assert_equal_states(state, straight[0])
    # And the same numbers on the way.
    rows = [
        [row for row in read_metrics(folder) if row["name"] not in SPEED]
        for folder in (tmp_path, straight[1])
    ]
    assert rows[0] == rows[1]


def test_a_finished_run_has_nothing_left_to_do(config, straight):
    state, workdir = straight
    before = (workdir / "metrics.csv").read_text()
    assert_equal_states(train(config, workdir), state)
    assert (workdir / "metrics.csv").read_text() == before


def test_metrics_are_written_as_csv_and_for_tensorboard(straight):
    _, workdir = straight
    rows = read_metrics(workdir)
    losses = [(r["step"], r["stage"]) for r in rows if r["name"] == "loss"]
    assert losses == [(str(n), "linear") for n in (1, 2, 3, 4)] + [
        ("5", "context"),
        ("6", "context"),
    ]
    names = {row["name"] for row in rows if row["stage"] == "linear"}
    assert {
        "bpp",
        "bpp_y",
        "mse",
        "gradient_norm",
        "learning_rate",
        "images_skipped",
        *SPEED,
    } < names
    assert {row["stage"] for row in rows} == {"linear", "context", "validation"}
    assert all(np.isfinite(float(row["value"])) for row in rows)
    events = b"".join(file.read_bytes() for file in workdir.glob("events.out.tfevents.*"))
    assert b"linear/bpp_y" in events
    assert b"validation/q2_psnr_realism1" in events
    assert b"validation/score" in events
    assert (workdir / "panels" / "0000006_q2.png").is_file()


def test_validation_comes_at_its_interval_and_after_each_stage(straight):
    with (straight[1] / "validation.csv").open(newline="") as file:
        found = [(row["step"], row["quality"]) for row in csv.DictReader(file)]
    assert found == [(step, q) for step in ("4", "6") for q in ("2", "6")]


def test_the_config_is_written_for_export_to_read(config, straight):
    values = json.loads((straight[1] / "config.json").read_text())
    assert from_mapping(Config, values) == config


def test_training_starts_from_the_transform_of_these_images(straight):
    """The linear codec's basis is fitted, not random: its first component is brightness."""
    basis = np.asarray(straight[0].params["context_decoder/basis"])
    assert (np.sign(basis[0]) == np.sign(basis[0, 0])).all()
    spread = np.linalg.norm(basis, axis=1)
    assert (np.diff(spread) <= 1e-6).all()


def test_another_model_than_the_checkpoints_is_refused_and_changes_nothing(config, straight):
    _, workdir = straight
    before = (workdir / "config.json").read_bytes()
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, hyper_channels=6))
    with pytest.raises(ValueError, match="is not compatible with the stored shape"):
        train(other, workdir)
    assert (workdir / "config.json").read_bytes() == before


def test_a_metric_that_is_not_finite_ends_training_with_its_name_and_step(config, tmp_path):
    """With a checkpoint due after every step, and none written of the step that failed."""
    linear = dataclasses.replace(config.stages[0], learning_rate=1e30, warmup=0)
    diverging = dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, log_every=100, checkpoint_minutes=0.0),
        stages=(linear, *config.stages[1:]),
    )
    with pytest.raises(
        FloatingPointError,
        match=r"^\w+ is (nan|inf) within the last 2 steps before step 2 of stage 'linear'; "
        r"the last checkpoint is intact\.$",
    ):
        train(diverging, tmp_path)
    position, average = restore_average(diverging, tmp_path)
    assert position == Position(0, 1)
    assert all(np.isfinite(value).all() for value in average.values())


def test_no_checkpoint_is_refused(config, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        restore_average(config, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("data.train=folder:absent", r"train: absent holds no image \(.*\)\."),
        ("train.compute_dtype=float8", r"train: .*compute_dtype is 'float8'; .*float32.*"),
    ],
)
def test_a_wrong_configuration_ends_in_a_line(wrong, line, tmp_path):
    config = f"--config={ROOT / 'configs' / 'base.py'}:smoke"
    run = run_launch("train.py", config, f"--workdir={tmp_path / 'run'}", f"--config.{wrong}")
    assert run.returncode == 2
    assert re.fullmatch(line, run.stderr.splitlines()[-1])
    assert "Traceback" not in run.stderr


def test_the_programs_train_and_export_a_model_that_compresses(photos, photo, tmp_path):
    """Every stage of the smoke configuration, as processes; then the model is used."""
    workdir, out = tmp_path / "run", tmp_path / "model"
    run = run_launch(
        "train.py",
        f"--config={ROOT / 'configs' / 'base.py'}:smoke",
        f"--workdir={workdir}",
        f"--config.data.train=folder:{photos}",
        "--config.data.threads=1",
    )
    assert run.returncode == 0, run.stderr
    progress = [line.split("] ", 1)[1] for line in run.stderr.splitlines() if "] " in line]
    stages = ("linear", "context", "score", "joint")
    starts = [f"{stage} {step}/2 (" for stage in stages for step in (1, 2)]
    compiled = [line for line in progress if line.startswith("compiling the step of stage ")]
    assert [line.split()[5] for line in compiled] == list(stages)  # once each
    rest = ("fitting the Karhunen-Loeve", "compiling the step of stage ")
    shown = [line for line in progress if not line.startswith(rest)]
    for line, start in zip(shown, starts, strict=True):  # and nothing of the libraries
        assert line.startswith(start)

    run = run_launch("export.py", str(workdir), str(out), "--name=tiny")
    assert run.returncode == 0, run.stderr
    tiny = codec.load(out)
    assert f"model tiny, fingerprint {tiny.model.coder.fingerprint:08x}" in run.stdout
    assert tiny.model.card == {"stage": "joint", "step": 2}
    image = photo[:70, :90]
    data = tiny.compress(image, quality=8.0)
    restored = tiny.decompress(data, steps=1)
    assert restored.shape == image.shape
    error = np.mean((restored.astype(float) - image) ** 2)
    assert error < 0.5 * image.astype(float).var()


@pytest.mark.parametrize(
    ("name", "exported"),
    [
        # From weights that exist: to compile the draw of random ones takes as long as the rest.
        ("kodak_lambda", True),
        pytest.param("kodak_lambda_epsilon", False, marks=pytest.mark.slow),
    ],
)
def test_the_published_models_smoke_variant_takes_two_steps(name, exported, photos, tmp_path):
    """One step in the warm-up, one after it; then real files of the validation image."""
    get_config = runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"]
    smoke = from_mapping(Config, get_config("smoke,lmbda=0.5,rho=0"))
    source = f"folder:{photos}"
    data = dataclasses.replace(smoke.data, train=source, validation=source)
    if exported:
        model = exported_model.export(
            "random", smoke.model, random_params(smoke.model), {}, smoke.decode
        )
        exported_model.save(model, tmp_path / "model")
        start = dataclasses.replace(smoke.train, init=str(tmp_path / "model"))
        smoke = dataclasses.replace(smoke, train=start)
    state = train(dataclasses.replace(smoke, data=data), tmp_path / "run")
    assert int(state.step) == 2
    (moments,) = (part for part in state.optimizer if hasattr(part, "nu"))
    assert moments.nu.keys() == state.params.keys()
    assert all(np.asarray(value).any() for value in moments.nu.values())  # each has a gradient
    rows = read_metrics(tmp_path / "run")
    lmbdas = [float(row["value"]) for row in rows if row["name"] == "lmbda"]
    assert lmbdas == [pytest.approx(1e-6), 0.5]
    bpp = [
        float(row["value"]) for row in rows if (row["stage"], row["name"]) == ("validation", "bpp")
    ]
    assert len(bpp) == 1
    assert 0 < bpp[0] < 40


def test_a_new_decoder_reads_the_old_files(config, straight, photo, tmp_path):
    """Fine-tuned from an export, encoder and hyperprior frozen: the fingerprint stays."""
    _, average = restore_average(config, straight[1])
    old = exported_model.export("old", config.model, average, {}, config.decode)
    exported_model.save(old, tmp_path / "old")
    smoke = from_mapping(Config, GET_CONFIG("smoke"))
    (score,) = [stage for stage in smoke.stages if stage.name == "score"]
    tuned = dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, init=str(tmp_path / "old")),
        stages=(dataclasses.replace(score, steps=1, warmup=0),),
    )
    state = train(tuned, tmp_path / "run")
    moved = {p for p, v in state.params.items() if not np.array_equal(v, old.params[p])}
    assert moved
    assert all(path.startswith(("score_network", "score_conditioning")) for path in moved)

    run = run_launch("export.py", str(tmp_path / "run"), str(tmp_path / "new"))
    assert run.returncode == 0, run.stderr
    new = codec.load(tmp_path / "new")
    assert new.model.coder.fingerprint == old.coder.fingerprint
    data = codec.load(tmp_path / "old").compress(photo[:70, :90])
    assert new.decompress(data).shape == (70, 90, 3)


def test_a_model_of_another_configuration_is_no_start(config, tmp_path):
    tiny = ROOT / "tests" / "golden" / "tiny_model"
    other = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, base_error=0.5),
        train=dataclasses.replace(config.train, init=str(tiny)),
    )
    with pytest.raises(ValueError, match="train.init is .*tiny_model, a model of configuration"):
        train(other, tmp_path)


def test_a_profile_is_taken_of_the_steps_asked_for(config, tmp_path):
    asked = dataclasses.replace(config.train, profile_start=2, profile_steps=2)
    short = dataclasses.replace(config, train=asked, stages=config.stages[:1])
    train(short, tmp_path)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
