"""What visitors have on this machine, and that it goes when they do."""

import contextlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# Seconds: what has lain in the folder itself for so long belongs to no upload that still comes in.
STRAY = 60

log = logging.getLogger(__name__)


class Visitors:
    """Uploads, results and running jobs of each visitor, in one folder that the server removes.

    A visitor is known by the name of a session, which the browser makes up; it never becomes part
    of a path. Two who upload the same bytes share Gradio's file of them, which goes with the last.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._results: dict[str, Path] = {}
        self._uploads: dict[Path, set[str]] = {}
        self._cancelled: dict[str, threading.Event] = {}

    def keep_upload(self, visitor: str, path: Path) -> None:
        """Says that a file is this visitor's, too, and must be removed with them."""
        with self._lock:
            self._uploads.setdefault(path, set()).add(visitor)

    def drop_uploads(self, visitor: str) -> None:
        """Removes what this visitor, and no other, has uploaded."""
        with self._lock:
            for path, owners in list(self._uploads.items()):
                owners.discard(visitor)
                if not owners:
                    del self._uploads[path]
                    _remove_upload(path)

    def new_folder(self, visitor: str, name: str) -> Path:
        """An empty folder for results of a kind; those before it, of this kind, are removed."""
        with self._lock:
            if visitor not in self._results:
                self._results[visitor] = Path(tempfile.mkdtemp(dir=self._folder))
            parent = self._results[visitor] / name
            shutil.rmtree(parent, ignore_errors=True)
            parent.mkdir()
            # Another name each time: a browser keeps what it has read from an address.
            return Path(tempfile.mkdtemp(dir=parent))

    def cancelled(self, visitor: str) -> threading.Event:
        """Is set when the jobs that run now are to stop."""
        with self._lock:
            return self._cancelled.setdefault(visitor, threading.Event())

    def cancel(self, visitor: str) -> None:
        """Stops the jobs of this visitor that run now, not those to come."""
        with self._lock:
            event = self._cancelled.pop(visitor, None)
        if event:
            event.set()

    def leave(self, visitor: str) -> None:
        """Stops the visitor's jobs and removes what they have here."""
        self.cancel(visitor)
        self.drop_uploads(visitor)
        with self._lock:
            folder = self._results.pop(visitor, None)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        log.info("a visitor has left; their files are removed")

    def sweep(self) -> None:
        """Removes what Gradio leaves in the folder itself: uploads cut off, or over the limit."""
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if path.is_file() and time.time() - path.stat().st_mtime > STRAY:
                    path.unlink()

    @contextlib.contextmanager
    def swept(self) -> Iterator[None]:
        """A block beside which `sweep` runs every STRAY seconds; its end stops all jobs."""
        ended = threading.Event()

        def sweep_on() -> None:
            while not ended.wait(STRAY):
                self.sweep()

        thread = threading.Thread(target=sweep_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.cancel_all()

    def cancel_all(self) -> None:
        """Stops every job: the server ends."""
        for visitor in list(self._cancelled):
            self.cancel(visitor)


def _remove_upload(path: Path) -> None:
    """The file, and the folder around it, whose name is the digest of the file."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # holds the same bytes under another name
        path.parent.rmdir()
