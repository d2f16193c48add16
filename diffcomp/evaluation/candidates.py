"""What is measured: anything that turns an image into bytes, at several qualities, and back."""

import dataclasses
import itertools
import threading
import zlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from diffcomp import codec
from diffcomp.coding.quality import quality_to_code
from diffcomp.decode_settings import DecodeSettings

# What a figure depends on of the way to decode, in the order in which it is stated.
OPTIONS = ("steps", "gamma", "eta", "realism", "seed")

Encode = Callable[[np.ndarray, float | None], bytes]
Decode = Callable[[bytes], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One line of a table: a codec with all its settings but the quality."""

    name: str  # e.g. "jpeg", "base", "base r=0"
    settings: str  # all that its bytes and pictures depend on; another text is another candidate
    qualities: tuple[float | None, ...]  # None: of a single rate
    encode: Encode  # uint8 [H, W, 3], quality -> the whole file
    decode: Decode  # -> uint8 [H, W, 3]
    suffix: str  # of its files
    is_model: bool
    # Candidates of equal `files` write the same ones and decode them the same way up to what `read`
    # gives, of which `draw` makes the picture. None: no other candidate does.
    files: Hashable = None
    read: Callable[[bytes], Any] = bytes
    draw: Callable[[Any], np.ndarray] | None = None  # `decode` if None
    tuned_on: tuple[str, ...] = ()  # protocols with pictures of which it was trained or tuned
    metrics: tuple[str, ...] | None = None  # that it is judged by, of those asked for; None: all
    # What compiles a program of its own: the first call of each is not timed. None: nothing does.
    program: Callable[[int, int], object] = lambda height, width: None
    warm: set = dataclasses.field(default_factory=set, compare=False)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, compare=False)

    def judged_by(self, names: Sequence[str]) -> list[str]:
        """Those of the metrics that count for this candidate."""
        return [name for name in names if self.metrics is None or name in self.metrics]

    def warm_up(self, image: np.ndarray) -> None:
        """Compiles what an image of this size needs, unless that is done."""
        program = self.program(*image.shape[:2])
        with self.lock:
            if program is not None and program not in self.warm:
                self.decode(self.encode(image, self.qualities[0]))
                self.warm.add(program)


def model_candidates(
    model: str,
    qualities: Sequence[float],
    realisms: Sequence[float] = (1.0,),
    steps: Sequence[int] = (),
    gammas: Sequence[float] = (),
    seed: int = 0,
    realism_0_metrics: Sequence[str] = (),
) -> list[Candidate]:
    """A candidate for each way of decoding a shipped model's files, or an exported one's folder.

    The ways are all combinations of `realisms`, `steps` and `gammas`; an empty list leaves the
    option to the model. Candidates are named after the model, with " r=0" and the like unless the
    realism is 1, and " steps=4" or " gamma=0.4" where several are compared. A model of one rate
    has no realism, and the quality None. `realism_0_metrics` are those that count at realism 0; all
    if there are none.

    Raises ModelError for a model that cannot be read, ValueError for an option out of its range.
    """
    loaded = codec.load(model)
    if loaded.one_rate:
        qualities, realisms = (None,), ()
    for quality in qualities:
        if quality is not None:
            quality_to_code(quality)
    given = {"realism": realisms, "steps": steps, "gamma": gammas}
    given = {option: values for option, values in given.items() if values}
    compared = [option for option in ("steps", "gamma") if len(given.get(option, ())) > 1]
    weights = weights_crc(loaded.model.params)  # of all of them: once, not per candidate
    candidates = []
    for values in itertools.product(*given.values()):
        options = dict(zip(given, values, strict=True))
        name = loaded.model.name
        if options.get("realism", 1) != 1:
            name += f" r={options['realism']:g}"
        name += "".join(f" {option}={options[option]:g}" for option in compared)
        settings = DecodeSettings(**options, seed=seed)
        candidate = _model_candidate(loaded, weights, name, qualities, settings)
        if options.get("realism") == 0 and realism_0_metrics:
            candidate = dataclasses.replace(candidate, metrics=tuple(realism_0_metrics))
        candidates.append(candidate)
    return candidates


def _model_candidate(
    loaded: codec.Codec,
    weights: int,
    name: str,
    qualities: Sequence[float | None],
    settings: DecodeSettings,
) -> Candidate:
    filled = vars(loaded.decode_settings(settings))
    coding = loaded.model.coder.fingerprint
    options = [name for name in OPTIONS if name != "realism" or not loaded.one_rate]
    stated = ", ".join(f"{option} {filled[option]:g}" for option in options)
    return Candidate(
        name=name,
        settings=f"coding part {coding:08x}, weights {weights:08x}, {stated}",
        qualities=tuple(qualities),
        encode=loaded.compress,
        decode=lambda data: loaded.decode(data, settings),
        suffix=".dfc",
        is_model=True,
        tuned_on=tuned_on(loaded.model.card),
        files=(loaded.model.name, coding, weights),
        read=loaded.read,
        draw=lambda content: loaded.draw(content, settings),
        program=loaded.networks.padded_size,
    )


def tuned_on(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The protocols that a card names as `tuned_on`; raises ValueError for another thing."""
    names = card.get("tuned_on", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the card's tuned_on is {names!r}; it must be a list of protocols.")
    return tuple(names)


def weights_crc(params: dict) -> int:
    """CRC-32 of the weights: the coding part's fingerprint says nothing of the decoder's floats."""
    crc = 0
    for path in sorted(params):
        crc = zlib.crc32(path.encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(jax.device_get(params[path])).tobytes(), crc)
    return crc
