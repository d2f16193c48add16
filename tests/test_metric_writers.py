"""What is read back of the files that the writers leave."""

import io
import struct

import numpy as np
import pytest
from etils import epath
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from diffcomp.training import metric_writers
from diffcomp.training.metric_writers import CsvWriter, EventWriter, make_writer


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path)


def panels(count):
    return np.random.default_rng(0).integers(0, 256, (count, 6, 18, 3), np.uint8)


def read_events(folder):
    """(step, name, value) of all event files, by the format of TFRecord: length, CRC, data, CRC."""
    found = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                found.append((event.step, value.tag, getattr(value, kind)))
    return found


def test_scalars_are_events(workdir):
    writer = EventWriter(workdir)
    writer.write_scalars(3, {"joint/loss": 0.5, "validation/q4_bpp": np.float32(0.25)})
    writer.write_scalars(2_000_000, {"joint/loss": 0.125})
    writer.close()
    assert read_events(workdir) == [
        (3, "joint/loss", 0.5),
        (3, "validation/q4_bpp", 0.25),
        (2_000_000, "joint/loss", 0.125),
    ]


def test_images_are_events_of_numbered_png_files(workdir):
    writer = EventWriter(workdir)
    writer.write_images(7, {"validation/q2": panels(2), "validation/q6": panels(1)})
    writer.close()
    events = read_events(workdir)
    names = ["validation/q2/0", "validation/q2/1", "validation/q6/0"]
    assert [(step, name) for step, name, _ in events] == [(7, name) for name in names]
    for (_, _, image), expected in zip(events, [*panels(2), *panels(1)], strict=True):
        assert (image.height, image.width, image.colorspace) == (6, 18, 3)
        np.testing.assert_array_equal(Image.open(io.BytesIO(image.encoded_image_string)), expected)


def test_tensorboard_itself_reads_the_events(workdir):
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader",
        reason="the package tensorboard is not installed",
    )
    writer = EventWriter(workdir)
    writer.write_scalars(3, {"joint/loss": 0.5})
    writer.write_images(4, {"validation/q2": panels(1)})
    writer.close()
    (file,) = workdir.glob("events.out.tfevents.*")
    start, scalar, image = loader.LegacyEventFileLoader(str(file)).Load()
    assert start.file_version == "brain.Event:2"
    assert (scalar.step, scalar.summary.value[0].simple_value) == (3, 0.5)
    assert (image.step, image.summary.value[0].tag) == (4, "validation/q2/0")


def test_events_are_on_disk_after_a_while_and_after_flush(workdir, monkeypatch):
    writer = EventWriter(workdir)
    writer.write_scalars(1, {"a/b": 1.0})
    writer.flush()
    assert len(read_events(workdir)) == 1
    monkeypatch.setattr(metric_writers, "FLUSH_SECONDS", 0)
    writer.write_scalars(2, {"a/b": 1.0})
    assert len(read_events(workdir)) == 2
    writer.close()


def test_writers_of_the_same_second_do_not_share_a_file(workdir):
    for step in (1, 2):
        writer = EventWriter(workdir)
        writer.write_scalars(step, {"a/b": 1.0})
        writer.close()
    assert sorted(read_events(workdir)) == [(1, "a/b", 1.0), (2, "a/b", 1.0)]


def test_a_full_disk_is_an_error_where_it_happens(workdir, monkeypatch):
    class FullFile(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    writer = EventWriter(workdir)
    real, writer._events._py_recordio_writer._writer = (
        writer._events._py_recordio_writer._writer,
        FullFile(),
    )
    real.close()
    with pytest.raises(OSError, match="No space left"):
        writer.write_scalars(1, {"a/b": 1.0})


def test_the_csv_writer_appends_rows_under_one_header(workdir):
    path = workdir / "metrics.csv"
    CsvWriter(path).write_scalars(7, {"linear/loss": 1 / 3, "validation/q4/bpp": np.float32(0.25)})
    writer = CsvWriter(path)
    writer.write_scalars(1_234_567, {"joint/a/b": 1e-9})
    writer.write_images(8, {"joint/x": panels(1)})
    writer.flush()
    writer.close()
    assert path.read_text().splitlines() == [
        "step,stage,name,value",
        "7,linear,loss,0.333333",
        "7,validation,q4/bpp,0.25",
        "1234567,joint,a/b,1e-09",
    ]


def test_a_run_writes_both_and_processes_but_the_first_write_nothing(workdir, monkeypatch):
    for process, folder in ((0, workdir / "first"), (1, workdir / "second")):
        folder.mkdir()
        monkeypatch.setattr(metric_writers.jax, "process_index", lambda process=process: process)
        writer = make_writer(folder)
        writer.write_scalars(5, {"joint/loss": 2.0})
        writer.write_images(5, {"validation/q2": panels(1)})
        writer.flush()
        writer.close()
    assert [name for _, name, _ in read_events(workdir / "first")] == [
        "joint/loss",
        "validation/q2/0",
    ]
    assert (workdir / "first" / "metrics.csv").read_text().endswith("5,joint,loss,2\n")
    assert not list((workdir / "second").iterdir())
