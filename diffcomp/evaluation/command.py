"""The options of `diffcomp evaluate`. Nothing heavy is imported before it runs."""

import argparse
import contextlib
import importlib.util
import sys
from collections.abc import Iterator

from diffcomp.usage import UsageError

PACKAGES = ("matplotlib", "bjontegaard")  # of the extra that no evaluation does without


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    text = "measures models and other codecs on images: tables, plots, report"
    command = commands.add_parser("evaluate", help=text, description=text)
    command.set_defaults(run=run)
    command.add_argument(
        "images",
        nargs="*",
        metavar="IMAGES",
        help="files, folders, tfds:NAME/SPLIT (default: the protocol's own data set)",
    )
    add = command.add_argument
    add(
        "--protocol",
        default="none",
        metavar="NAME",
        help="kodak, tecnick, div2k, coco, clic, clic2025, cid22, gb82, failures (drawn), none",
    )
    add("--model", default="base", metavar="A,B", help="models, or empty (default: %(default)s)")
    add("--quality", default="1,2,3,4,6,8", metavar="Q,Q", help="of models (default: %(default)s)")
    add("--realism", default="1", metavar="R,R", help="of models (default: %(default)s)")
    add("--steps", default="", metavar="N,N", help="score network calls (default: model's)")
    add("--gamma", default="", metavar="G,G", help="scale of the noise (default: model's)")
    add(
        "--realism-0-metrics",
        default="",
        metavar="A,B",
        help="the metrics that count at realism 0 (default: all)",
    )
    add("--seed", type=int, default=0, metavar="S", help="of the decoder's noise (default: 0)")
    add(
        "--baselines",
        default="jpeg,webp,avif",
        metavar="A,B",
        help="jpeg, jpeg444, webp, avif (tune iq), avif-psnr, avif-ssim, avif444, heic, heic444, "
        "jxl (full size), jxl-half (half size), vtm, bpg, each also as "
        "NAME=QUALITY/QUALITY/... (default: %(default)s)",
    )
    add("--external", default="", metavar="FILE", help="JSON of further codecs and their programs")
    add(
        "--metrics",
        default="psnr,lpips_alex",
        metavar="A,B",
        help="or all; ssimulacra2 and butteraugli, which all leaves out, need programs of libjxl "
        "(default: %(default)s)",
    )
    add(
        "--set-metrics",
        default="auto",
        metavar="A,B",
        help="fid, kid, fd_vgg, kd_vgg; auto: the last two at 513 and 100 patches (default: auto)",
    )
    add("--inception", default="", metavar="FILE", help="weights of Inception, for fid and kid")
    add(
        "--anchor",
        default="",
        metavar="CODEC,METRIC=CODEC",
        help="of Bjontegaard rates, also one of a metric's own (default: the first baseline)",
    )
    add("--published", action="store_true", help="draw quoted curves of other codecs, dashed")
    add("--linear-rate", action="store_true", help="plots with a linear axis of the rate")
    add("--workers", type=int, default=0, metavar="N", help="jobs at a time (default: all cores)")
    add(
        "--cache",
        default="user",
        metavar="FOLDER",
        help="of other codecs' rows, kept for later evaluations: user is the user's cache folder, "
        "empty none (default: %(default)s)",
    )
    add("--report-images", type=int, default=24, metavar="N", help="in the report (default: 24)")
    add("--report-megabytes", type=float, default=60, metavar="M", help="of the report (60)")
    add("--out", required=True, metavar="FOLDER", help="of all outputs; rows there are kept")
    add("--restart", action="store_true", help="throw the rows in --out away")
    add("--quiet", action="store_true", help="print nothing but errors")


def run(args: argparse.Namespace) -> None:
    """Evaluates and prints the table."""
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f"diffcomp evaluate needs {package}: pip install 'diffcomp[evaluate]'"
            )
    from diffcomp.evaluation import evaluate, printed_tables

    config = evaluate.EvaluateConfig(
        images=tuple(args.images),
        protocol=args.protocol,
        models=_names(args.model),
        qualities=_numbers("--quality", args.quality),
        realisms=_numbers("--realism", args.realism),
        steps=_numbers("--steps", args.steps, int),
        gammas=_numbers("--gamma", args.gamma),
        realism_0_metrics=_names(args.realism_0_metrics),
        seed=args.seed,
        baselines=_names(args.baselines),
        external=args.external,
        metrics=_names(args.metrics),
        set_metrics=_names(args.set_metrics),
        inception=args.inception,
        anchor=args.anchor,
        published=args.published,
        linear_rate=args.linear_rate,
        workers=args.workers,
        cache=args.cache,
        report_images=args.report_images,
        report_megabytes=args.report_megabytes,
        out=args.out,
    )
    with says_what_is_kept(args.out):
        found = evaluate.evaluate(config, restart=args.restart, progress=not args.quiet)
    if not args.quiet:
        printed_tables.print_summary(found, args.out)


@contextlib.contextmanager
def says_what_is_kept(out: str) -> Iterator[None]:
    """A line on the rows in the folder, if the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"The rows in {out} are kept; the same command continues.", file=sys.stderr)
        raise


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(option: str, text: str, kind: type = float) -> tuple[float, ...]:
    try:
        return tuple(kind(part) for part in _names(text))
    except ValueError:
        whole = "whole " if kind is int else ""
        raise UsageError(f"{option} is {text!r}; it must be {whole}numbers with commas.") from None
