"""The codecs of a process, each loaded once; JAX is imported with the first."""

import functools
import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffcomp.codec import Codec

log = logging.getLogger(__name__)

_loading = threading.Lock()


def codec_of(model: str) -> "Codec":
    """The codec of a shipped model's name or an exported one's folder, however many threads ask.

    Raises ModelError as `codec.load`.
    """
    with _loading:
        return _load(model)


@functools.cache
def _load(model: str) -> "Codec":
    # Late: what only reads, lists or refuses does not wait for JAX.
    from diffcomp import codec

    log.info("JAX is imported")
    return codec.load(model)
