"""Screenshots of the page: .venv-web/bin/python docs/make_screenshots.py

Writes docs/pictures/page.webp and page_phone.webp: `diffcomp serve` with the photograph of
`make demo`, in headless Chromium, driven as the tests drive it.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import skimage.data
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import chromium  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
# Name, width and first height of the window, whether it is a phone.
WINDOWS = (("page", 1280, 700, False), ("page_phone", 390, 700, True))
READY = "document.querySelector('#picture input[type=file]') !== null"
CODED = "document.querySelector('#lines')?.innerText.includes('bytes')"
COMPARED = "document.querySelector('#avif_lines')?.innerText.includes('AVIF')"
PLOTTED = "document.querySelectorAll('#plot circle').length >= 2"
SHOWN = "#coded img, #avif img"
SETTLED = 1.0  # seconds of animations
chromium.PATIENCE = 600  # seconds, on a machine that does other things too


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serving() as address:
        photograph = Path(folder) / "astronaut.png"
        Image.fromarray(skimage.data.astronaut()).save(photograph)
        with chromium.page(Path(folder) / "profile") as page:
            for name, width, height, is_phone in WINDOWS:
                page.resize(width, height, is_phone)
                show(page, address, photograph)
                # All of the page, whatever its height.
                height = page.value("document.documentElement.scrollHeight")
                page.resize(width, height, is_phone)
                time.sleep(SETTLED)
                path = PICTURES / f"{name}.webp"
                Image.fromarray(page.screenshot()).save(path, quality=85, method=6)
                print(f"{path.name}: {path.stat().st_size} bytes")


def show(page: chromium.Page, address: str, photograph: Path) -> None:
    """Drops the photograph, and waits for all that comes of it."""
    page.visit(address)
    page.wait_for(READY)
    time.sleep(SETTLED)
    page.drop("#picture", photograph)
    for condition in (CODED, COMPARED, PLOTTED):
        page.wait_for(condition)
    page.wait_for_pictures(SHOWN, count=4)
    page.value("window.scrollTo(0, 0)")
    time.sleep(SETTLED)


@contextmanager
def serving() -> Iterator[str]:
    """`diffcomp serve` on a free port: its address."""
    command = [sys.executable, "-m", "diffcomp", "serve", "--port", "0", "--warm-up", "512x512"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            for line in server.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                    yield found[0]
                    return
            raise SystemExit("the page did not start")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
