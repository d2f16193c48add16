"""A headless Chromium for tests, driven by its DevTools protocol over a WebSocket."""

import base64
import contextlib
import io
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import websocket
from PIL import Image

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(shutil.which, PROGRAMS), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--force-device-scale-factor=1", "--remote-debugging-port=0",
)  # fmt: skip
PATIENCE = 60  # seconds, on a busy machine


class Page:
    """The only tab."""

    def __init__(self, address: str):
        self._socket = websocket.create_connection(address, PATIENCE, suppress_origin=True)
        self._numbers = itertools.count(1)
        self.requests, self.faults = [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        self._socket.close()

    def call(self, method, **params):
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (message := self._receive()).get("id") != number:
            pass
        assert "error" not in message, message
        return message["result"]

    def _receive(self):
        message = json.loads(self._socket.recv())
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.faults.append(message["params"]["exceptionDetails"])
        elif message.get("method") == "Log.entryAdded":
            self.faults.append(message["params"]["entry"])
        return message

    def open(self, path):
        self.visit(Path(path).resolve().as_uri())

    def visit(self, address):
        self.call("Page.navigate", url=address)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def wait_for(self, expression):
        """A JavaScript expression's value, once it is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.value(expression)):
            text = self.value("document.body.innerText")
            assert time.monotonic() < end, f"{expression} never held; the page says:\n{text}"
            time.sleep(0.1)
        return value

    def wait_for_pictures(self, selector, count=1):
        """Until there are so many of a selector, all drawn.

        Gradio's are lazy: a browser fetches them once they are in the window, or near it.
        """
        pictures = f"[...document.querySelectorAll({json.dumps(selector)})]"
        for number in range(count):
            self.wait_for(f"{pictures}.length > {number}")
            self.value(f"{pictures}[{number}].scrollIntoView({{behavior: 'instant'}})")
            self.wait_for(f"{pictures}[{number}].complete && {pictures}[{number}].naturalWidth > 0")

    def box(self, selector):
        """Where the first element of a selector is in the window, scrolled to: a DOMRect."""
        return self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const r = e.getBoundingClientRect();"
            " return {x: r.x, y: r.y, width: r.width, height: r.height}; })()"
        )

    def click(self, selector):
        box = self.box(selector)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def drop(self, selector, path):
        """Drops a file, as from a folder's window."""
        box = self.box(selector)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def type(self, selector, text):
        """Replaces what stands in a field, and leaves it."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{field}.focus(), {field}.select()")
        self.call("Input.insertText", text=text)
        self.value(f"{field}.blur()")

    def resize(self, width, height, is_phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=is_phone,
        )  # fmt: skip

    def download_to(self, folder):
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def value(self, expression):
        """A JavaScript expression's value; what it returns must be what JSON can hold."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def mouse(self, kind, x, y, buttons=0):
        button = "left" if buttons or kind == "mouseReleased" else "none"
        self.call(
            "Input.dispatchMouseEvent",
            type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1,
        )  # fmt: skip

    def screenshot(self, box=None):
        """uint8 [H, W, 3]; `box` is a DOMRect of the window, as x, y, width, height."""
        clip = {}
        if box:
            left, top = self.value("[window.scrollX, window.scrollY]")
            box = {**box, "x": box["x"] + left, "y": box["y"] + top, "scale": 1}
            clip = {"clip": box}
        data = self.call("Page.captureScreenshot", format="png", **clip)["data"]
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.array(image.convert("RGB"))


@contextlib.contextmanager
def page(folder, width=1280, height=1000):
    """Starts Chromium with a new profile in `folder`; yields its `Page`."""
    flags = (*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}")
    browser = subprocess.Popen(
        [PROGRAM, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        tab = Page(_address(Path(folder) / "DevToolsActivePort"))
        try:
            yield tab
        finally:
            tab.close()
    finally:
        browser.terminate()
        browser.wait(PATIENCE)


def _address(port_file):
    """The tab's WebSocket, once the browser listens."""
    end = time.monotonic() + PATIENCE
    while not port_file.is_file() or not port_file.read_text().strip():
        assert time.monotonic() < end, "Chromium did not start"
        time.sleep(0.05)
    port = port_file.read_text().split()[0]
    # Without a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
        tabs = json.load(answer)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
