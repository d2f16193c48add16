"""The page over HTTP, from start to end."""

import importlib.util
import ipaddress
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffcomp import loaded_codecs
from diffcomp.web.settings import ServeSettings
from diffcomp.web.visitors import Visitors
from diffcomp.web.warm_up import warm_up

if TYPE_CHECKING:
    from diffcomp.web.events import Events

# A browser fetches nothing from elsewhere, whatever a library's page asks for. Gradio's page has
# scripts and styles in it, and its HTML parts are templates that the browser compiles.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'"
)
# Seconds for answers under way when the server ends: every open page keeps a connection.
GRACE = 2
# Read by Gradio, and by what it loads, when they are imported.
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
ENDS = ("SIGTERM", "SIGHUP")  # beside Ctrl-C


def serve(settings: ServeSettings, say: Callable[[str], None]) -> None:
    """Shows the page until it is stopped: Ctrl-C, SIGTERM, SIGHUP. Nothing of a visitor stays.

    `say` gets lines for whoever started it. Raises ImportError without Gradio, OSError for a port
    that is taken, ModelError.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ImportError("the page needs Gradio: pip install 'diffcomp[web]'.")
    with (
        _stopped_by_signals(say),
        _listening(settings) as listener,
        tempfile.TemporaryDirectory(prefix="diffcomp-serve-", ignore_cleanup_errors=True) as folder,
    ):
        visitors = Visitors(Path(folder))
        os.environ |= ENVIRONMENT | {"GRADIO_TEMP_DIR": folder}
        codec = loaded_codecs.codec_of(settings.model)
        from diffcomp.web.events import Events  # with Gradio, which takes seconds

        events = Events(codec, settings, visitors)
        warm_up(codec, settings, events.pace, say)
        if not _is_loopback(settings.host):
            say(f"everyone who reaches {settings.host} can use this page: it asks for no password")
        listener.listen()  # or whoever goes there at once may be refused
        say(f"the page is at http://{_in_address(settings.host)}:{listener.getsockname()[1]}/")
        with visitors.swept():
            _run(events, listener)


def _run(events: "Events", listener: socket.socket) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """Jobs stop with the server, not after it."""

        def handle_exit(self, *args: Any) -> None:
            events.visitors.cancel_all()
            super().handle_exit(*args)

    config = uvicorn.Config(
        application(events), log_level="critical", timeout_graceful_shutdown=GRACE
    )
    Server(config).run(sockets=[listener])


def application(events: "Events") -> Callable:
    """The page as an ASGI application."""
    import fastapi
    import gradio as gr

    from diffcomp.web import page, plot

    settings = events.settings
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        page.build(events),
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=settings.max_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=page.theme(),
        css=page.CSS + plot.STYLE,
    )
    return _with_policy(app)


def _with_policy(app: Callable) -> Callable:
    """The application, with POLICY in the head of each answer."""
    headers = [
        (b"content-security-policy", POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]

    async def answer(scope: dict, receive: Callable, send: Callable) -> None:
        async def send_with_policy(message: dict) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        await app(scope, receive, send_with_policy)

    return answer


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """The port, taken before the warm-up: who is refused it need not wait."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with listener:
            listener.bind(address)
            yield listener
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{settings.host}, port {settings.port}: {reason}.") from error


@contextmanager
def _stopped_by_signals(say: Callable[[str], None]) -> Iterator[None]:
    """Ends the block at Ctrl-C or one of ENDS, cleaning up; a signal that is ignored stays so."""

    def end(*args: Any) -> None:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ENDS if hasattr(signal, name)]
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        say("stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
