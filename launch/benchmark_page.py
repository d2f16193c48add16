"""What the page adds to the codec: .venv-web/bin/python launch/benchmark_page.py [--image=FILE]

Serves the page from this process, and sends it the picture over HTTP as a browser does: upload,
job in the queue, result. The same picture goes through `codec.compress` and `decompress`, in turns.
Prints the least seconds of each and their ratio; what the first round compiles is left out.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from absl import app, flags

_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_IMAGE = flags.DEFINE_string("image", None, "Picture (default: make demo's, 512x512 pixels).")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds, of which the least counts.", 1)
_CLOCK = flags.DEFINE_enum("clock", "wall", list(_CLOCKS), "Time that passes, or of processors.")
_MODEL = flags.DEFINE_string("model", "base", "Shipped model or folder of an exported one.")

# What the page's sliders hand over: set by size, quality, kilobytes, realism, steps, gamma, seed.
SLIDERS = (False, 4.0, 20.0, 1.0, 1, 0.0, 0)


@contextmanager
def page(model: str) -> Iterator[str]:
    """The page on a free port of this machine: its address."""
    from diffcomp.web import server

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= server.ENVIRONMENT | {"GRADIO_TEMP_DIR": folder}
        import uvicorn

        from diffcomp import loaded_codecs
        from diffcomp.web.events import Events
        from diffcomp.web.settings import ServeSettings
        from diffcomp.web.visitors import Visitors

        settings = ServeSettings(model=model)
        events = Events(loaded_codecs.codec_of(model), settings, Visitors(Path(folder)))
        config = uvicorn.Config(server.application(events), port=0, log_level="error")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.05)
        port = running.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            running.should_exit = True
            thread.join(10)


def main(argv: list[str]) -> None:
    if len(argv) != 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    from diffcomp import loaded_codecs
    from diffcomp.demo import photograph_path

    path = _IMAGE.value or str(photograph_path())
    with page(_MODEL.value) as address:
        from gradio_client import Client, handle_file

        client = Client(address, verbose=False)
        codec = loaded_codecs.codec_of(_MODEL.value)

        def through_the_page() -> None:
            client.predict(handle_file(path), *SLIDERS, api_name="/compress")

        def in_the_process() -> None:
            codec.decompress(codec.compress(path, SLIDERS[1]))

        ways = {"in the process": in_the_process, "through the page": through_the_page}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_ROUNDS.value + 1):
            for name, way in ways.items():
                seconds[name].append(_timed(way))
    least = {name: min(found[1:]) for name, found in seconds.items()}
    for name, value in least.items():
        print(f"{name:18s}{value:8.2f} s")
    print(f"ratio             {least['through the page'] / least['in the process']:8.2f}")


def _timed(call: Callable[[], None]) -> float:
    started = _CLOCKS[_CLOCK.value]()
    call()
    return _CLOCKS[_CLOCK.value]() - started


if __name__ == "__main__":
    app.run(main)
