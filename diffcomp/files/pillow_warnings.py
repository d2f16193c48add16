"""What Pillow warns of while it reads a file, as a note on that picture.

Python's warnings are of the whole process, and pictures are read by several threads: what shows
warnings is replaced while any thread reads, and each hears what was said in it alone.
"""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

LONGEST = 160  # characters of a warning in a note

# What it logs, of files that it then refuses, Python would show where nobody listens to it.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Where warnings of Pillow and of its plug-ins come from.
_MODULES = r"(PIL|pillow_heif|pillow_jxl)\b"
_heard = threading.local()  # .messages: a list while the thread reads
_lock = threading.Lock()
_reading = contextlib.ExitStack()  # restores what was there before the first of the threads
_threads = 0


@contextlib.contextmanager
def as_note(notes: list[str]) -> Iterator[None]:
    """Adds a note if Pillow warns within the block: the first warning, and how many others."""
    _heard.messages = messages = []
    _enter()
    try:
        yield
    finally:
        _leave()
        _heard.messages = None
        found = list(dict.fromkeys(messages))
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            notes.append(f"Pillow warns: {found[0]}{more}")


def _enter() -> None:
    global _threads
    with _lock:
        if not _threads:
            _reading.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("always", module=_MODULES)
            warnings.showwarning = _shown(warnings.showwarning)
        _threads += 1


def _leave() -> None:
    global _threads
    with _lock:
        _threads -= 1
        if not _threads:
            _reading.close()


def _shown(otherwise: Any) -> Any:
    def show(message: Warning, category: type, filename: str, *args: Any, **kwargs: Any) -> None:
        messages = getattr(_heard, "messages", None)
        if messages is None or ("PIL" not in filename and "pillow" not in filename):
            otherwise(message, category, filename, *args, **kwargs)
        else:
            words = " ".join(str(message).split())
            messages.append("".join(c for c in words if c.isprintable())[:LONGEST].rstrip(". "))

    return show
