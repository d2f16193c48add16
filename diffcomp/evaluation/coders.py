"""What is measured: anything that turns an image into bytes, at several qualities, and back."""

import dataclasses
import threading
import zlib
from collections.abc import Callable, Sequence

import jax
import numpy as np

from diffcomp import codec

Encode = Callable[[np.ndarray, float], bytes]
Decode = Callable[[bytes], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Coder:
    """One line of a table: a codec with all its settings but the quality."""

    name: str  # e.g. "jpeg", "base", "base r=0"
    settings: str  # all that its bytes and pictures depend on; another text is another coder
    qualities: tuple[float, ...]
    encode: Encode  # uint8 [H, W, 3], quality -> the whole file
    decode: Decode  # -> uint8 [H, W, 3]
    suffix: str  # of its files
    is_model: bool
    # What compiles a program of its own: the first call of each is not timed. None: nothing does.
    program: Callable[[int, int], object] = lambda height, width: None
    warm: set = dataclasses.field(default_factory=set, compare=False)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, compare=False)

    def warm_up(self, image: np.ndarray) -> None:
        """Compiles what an image of this size needs, unless that is done."""
        program = self.program(*image.shape[:2])
        with self.lock:
            if program is not None and program not in self.warm:
                self.decode(self.encode(image, self.qualities[0]))
                self.warm.add(program)


def model_coders(
    model: str, qualities: Sequence[float], realisms: Sequence[float], steps: int, seed: int
) -> list[Coder]:
    """A coder for each realism of a shipped model, or of the folder of an exported one.

    Named after the model, with " r=0" and the like unless the realism is 1. `steps` of 0 leaves
    the number of calls of the score network to the decoder. Raises ModelError for a model that
    cannot be read, ValueError for a realism, quality or number of steps out of its range.
    """
    loaded = codec.load(model)
    options = {"steps": steps} if steps else {}
    coders = []
    for realism in realisms:
        chosen = codec.check_settings(
            codec.DecodeSettings(**options, realism=float(realism), seed=seed)
        )
        for quality in qualities:
            codec.quality_to_code(quality)
        settings = ", ".join(f"{name} {value:g}" for name, value in chosen._asdict().items())
        weights = fingerprint(loaded.model.params)
        coding = loaded.model.coder.fingerprint
        coders.append(
            Coder(
                name=loaded.model.name + ("" if realism == 1 else f" r={realism:g}"),
                settings=f"coding part {coding:08x}, weights {weights:08x}, {settings}",
                qualities=tuple(qualities),
                encode=loaded.compress,
                decode=_decoder(loaded, options | {"realism": float(realism), "seed": seed}),
                suffix=".dfc",
                is_model=True,
                program=lambda height, width: (codec.bucket(height), codec.bucket(width)),
            )
        )
    return coders


def _decoder(loaded: codec.Codec, options: dict[str, float]) -> Decode:
    return lambda data: loaded.decompress(data, **options)


def fingerprint(params: dict) -> int:
    """CRC-32 of the weights: the coding part's fingerprint says nothing of the decoder's floats."""
    crc = 0
    for path in sorted(params):
        crc = zlib.crc32(path.encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(jax.device_get(params[path])).tobytes(), crc)
    return crc
