"""The pipeline: list, take each picture once, code it, gather the table."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import (
    ExtendedProvisionInfo,
    FnApiRunner,
)
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from diffcomp.corpus import picture_work, record_shards, rows, sources, storage
from diffcomp.corpus.beam_storage import BeamStorage
from diffcomp.corpus.picture_work import Coded
from diffcomp.corpus.rows import Row
from diffcomp.corpus.settings import Settings
from diffcomp.corpus.sources import Item, Source
from diffcomp.export.shipped_models import DEFAULT_MODEL
from diffcomp.loaded_codecs import codec_of


def run(named: Sequence[Source], out: str, settings: Settings, options: Sequence[str]) -> None:
    """Codes all pictures of the sources into the folder `out`, and waits for it.

    options: Beam's, as on a command line; without --runner it runs on this machine.
    """
    # Workers otherwise say what each picture goes through.
    parsed = PipelineOptions(["--default_sdk_harness_log_level=WARNING", *options])
    named_runner = parsed.view_as(StandardOptions).runner
    pipeline = beam.Pipeline(runner=named_runner or _local_runner(parsed), options=parsed)
    build(pipeline, named, out, settings)
    with _ending_with_a_worker():
        pipeline.run().wait_until_finish()


@contextlib.contextmanager
def _ending_with_a_worker() -> Iterator[None]:
    """Ends the program if one of its worker processes ends within the block.

    Beam's local runner goes on waiting for the work of one that was killed, be it for memory.
    """
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        before(failed)
        if failed.thread is not None and failed.thread.name == "run_worker":
            print(
                f"compress_corpus: {failed.exc_value}; the same command again goes on.",
                file=sys.stderr,
                flush=True,
            )
            os._exit(1)  # any other way waits for the runner's threads

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _local_runner(options: PipelineOptions) -> FnApiRunner:
    """What Beam's DirectRunner comes to, but for its first try.

    That would fetch the program Prism from the network, which does without --direct_num_workers.
    """
    text = JobServiceHandle.encode_pipeline_options(options.get_all_options(drop_default=True))
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=text)
    return FnApiRunner(provision_info=ExtendedProvisionInfo(provision))


def build(
    pipeline: beam.Pipeline, named: Sequence[Source], out: str, settings: Settings
) -> beam.PCollection:
    """Adds to a pipeline what codes all pictures of the sources into the folder `out`.

    Elements are bytes (JSON in ASCII), which every engine passes on as they are, for a file's name
    may be no Unicode.

    Returns:
      A collection whose one element is the path of the table.
    """
    items = (
        pipeline
        | "sources" >> beam.Create(list(named))
        | "list" >> beam.ParDo(ListItems(sources.root_of(named), out, settings.mode))
        # Sources may overlap. It also shares the items out among the workers.
        | "each once" >> beam.Distinct()
    )
    if settings.output_format == "files":
        coded = items | "code" >> beam.ParDo(CodePicture(out, settings))
    else:
        coded = (
            items
            | "shard" >> beam.Map(_with_shard, settings.shards)
            | "gather shards" >> beam.GroupByKey()
            | "code shards" >> beam.ParDo(CodeShard(out, settings))
        )
    return (
        coded
        | "one key" >> beam.Map(lambda row: (0, row))
        | "gather rows" >> beam.GroupByKey()
        | "table" >> beam.Map(_write_table, out)
    )


class ListItems(beam.DoFn):
    """Source -> its items, as JSON."""

    def __init__(self, root: str, out: str, mode: str):
        super().__init__()
        self._root, self._mode, self._storage = root, mode, BeamStorage(out)

    def process(self, source: Source) -> Iterator[bytes]:
        found = sources.items(source, self._root, self._mode, self._storage)
        yield from (item.to_json() for item in found)


class _Coder(beam.DoFn):
    def __init__(self, out: str, settings: Settings):
        super().__init__()
        self._settings, self._storage = settings, BeamStorage(out)

    def setup(self) -> None:
        # Before the first picture, and in a thread of each worker; but it is loaded once.
        if self._settings.mode == "compress" or self._settings.model:
            codec_of(self._settings.model or DEFAULT_MODEL)

    def _code(self, item: Item) -> Coded:
        read = sources.reader(item, self._storage)
        return picture_work.attempt(item.name, self._settings, read)


class CodePicture(_Coder):
    """Item -> its row; writes the output."""

    def process(self, element: bytes) -> Iterator[bytes]:
        item = Item.from_json(element)
        row = storage.finished(self._storage, item.name)
        if row is None:
            row, data = self._code(item)
            if data is not None:
                row = storage.keep(self._storage, row, data)
        yield row.to_json()


class CodeShard(_Coder):
    """Number of a shard and its items -> their rows; writes the shard."""

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
        shard, texts = element
        items = {item.name: item for item in map(Item.from_json, texts)}
        found = record_shards.work_on_shard(
            self._storage,
            shard,
            self._settings.shards,
            sorted(items),
            lambda name: self._code(items[name]),
        )
        yield from (row.to_json() for row in found)


def _with_shard(element: bytes, shards: int) -> tuple[int, bytes]:
    return record_shards.shard_of(Item.from_json(element).name, shards), element


def _write_table(element: tuple[int, Iterable[bytes]], out: str) -> str:
    kept = BeamStorage(out)
    path = kept.output(storage.TABLE)
    kept.write(path, rows.table(Row.from_json(line) for line in element[1]))
    return path
