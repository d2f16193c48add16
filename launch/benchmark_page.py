"""What the page adds to the codec: .venv-web/bin/python launch/benchmark_page.py [--image=FILE]

Serves the page from this process, and sends it the picture over HTTP as a browser does: upload,
job in the queue, result, and the two pictures that the page then shows. The same picture goes
through `codec.compress` and `decompress`, in turns. Prints the least seconds of each and their
ratio; what the first round compiles is left out. (Gradio's own client would add a fifth of a second
of its own: it makes a TLS context for each of its requests, and fetches files twice.)
"""

import http.client
import json
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
SHOWN = 2  # pictures of the page's answer that a browser fetches


@contextmanager
def page(model: str) -> Iterator[int]:
    """The page on a free port of this machine: the port."""
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
            yield port
        finally:
            running.should_exit = True
            thread.join(10)


def main(argv: list[str]) -> None:
    if len(argv) != 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    from diffcomp import loaded_codecs
    from diffcomp.demo import photograph_path

    path = Path(_IMAGE.value or photograph_path())
    with page(_MODEL.value) as port:
        codec = loaded_codecs.codec_of(_MODEL.value)

        def through_the_page() -> None:
            _visit(port, path)

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


def _visit(port: int, path: Path) -> None:
    """Drops a picture on the page, and fetches what it then shows."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def answer(method: str, address: str, body: bytes = b"", kind: str = "text/plain") -> bytes:
        connection.request(method, f"/gradio_api/{address}", body, {"Content-Type": kind})
        response = connection.getresponse()
        data = response.read()
        if response.status != http.HTTPStatus.OK:
            raise SystemExit(f"{address}: the page answers {response.status}, {data[:200]!r}")
        return data

    form = (
        b'--X\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\n%b\r\n--X--\r\n'
        % (path.name.encode(), path.read_bytes())
    )
    (upload,) = json.loads(answer("POST", "upload", form, "multipart/form-data; boundary=X"))
    file = {"path": upload, "meta": {"_type": "gradio.FileData"}}
    job = json.dumps({"data": [file, *SLIDERS]}).encode()
    number = json.loads(answer("POST", "call/compress", job, "application/json"))["event_id"]
    events = answer("GET", f"call/compress/{number}").decode()
    name, _, data = events.rpartition("event: ")[2].partition("\ndata: ")
    pictures = json.loads(data)[0] if name == "complete" else None
    if not pictures:
        raise SystemExit(f"the page gave no picture: {events[-500:]}")
    for picture in pictures[:SHOWN]:
        answer("GET", f"file={picture['path']}")
    connection.close()


def _timed(call: Callable[[], None]) -> float:
    started = _CLOCKS[_CLOCK.value]()
    call()
    return _CLOCKS[_CLOCK.value]() - started


if __name__ == "__main__":
    app.run(main)
