"""Corpora without an engine: what pictures are called, what is done, what a rerun does."""

import csv
import dataclasses
import hashlib
import io
import os
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from diffcomp.corpus import picture_work, record_shards, rows, settings, sources, storage
from diffcomp.corpus.rows import Row
from diffcomp.corpus.settings import Settings
from diffcomp.corpus.sources import Item, parse_source, root_of
from diffcomp.corpus.storage import Storage
from diffcomp.data.image_sources import TfdsImages
from diffcomp.data.packed_images import pack
from diffcomp.files.atomic_file import FileError
from diffcomp.loaded_codecs import codec_of

TINY = Settings(model=str(tiny_model.MODEL), quality=3)


class DiskStorage(Storage):
    """A local folder, of plain calls; notes what is read."""

    def __init__(self, folder: Path):
        super().__init__(str(folder))
        self.seen: list[str] = []

    def read(self, path, limit=storage.LARGEST_INPUT):
        self.seen.append(path)
        return storage.check_length(path, Path(path).read_bytes(), limit)

    def exists(self, path):
        return os.path.exists(path)

    def files_below(self, folder):
        return [str(path) for path in Path(folder).rglob("*") if path.is_file()]

    def matching(self, pattern):
        place = Path(pattern)
        return [str(path) for path in place.parent.glob(place.name)]

    def delete(self, path):
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.remove(path)

    def _create(self, path, data):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)

    def _rename(self, old, new):
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        os.replace(old, new)


@pytest.fixture
def kept(tmp_path):
    return DiskStorage(tmp_path / "out")


def png(pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def listed(texts, kept, mode="compress") -> dict[str, Item]:
    named = [parse_source(str(text), mode) for text in texts]
    found = [item for s in named for item in sources.items(s, root_of(named), mode, kept)]
    assert [Item.from_json(item.to_json()) for item in found] == found
    assert len({item.name for item in found}) == len(set(found))
    return {item.name: item for item in found}


def test_a_folder_is_its_pictures_however_deep(photos, kept):
    (photos / "notes.txt").write_text("no picture")
    (photos / ".hidden").mkdir()
    shutil.copy(photos / "a.png", photos / ".hidden" / "a.png")
    assert list(listed([photos], kept)) == ["a.png", "b.png", "deeper/c.png"]
    assert list(listed([photos / "*.txt"], kept)) == ["notes.txt"]
    assert listed([photos], kept, "decompress") == {}


def test_names_hold_apart_what_is_called_the_same(tmp_path, kept):
    for place in ("2023/x.png", "2024/x.png", "2024/x.jpg"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    names = list(listed([tmp_path / "2023", tmp_path / "2024"], kept))
    assert names == ["2023/x.png", "2024/x.jpg", "2024/x.png"]
    outputs = {picture_work.output_name(name, Settings()) for name in names}
    assert outputs == {"2023/x.png.dfc", "2024/x.jpg.dfc", "2024/x.png.dfc"}
    back = Settings(mode="decompress")
    assert len({picture_work.output_name(name, back) for name in outputs}) == 3
    assert list(listed([tmp_path / "2024"], kept)) == ["x.jpg", "x.png"]


def test_overlapping_sources_give_the_same_item(photos, kept):
    items = listed([photos, photos / "deeper", photos / "*.png"], kept)
    assert list(items) == ["a.png", "b.png", "deeper/c.png"]


def test_remote_places_keep_their_folders():
    named = [parse_source(f"gs://{place}", "compress") for place in ("b/x/", "b/y/**/*.jpg")]
    assert [source.kind for source in named] == ["folder", "files"]
    assert root_of(named) == "gs://b/"
    assert root_of([named[1]]) == "gs://b/y/"


def test_packed_files_and_records_have_items(photos, tmp_path, kept, photo):
    pack([("a", lambda: photo), ("b", lambda: photo[:50])], tmp_path / "two.zip", 10**6)
    records = tmp_path / "two.array_record"
    records.write_bytes(record_shards.write_records([png(photo[:40]), png(photo[:30])]))
    items = listed([f"packed:{tmp_path}/two.zip", records], kept)
    assert list(items) == [
        "two.zip/000000_a.avif",
        "two.zip/000001_b.avif",
        "two.array_record/00000000",
        "two.array_record/00000001",
    ]
    contents = [sources.reader(item, kept)() for item in items.values()]
    assert contents[1].shape == (50, 128, 3)
    np.testing.assert_array_equal(Image.open(io.BytesIO(contents[3])), photo[:30])
    with pytest.raises(ValueError, match="nothing to decompress"):
        listed([f"packed:{tmp_path}/two.zip"], kept, "decompress")


def test_tfds_data_sets_have_items(tiny_tfds, kept, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny_tfds))
    items = listed(["tfds:tiny_photos/photos/train[:20%]"], kept)
    assert list(items) == [f"tfds/tiny_photos/photos/train_20_/0000000{i}" for i in range(2)]
    source = TfdsImages("tiny_photos/photos/train", str(tiny_tfds))
    last = sources.reader(items["tfds/tiny_photos/photos/train_20_/00000001"], kept)()
    np.testing.assert_array_equal(last, source.read(1))
    assert not np.array_equal(last, source.read(0))


def test_records_that_are_none_have_a_row(tmp_path, kept):
    (tmp_path / "bad.array_record").write_bytes(b"no records" * 99)
    ((name, item),) = listed([tmp_path / "bad.array_record"], kept).items()
    row, data = picture_work.attempt(name, TINY, sources.reader(item, kept))
    assert (row.name, data) == ("bad.array_record", None)
    assert "cannot be read as array_record" in row.error


def test_a_row_says_what_the_file_is(photo):
    measured = dataclasses.replace(TINY, psnr=True)
    row, data = picture_work.attempt("p/a.png", measured, lambda: png(photo))
    codec = tiny_model.codec()
    assert data == codec.compress(photo, 3)
    assert (row.name, row.output, row.error) == ("p/a.png", "p/a.png.dfc", "")
    assert (row.width, row.height, row.bytes) == (128, 96, len(data))
    assert row.bpp == pytest.approx(8 * len(data) / (128 * 96))
    assert row.sha256 == hashlib.sha256(data).hexdigest()
    error = (codec.decompress(data).astype(float) - photo) ** 2
    assert row.psnr == pytest.approx(10 * np.log10(255**2 / error.mean()))
    back, pixels = picture_work.attempt(
        row.output, dataclasses.replace(TINY, mode="decompress", quality=None), lambda: data
    )
    assert (back.output, back.bytes, back.psnr) == ("p/a.png.png", len(data), None)
    np.testing.assert_array_equal(Image.open(io.BytesIO(pixels)), codec.decompress(data))
    assert Row.from_json(row.to_json()) == row


def test_the_model_is_loaded_once():
    assert codec_of(TINY.model) is codec_of(TINY.model)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a picture of a kind"),
        (b"text,\nof two lines", "not a picture of a kind"),
        (png(np.zeros((9, 9, 4), np.uint8)), "transparent pixels"),
        (png(np.zeros((90, 90, 3), np.uint8))[:60], "broken or unsupported"),
    ],
)
def test_what_is_no_picture_becomes_a_row(content, reason):
    row, data = picture_work.attempt("x", TINY, lambda: content)
    assert (row.name, row.output, row.bytes, data) == ("x", "", None, None)
    assert reason in row.error
    assert "\n" not in row.error


def test_any_failure_becomes_a_row(kept):
    row, data = picture_work.attempt("x", TINY, lambda: {}["missing"])
    assert (row.error, data) == ("KeyError: 'missing'", None)
    row, data = picture_work.attempt("x", TINY, lambda: kept.read("/nowhere/x.png"))
    assert row.error.startswith("FileNotFoundError")
    wrong = dataclasses.replace(TINY, mode="decompress")
    assert "BitstreamError" in picture_work.attempt("x", wrong, lambda: b"no bits").row.error


def test_an_output_that_cannot_be_written_becomes_a_row(kept):
    too_long = "n" * 300
    row = storage.keep(kept, Row(too_long, f"{too_long}.dfc", bytes=4), b"bits")
    assert row.name == too_long
    assert "OSError" in row.error
    assert storage.finished(kept, too_long) is None


def test_a_picture_is_done_once_its_row_is_kept(kept):
    row = Row("p/a.png", "p/a.png.dfc", 4, 3, bytes=4, bpp=2.5, seconds=0.1, sha256="ab")
    assert storage.finished(kept, "p/a.png") is None
    kept.write(kept.output(row.output), b"bits")  # killed before the row
    assert storage.finished(kept, "p/a.png") is None
    assert storage.keep(kept, row, b"bits") == row
    assert storage.finished(kept, "p/a.png") == row
    assert not os.listdir(kept.private("temporary"))
    kept.delete(kept.output(row.output))
    assert storage.finished(kept, "p/a.png") is None


def test_a_damaged_row_is_no_row(kept):
    row = storage.keep(kept, Row("a", "a.dfc"), b"bits")
    for text in (b"", b"{", b'{"name": "a", "colour": "blue"}'):
        kept.write(kept.private("rows/a.json"), text)
        assert storage.finished(kept, row.name) is None


def test_the_table_is_sorted_and_counted(tmp_path):
    odd = os.fsdecode(b"caf\xe9.png")  # a file name that is no UTF-8
    found = [Row("b,\n", "b.dfc", bytes=3), Row("a", error="ValueError: x"), Row(odd, bytes=1)]
    text = rows.table([Row.from_json(row.to_json()) for row in found])
    lines = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert [line["name"] for line in lines] == ["a", "b,\n", "caf\\udce9.png"]
    assert rows.count(text) == (3, 1)


def test_a_rerun_with_other_settings_is_refused(kept):
    settings.keep(kept, TINY, 7)
    settings.keep(kept, TINY, 7)
    settings.keep(kept, dataclasses.replace(TINY, model="/moved/elsewhere"), 7)
    with pytest.raises(FileError, match="quality was 3 in an earlier run, is 4"):
        settings.keep(kept, dataclasses.replace(TINY, quality=4), 7)
    with pytest.raises(FileError, match="model was 7"):
        settings.keep(kept, TINY, 8)


def test_a_folder_of_others_is_left_alone(kept, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo.png").write_bytes(b"precious")
    with pytest.raises(FileError, match="holds files of others, such as .*photo.png"):
        settings.keep(kept, TINY, 7)
    assert os.listdir(tmp_path / "out") == ["photo.png"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mode": "shrink"}, "mode is 'shrink'; it must be one of compress, decompress"),
        ({"mode": "decompress"}, "quality is for compressing"),
        ({"quality": 9}, "quality is 9; it must be in"),
        ({"output_format": "zip"}, "output format is 'zip'"),
        ({"shards": 0}, "shards is 0"),
        ({"suffix": ".gif"}, "unknown extension '.gif'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(TINY, **changes).checked()


class Shard:
    """Codes the shard 1 of 2 from a dictionary of contents, and counts what it codes."""

    def __init__(self, kept, contents):
        self.kept, self.contents, self.coded = kept, contents, []

    def run(self, *names):
        def code(name):
            self.coded.append(name)
            if self.contents[name] is None:
                return picture_work.Coded(Row(name, error="ValueError: x"), None)
            return picture_work.Coded(Row(name, f"{name}.dfc"), self.contents[name])

        self.coded = []
        found = list(record_shards.work_on_shard(self.kept, 1, 2, names, code))
        assert sorted(row.name for row in found) == sorted(names)
        return {row.name: row for row in found}

    def bytes_of(self, row):
        file, index = row.output.split("#")
        return record_shards.read_records(self.kept.output(file), [int(index)])[0]


def test_a_shard_codes_only_what_it_lacks(kept):
    shard = Shard(kept, {"a": b"A", "b": b"B" * 9, "c": None, "d": b"D"})
    first = shard.run("d", "b", "c")
    assert shard.coded == ["b", "c", "d"]
    assert first["c"].error
    assert first["d"].output == "part-00001-of-00002.array_record#1"
    again = shard.run("d", "b", "c")
    assert (shard.coded, again) == (["c"], first)  # what failed is tried again
    shard.contents["c"] = b"CC"
    last = shard.run("a", "b", "c", "d")
    assert shard.coded == ["a", "c"]
    assert {name: shard.bytes_of(row) for name, row in last.items()} == shard.contents
    assert shard.run("b")["b"] == last["b"]
    assert shard.coded == []


def test_a_shard_without_its_rows_is_coded_anew(kept):
    shard = Shard(kept, {"a": b"A", "b": b"B"})
    shard.run("a")
    # As if the process were killed between the shard and its rows.
    rows_before = kept.private("rows/part-00001-of-00002.jsonl")
    kept.delete(rows_before)
    found = shard.run("a", "b")
    assert shard.coded == ["a", "b"]
    assert {name: shard.bytes_of(row) for name, row in found.items()} == shard.contents


def test_shards_share_the_names_out():
    counts = np.bincount([record_shards.shard_of(f"{i}.png", 4) for i in range(400)])
    assert counts.shape == (4,)
    assert counts.min() > 60
    assert record_shards.shard_of("a.png", 16) == 8  # in every version


LAUNCH = Path(__file__).parents[1] / "launch" / "compress_corpus.py"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["nowhere/"], "nowhere/: there is no such file or folder"),
        ([".", "--quality=9"], "quality is 9.0; it must be in [1, 8]"),
        ([".", "--mode=decompress", "--psnr"], "psnr is for compressing"),
        ([".", "--background=blurple"], "blurple"),
        (["packed:a.png"], "is no archive of packed photographs"),
    ],
)
def test_wrong_command_lines_get_one_line(args, text, photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    main = runpy.run_path(str(LAUNCH))["main"]
    assert main([*args[:1], "out", *args[1:]]) == 1
    said = capsys.readouterr().err
    assert said.startswith("compress_corpus: ")
    assert text in said
    assert said.count("\n") == 1
    assert not os.path.exists("out")


def test_without_beam_it_says_what_to_install(photos, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    main = runpy.run_path(str(LAUNCH))["main"]
    assert main([str(photos), str(photos / "out")]) == 1
    assert "pip install 'diffcomp[beam]'" in capsys.readouterr().err
    assert not (photos / "out").exists()
