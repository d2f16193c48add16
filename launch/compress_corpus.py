"""A corpus of pictures, compressed or decompressed on Apache Beam:

    python launch/compress_corpus.py SOURCE... OUT [--quality=4] [...] [-- Beam's options]

SOURCE is a folder, a pattern ("photos/**/*.jpg", gs://...), a file, FILE.array_record, packed:FILE
or tfds:NAME/SPLIT. Writes a .dfc file per picture (or shards of array_record) and OUT/table.csv.
The same command again does what is missing, and tries again what failed. Beam's own options stand
after "--": --runner=FlinkRunner ..., or, to use the cores of this machine,
--direct_running_mode=multi_processing --direct_num_workers=8.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from diffcomp.corpus import rows, settings, storage
from diffcomp.corpus.settings import FORMATS, MODES, Settings
from diffcomp.corpus.sources import Source, parse_source
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export.shipped_models import DEFAULT_MODEL
from diffcomp.files.color_conversion import parse_color
from diffcomp.loaded_codecs import codec_of


def main(argv: Sequence[str]) -> int:
    end = argv.index("--") if "--" in argv else len(argv)
    args = _parser().parse_args(argv[:end])
    try:
        todo = _settings(args).checked()
        named = [parse_source(text, todo.mode) for text in args.sources]
        out = args.out if "://" in args.out else os.path.abspath(args.out)
        return _run(named, out.rstrip("/"), todo, argv[end + 1 :])
    except (ValueError, OSError, ImportError) as error:
        print(f"compress_corpus: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="pictures, or .dfc files")
    parser.add_argument("out", metavar="OUT", help="folder, new or of an earlier run")
    parser.add_argument("--mode", default="compress", help=" or ".join(MODES))
    parser.add_argument("--model", help="shipped model or folder of an exported one")
    parser.add_argument("--quality", type=float, metavar="Q")
    parser.add_argument("--background", metavar="COLOR", help="under transparent pixels")
    parser.add_argument("--psnr", action="store_true", help="decode too, and note the PSNR")
    parser.add_argument("--output-format", default="files", help=" or ".join(FORMATS))
    parser.add_argument("--shards", type=int, default=16, metavar="N", help="of array_record")
    parser.add_argument("--suffix", default=".png", help="of decompressed pictures")
    for name, kind in (("steps", int), ("gamma", float), ("eta", float)):
        parser.add_argument(f"--{name}", type=kind, help="of decoding, as of diffcomp decompress")
    parser.add_argument("--realism", type=float, help="of decoding, 0 to 1")
    parser.add_argument("--seed", type=int, help="of decoding")
    parser.add_argument("--compute-dtype", help="of decoding")
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        mode=args.mode,
        model=args.model,
        quality=args.quality,
        background=parse_color(args.background) if args.background else None,
        psnr=args.psnr,
        decode=DecodeSettings(
            args.steps, args.gamma, args.eta, args.realism, args.seed, args.compute_dtype
        ),
        suffix=args.suffix,
        output_format=args.output_format,
        shards=args.shards,
    )


def _run(named: Sequence[Source], out: str, todo: Settings, options: Sequence[str]) -> int:
    """Runs the pipeline; returns 1 if a picture failed."""
    try:
        import apache_beam  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "corpora need the package apache-beam; pip install 'diffcomp[beam]' brings it."
        ) from error
    # They import Beam.
    from diffcomp.corpus import beam_pipeline
    from diffcomp.corpus.beam_storage import BeamStorage

    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    kept = BeamStorage(out)
    settings.keep(kept, todo, _checked_fingerprint(todo))
    kept.delete(kept.output(storage.TABLE))
    beam_pipeline.run(named, out, todo, options)
    kept.delete(kept.private("temporary"))
    return _report(kept)


def _checked_fingerprint(todo: Settings) -> int | None:
    """That of the model, which is loaded, so that what is wrong with it shows before the work."""
    if todo.mode == "decompress" and todo.model is None:
        return None
    codec = codec_of(todo.model or DEFAULT_MODEL)
    if codec.one_rate and todo.quality is not None:
        raise ValueError(f"quality is {todo.quality}, but the model has one rate and takes none.")
    codec.decode_settings(todo.decode)
    return codec.model.coder.fingerprint


def _report(kept: storage.Storage) -> int:
    path = kept.output(storage.TABLE)
    if not kept.exists(path):
        raise ValueError("the sources hold no picture.")
    pictures, failed = rows.count(kept.read(path))
    print(f"{path}: {pictures} pictures, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
