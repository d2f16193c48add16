"""Exported programs beside the networks that they were made of, stage by stage.

Loads Flax and the networks.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from diffcomp import codec_programs, network_programs
from diffcomp.codec import Codec
from diffcomp.codec_networks import CodecNetworks
from diffcomp.coding.latent_coder import Streams
from diffcomp.coding.quality import DEFAULT_QUALITY, ONE_RATE_CODE, quality_to_code
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export.exported_model import ExportedModel
from diffcomp.exported_programs.networks import ProgramNetworks

# Of the largest value of a map: some hundred roundings of float32. Programs that are compiled alike
# differ by nothing at all; other releases and devices fuse and round otherwise.
SHARE = 1e-4
LEVELS = 1  # of 255, in the picture
ANY = (192, 320)  # the size at which those of any size are compared
SETTINGS = DecodeSettings(  # with nothing switched off
    steps=2, gamma=0.5, eta=0.5, realism=0.5, seed=1, compute_dtype="float32"
)


class StageError(NamedTuple):
    """How far the programs' result of one stage is from the networks'."""

    size: str
    stage: str
    error: float  # the largest
    largest: float  # of the networks' values
    bound: float

    @property
    def within(self) -> bool:
        return bool(self.error <= self.bound)  # not so of a NaN


def compare(codec: Codec, source: ExportedModel) -> Iterator[StageError]:
    """Each stage at each size that `codec`, of `loading.load`, has programs for.

    The stages get the same inputs: the networks' own results of the stage before. "bits" is the
    number of bytes of z and y that differ, of so many.
    """
    networks = codec.networks
    assert isinstance(networks, ProgramNetworks)
    for tile in networks.programs.manifest.sizes():
        if tile or networks.programs.any_size:
            yield from _compare_size(networks, CodecNetworks(source), (tile, tile) if tile else ANY)


def _compare_size(
    networks: ProgramNetworks, source: CodecNetworks, size: tuple[int, int]
) -> Iterator[StageError]:
    row = functools.partial(_row, f"{size[1]}x{size[0]}")
    image, run = picture_of(*size), networks.programs.run
    code = ONE_RATE_CODE if source.model.architecture.one_rate else quality_to_code(DEFAULT_QUALITY)
    quality = np.float32(DEFAULT_QUALITY)
    found = run("encode", size, networks.encode_params, image, quality)
    wanted = _network(source, "encode")(source.encode_params, image, quality)
    for name, pair in zip("yz", zip(found, wanted, strict=True), strict=True):
        yield row(name, *pair)
    streams = [
        model.coder.encode(*map(np.asarray, latents), code)
        for model, latents in ((networks.model, found), (source.model, wanted))
    ]
    count = len(streams[1].z_stream) + len(streams[1].y_stream)
    yield StageError(f"{size[1]}x{size[0]}", "bits", _different_bytes(*streams), count, 0)

    y_hat = source.model.coder.decode(streams[1], wanted[0].shape[:2], code)
    sampling = networks.sampling(quality, SETTINGS)
    maps = _network(source, "context")(source.decode_params, y_hat, quality)
    for number, pair in enumerate(zip(sampling.context(y_hat), maps, strict=True)):
        yield row(f"context {number}", *pair)
    x_t = np.asarray(sampling.starting_noise((0, 0), size))
    knobs = quality, np.float32(SETTINGS.realism), np.float32(SETTINGS.eta)
    step = (
        source.decode_params,
        x_t,
        maps,
        sampling.levels[0],
        knobs,
        sampling.fresh_noise(0, (0, 0), size),
    )
    yield row("denoise step", sampling.step(0, x_t, maps), _network(source, "denoise_step")(*step))
    picture = codec_programs.synthesize(
        source.model.config, source.decode_params, y_hat, DEFAULT_QUALITY, SETTINGS
    )
    yield row("picture", sampling.whole(y_hat), picture)._replace(bound=LEVELS)


def _network(source: CodecNetworks, function: str) -> Callable[..., Any]:
    return jax.jit(functools.partial(getattr(network_programs, function), source.model.config))


def _row(size: str, stage: str, found: Any, wanted: Any) -> StageError:
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    largest = float(np.abs(wanted).max())
    return StageError(size, stage, float(np.abs(found - wanted).max()), largest, SHARE * largest)


def _different_bytes(found: Streams, wanted: Streams) -> int:
    pairs = (found.z_stream, wanted.z_stream), (found.y_stream, wanted.y_stream)
    return sum(
        abs(len(a) - len(b)) + sum(x != y for x, y in zip(a, b, strict=False)) for a, b in pairs
    )


def picture_of(height: int, width: int) -> np.ndarray:
    """Areas, edges and grain, the same each time: uint8 [height, width, 3]."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:height, :width]
    waves = [np.sin(row / a + column / b) for a, b in ((31, 47), (19, -23), (9, 61))]
    x = 128 + 60 * np.stack(waves, axis=-1) + 30 * ((row // 40 + column // 56) % 2)[..., None]
    return np.clip(x + rng.normal(0, 6, x.shape), 0, 255).astype(np.uint8)


def table(rows: Sequence[StageError]) -> str:
    """The rows for a terminal."""
    lines = [f"{'size':>9}  {'stage':13}{'largest error':>14}{'of values to':>14}{'bound':>10}"]
    for each in rows:
        mark = "" if each.within else "  beyond the bound"
        lines.append(
            f"{each.size:>9}  {each.stage:13}{each.error:>14.3g}{each.largest:>14.3g}"
            f"{each.bound:>10.2g}{mark}"
        )
    return "\n".join(lines)
