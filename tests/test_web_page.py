"""The page in a browser, as visitors meet it: a server of its own, with the tiny model."""

import base64
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

pytest.importorskip("gradio", reason="Gradio comes with requirements-web.lock: make test-web")
chromium = pytest.importorskip("chromium", reason="websocket-client is not installed")
if chromium.PROGRAM is None:
    pytest.skip("no Chromium on the PATH: apt-get install chromium", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES, MAX_PIXELS = 200_000, 20_000
LINES, AVIF_LINES = "#lines", "#avif_lines"


@contextlib.contextmanager
def serving(folder):
    """`diffcomp serve` on a free port: its process, address, and the folder of its files."""
    files, log = folder / "tmp", folder / "log"
    files.mkdir()
    command = [sys.executable, "-m", "diffcomp", "serve", "--model", str(tiny_model.MODEL)]
    command += ["--port", "0", "--max-bytes", str(MAX_BYTES), "--max-pixels", str(MAX_PIXELS)]
    command += ["--warm-up", "101x75"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(files)}
    with log.open("w") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as server:
        try:
            while not (found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())):
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield server, found[0], files
        finally:
            server.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("site")) as (_, address, files):
        yield address, files


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, site):
    """The page, as it comes up."""
    browser.resize(1280, 1000)
    visit(browser, site[0])
    yield browser
    assert browser.faults == []
    hosts = {u.split("/")[2] for u in browser.requests if not u.startswith(("data:", "blob:"))}
    assert hosts <= {site[0].split("/")[2], ""}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a face.png"
    Image.fromarray(tiny_model.image()).save(path)
    return path


def visit(browser, address):
    browser.visit(address)
    browser.wait_for("document.querySelector('#compress') !== null")
    # Until Gradio's parts listen, they ignore what is dropped.
    browser.wait_for("document.querySelector('#picture input[type=file]') !== null")


def drop(browser, selector, path):
    """Drops a file, again if the page was still moving: what misses the field is not taken."""
    end = time.monotonic() + chromium.PATIENCE
    empty = f"document.querySelector({selector!r}).innerText.includes('- or -')"
    browser.drop(selector, path)
    time.sleep(0.5)
    while browser.value(empty):
        assert time.monotonic() < end
        browser.drop(selector, path)
        time.sleep(1)


def text_of(browser, selector, words):
    """What stands there, once it has the words."""
    browser.wait_for(f"document.querySelector({selector!r})?.innerText.includes({words!r})")
    return browser.value(f"document.querySelector({selector!r}).innerText")


def coded(browser):
    """Bytes that the page says of the codec and of AVIF, once it does."""
    text_of(browser, AVIF_LINES, "AVIF")
    text = text_of(browser, LINES, "bytes")
    return int(re.search(r"([\d,]+) bytes", text)[1].replace(",", ""))


def shown(browser, selector):
    """The pictures there, as the server has sent them."""
    browser.wait_for_pictures(f"{selector} img")
    files = browser.value(
        f"Promise.all([...document.querySelectorAll('{selector} img')].map(async i => {{"
        " const bytes = new Uint8Array(await (await fetch(i.src)).arrayBuffer());"
        " return btoa(bytes.reduce((s, b) => s + String.fromCharCode(b), '')); }))"
    )
    return [np.array(Image.open(io.BytesIO(base64.b64decode(f))).convert("RGB")) for f in files]


def downloaded(browser, folder, selector):
    browser.download_to(folder)
    browser.click(selector)
    end = time.monotonic() + chromium.PATIENCE
    while not (found := [p for p in folder.iterdir() if p.suffix in (".dfc", ".png")]):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found[0]


def visitors_files(files):
    return [p for p in files.rglob("*") if p.is_file() and p.stat().st_size]


def test_a_dropped_picture_is_coded_shown_and_downloaded(page, picture, tmp_path):
    drop(page, "#picture", picture)
    size = coded(page)
    original, decoded = shown(page, "#coded")
    file = downloaded(page, tmp_path, "#dfc")
    assert file.name == "a face.dfc"
    data = file.read_bytes()
    assert len(data) == size
    assert np.array_equal(original, tiny_model.image())
    assert np.array_equal(decoded, tiny_model.codec().decompress(data))
    file.unlink()
    with Image.open(downloaded(page, tmp_path, "#png")) as image:
        assert np.array_equal(np.array(image), decoded)


def test_the_divider_shows_the_original_on_the_left(page, picture):
    drop(page, "#picture", picture)
    coded(page)
    sides = shown(page, "#coded")
    box = page.box("#coded img")
    size = round(box["width"]), round(box["height"])
    scaled = [np.array(Image.fromarray(s).resize(size, Image.Resampling.BILINEAR)) for s in sides]

    def nearest(left, right):
        """Which picture the window shows between two shares of the width: 0 or 1."""
        seen = page.screenshot(box | dict(zip(("width", "height"), size, strict=True)))
        # Without the label at the top and the handle in the middle.
        part = np.s_[size[1] // 5 : size[1] * 2 // 5, int(left * size[0]) : int(right * size[0])]
        return int(np.argmin([np.abs(seen[part] - s[part].astype(int)).mean() for s in scaled]))

    assert (nearest(0.05, 0.45), nearest(0.55, 0.95)) == (0, 1)
    y, x = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    page.mouse("mousePressed", x, y, 1)
    for share in (0.4, 0.3, 0.2):
        page.mouse("mouseMoved", box["x"] + share * box["width"], y, 1)
    page.mouse("mouseReleased", box["x"] + 0.2 * box["width"], y)
    page.wait_for("document.querySelector('#coded img.fixed').style.clipPath.includes('20')")
    assert (nearest(0.02, 0.18), nearest(0.25, 0.45), nearest(0.55, 0.95)) == (0, 1, 1)


def test_moved_sliders_give_another_file(page, picture):
    drop(page, "#picture", picture)
    first = coded(page)
    page.type("#quality input[type=number]", "7.5")
    page.click("#compress")
    assert "quality 7.5" in text_of(page, LINES, "quality 7.5")
    better = coded(page)
    assert better > first
    page.click("#by_size label:nth-of-type(2)")
    page.wait_for("document.querySelector('#kilobytes input[type=number]') !== null")
    kilobytes = (first + better) // 1000 / 2
    page.type("#kilobytes input[type=number]", f"{max(kilobytes, 1)}")
    page.click("#compress")
    page.wait_for(f"!document.querySelector('{LINES}').innerText.includes('quality 7.5')")
    assert coded(page) <= max(kilobytes, 1) * 1000
    # A point for each of them that is another.
    page.wait_for("document.querySelectorAll('#plot circle').length >= 2")


def test_what_is_refused_says_why(page, picture, tmp_path):
    drop(page, "#picture", picture)
    coded(page)
    text = tmp_path / "text.png"
    text.write_text("not a picture <script>alert(1)</script>\n" * 20)
    forged = bytearray(picture.read_bytes())
    forged[16:24] = (50000).to_bytes(4, "big") * 2
    forged[29:33] = zlib.crc32(forged[12:29]).to_bytes(4, "big")
    (tmp_path / "forged.png").write_bytes(forged)
    for name, reason in (("text.png", "is not a picture"), ("forged.png", "is too large")):
        visit(page, page.value("location.href"))
        drop(page, "#picture", tmp_path / name)
        assert "the file" in text_of(page, LINES, reason)
        assert page.value("document.querySelectorAll('#coded img').length") == 0


def test_too_many_bytes_are_not_taken(page, site, tmp_path):
    (tmp_path / "large.png").write_bytes(os.urandom(MAX_BYTES + 1))
    page.drop("#picture", tmp_path / "large.png")
    page.wait_for("document.body.innerText.includes('maximum allowed size')")
    assert page.value("document.querySelectorAll('#coded img').length") == 0
    # The browser has said so already; the server does not trust it.
    status = page.value(
        "(async () => { const form = new FormData();"
        f" form.append('files', new Blob([new Uint8Array({MAX_BYTES + 1})]), 'a.png');"
        " return (await fetch('gradio_api/upload', {method: 'POST', body: form})).status; })()"
    )
    assert status == 413
    # Chromium logs that answer as a fault.
    page.faults = [fault for fault in page.faults if "413" not in fault.get("text", "")]


def test_a_file_is_decoded_and_a_damaged_one_refused(page, tmp_path):
    page.value("[...document.querySelectorAll('button[role=tab]')][1].click()")
    page.wait_for("document.querySelector('#dfc_file input[type=file]') !== null")
    drop(page, "#dfc_file", tiny_model.FILE)
    assert "101 x 75 pixels" in text_of(page, "#decoded_lines", "bytes")
    (decoded,) = shown(page, "#decoded")
    data = tiny_model.FILE.read_bytes()
    assert np.array_equal(decoded, tiny_model.codec().decompress(data))
    damaged = bytearray(data)
    damaged[9] ^= 1  # the width
    (tmp_path / "damaged.dfc").write_bytes(damaged)
    page.value("document.querySelector('#dfc_file button[aria-label=Clear]')?.click()")
    page.wait_for("document.querySelector('#dfc_file input[type=file]') !== null")
    drop(page, "#dfc_file", tmp_path / "damaged.dfc")
    text_of(page, "#decoded_lines", "the file is damaged")
    assert page.value("document.querySelectorAll('#decoded img').length") == 0


def test_on_a_phone_nothing_stands_beside_the_window(page, picture):
    width = "document.documentElement.scrollWidth"
    drop(page, "#picture", picture)
    coded(page)
    page.wait_for("document.querySelector('#plot svg') !== null")
    page.resize(390, 844, is_phone=True)
    page.wait_for(f"{width} <= 390 && innerWidth === 390")
    visit(page, page.value("location.href"))
    drop(page, "#picture", picture)
    coded(page)
    assert page.value(f"[{width}, innerWidth]") == [390, 390]


def test_two_visitors_at_once_and_nothing_stays(browser, site, picture, tmp_path):
    address, files = site
    browser.visit("about:blank")  # the visitor of the tests before leaves
    other = tmp_path / "other.png"
    Image.fromarray(tiny_model.image()[::-1]).save(other)
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(chromium.page(tmp_path / name)) for name in "ab"]
        for page in pages:
            visit(page, address)
        for page, path in zip(pages, (picture, other), strict=True):
            drop(page, "#picture", path)
        for page, flip in zip(pages, (1, -1), strict=True):
            coded(page)
            assert np.array_equal(shown(page, "#coded")[0], tiny_model.image()[::flip])
        assert len(visitors_files(files)) >= 2 * len(("upload", "original", "decoded", "dfc"))
        pages[0].visit("about:blank")
        end = time.monotonic() + chromium.PATIENCE
        while [p for p in visitors_files(files) if p.name.startswith("a face")]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert [p for p in visitors_files(files) if p.name.startswith("other")]


def test_the_end_of_the_server_leaves_nothing(browser, picture, tmp_path):
    with serving(tmp_path) as (server, address, files):
        visit(browser, address)
        drop(browser, "#picture", picture)
        text_of(browser, LINES, "bytes")
        assert visitors_files(files)
        server.send_signal(signal.SIGTERM)
        assert server.wait(chromium.PATIENCE) == 0
    assert list(files.iterdir()) == []
    assert (tmp_path / "log").read_text().endswith("stopped\n")
