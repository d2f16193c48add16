"""`diffcomp serve`: a page in the browser on which to try the codec."""

import argparse

from diffcomp.byte_count import parse_bytes
from diffcomp.coding.bitstream import MAX_PIXELS
from diffcomp.commands.terminal import add_quiet, add_verbose, say
from diffcomp.export.shipped_models import DEFAULT_MODEL
from diffcomp.usage import usage_errors
from diffcomp.web.settings import DEFAULT_WARM_UP, ServeSettings, parse_sizes


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    command = commands.add_parser("serve", help="a page in the browser", description=__doc__)
    command.set_defaults(run=run)
    add, default = command.add_argument, ServeSettings
    add(
        "--model",
        default=DEFAULT_MODEL,
        help="shipped model or folder of an exported one (default: %(default)s)",
    )
    text = "who may see the page: an address of this machine (default: %(default)s, only itself)"
    add("--host", default=default.host, metavar="ADDRESS", help=text)
    add(
        "--port",
        type=int,
        default=default.port,
        metavar="N",
        help="0: any free one (default: %(default)s)",
    )
    text = f"refuse larger pictures, by their headers (default: %(default)s, most: {MAX_PIXELS})"
    add("--max-pixels", type=int, default=default.max_pixels, metavar="N", help=text)
    text = "refuse larger uploads, e.g. 64M (default: %(default)s)"
    add("--max-bytes", default=str(default.max_bytes), metavar="SIZE", help=text)
    text = "jobs that may wait for the one that runs; more are refused (default: %(default)s)"
    add("--queue", type=int, default=default.queue, metavar="N", help=text)
    text = "sizes of pictures whose programs are compiled before the page is up, or none"
    add(
        "--warm-up",
        default=DEFAULT_WARM_UP,
        metavar="SIZES",
        help=f"{text} (default: %(default)s)",
    )
    add_quiet(command)
    add_verbose(command)


def run(args: argparse.Namespace) -> None:
    """Serves until it is stopped; raises what `terminal.FAILURES` lists."""
    with usage_errors():
        settings = ServeSettings(
            model=args.model,
            host=args.host,
            port=args.port,
            max_pixels=args.max_pixels,
            max_bytes=int(parse_bytes(args.max_bytes)),
            queue=args.queue,
            warm_up=parse_sizes(args.warm_up),
        )
    from diffcomp.web.server import serve  # what refuses an option does not wait

    serve(settings, lambda text: say(args, text))
