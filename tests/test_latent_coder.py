"""Tests of the latents' coder: identity, causality, and an error for every foreign stream."""

import dataclasses
import zlib

import numpy as np
import pytest
import tiny_model
from scipy.special import ndtr
from tiny_model import in_order, steps_of_each

from diffcomp.coding import grouped_coder
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import gaussian_scales
from diffcomp.coding.entropy_parameters import SLOPE
from diffcomp.coding.fixed_point import FixedPointConv, FixedPointLayers
from diffcomp.coding.grouped_coder import GroupedCoder
from diffcomp.coding.latent_coder import LARGEST_SYMBOL, STEP_BITS, LatentCoder
from diffcomp.coding.quality import CODES

pytestmark = pytest.mark.colab

SHAPES = [(1, 1), (1, 2), (3, 5), (4, 8), (7, 2), (9, 9)]


@pytest.fixture(scope="module")
def coder() -> GroupedCoder:
    return tiny_model.codec().model.coder


def random_latents(coder: LatentCoder, shape: tuple, seed: int = 0) -> tuple[np.ndarray, ...]:
    """y and z of the order of a photograph's, float32."""
    rng = np.random.default_rng(seed)
    z_shape = (-(-shape[0] // 4), -(-shape[1] // 4), len(coder.z_tables))
    y = rng.normal(0, 2, (*shape, coder.step.shape[1]))
    return y.astype(np.float32), rng.normal(0, 3, z_shape).astype(np.float32)


def walk(coder: LatentCoder, y: np.ndarray, z: np.ndarray, code: int) -> tuple:
    """(y_hat, first pass, ...) of the encoder, having checked that the decoder agrees."""
    spy, runs = tiny_model.spied(coder)
    decoded = spy.decode(spy.encode(y, z, code), y.shape[:2], code)
    encoder, decoder = runs
    np.testing.assert_array_equal(decoded, encoder.y_hat)
    for ours, theirs in zip(encoder.passes, decoder.passes, strict=True):
        for array, same in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, same)
    return encoder.y_hat, *encoder.passes


def largest_error(steps: np.ndarray, y_hat: np.ndarray) -> np.ndarray:
    """Half a step, up to float32's rounding."""
    return 0.5 * steps + 2.0**-22 * np.abs(y_hat)


def constant(coder: LatentCoder, mean: float, log2_scale: float, change: float = 0) -> LatentCoder:
    """The same coder, but every element of y has this mean and scale, and this change of step."""
    convs = dict(coder.layers.convs)
    for g in range(len(coder.groups)):
        constants = {f"head_{g}": (mean, log2_scale), f"refine_{g}": (0, 0)}
        for name, values in (constants | {f"step_{g}": (change,)}).items():
            kernel = np.zeros_like(convs[name].kernel)
            bias = np.repeat(values, kernel.shape[-1] // len(values))
            bits = (16, 10, 16)
            convs[name] = FixedPointConv(kernel, np.rint(bias * 2.0**26).astype(np.int64), *bits)
    return dataclasses.replace(coder, layers=FixedPointLayers(convs, SLOPE))


@pytest.mark.parametrize("code", [0, 97, CODES - 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_decoder_gets_the_encoders_y_hat(coder, shape: tuple, code: int) -> None:
    y, z = random_latents(coder, shape)
    y_hat, *passes = walk(coder, y, z, code)
    assert (y_hat.shape, y_hat.dtype) == (y.shape, np.float32)
    assert sum(p.symbols.size for p in passes) == y.size
    steps = steps_of_each(coder, passes, y.shape)
    assert np.all(np.abs(y_hat - y) <= largest_error(steps, y_hat))


@pytest.mark.parametrize("shape", [(1, 1), (9, 3), (17, 5), (23, 1)])
def test_streams_do_not_depend_on_how_many_rows_are_computed_at_once(
    coder, shape: tuple, monkeypatch
) -> None:
    y, z = random_latents(coder, shape)
    y[np.random.default_rng(3).random(y.shape) < 0.1] *= 1e3  # escapes, whose values come later
    whole = coder.encode(y, z, 80)
    y_hat = coder.decode(whole, shape, 80)
    monkeypatch.setattr(grouped_coder, "PASS_POSITIONS", 4)
    monkeypatch.setattr(grouped_coder, "FEATURE_POSITIONS", 8)
    assert len(list(grouped_coder.row_parts(shape, 4))) == -(-shape[0] // 4)
    assert coder.encode(y, z, 80) == whole
    np.testing.assert_array_equal(coder.decode(whole, shape, 80), y_hat)


def test_symbols_are_the_nearest(coder) -> None:
    y, z = random_latents(coder, (8, 8))
    _, *passes = walk(coder, y, z, 90)
    for p, value in zip(passes, in_order(coder, y), strict=True):
        exact = (value * 2.0**STEP_BITS - p.mean) / p.step
        np.testing.assert_array_equal(p.symbols, np.rint(exact))


@pytest.mark.parametrize("size", [1e2, 1e4, 3e38])
def test_outliers_survive_up_to_the_largest_symbol(coder, size: float) -> None:
    y, z = random_latents(coder, (5, 6))
    rng = np.random.default_rng(1)
    for latents in (y, z):
        latents[rng.random(latents.shape) < 0.1] = size
        latents[rng.random(latents.shape) < 0.1] = -size
    y_hat, *passes = walk(coder, y, z, 128)
    steps = steps_of_each(coder, passes, y.shape)
    clipped = np.abs(y) > 0.9 * steps * LARGEST_SYMBOL
    assert np.all(np.abs(y_hat - y) <= largest_error(steps, y_hat), where=~clipped)
    assert clipped.any() == (size > 1e6)
    largest = max(np.abs(p.symbols).max() for p in passes)
    assert (largest >= LARGEST_SYMBOL - 1) == clipped.any()
    assert np.all(np.sign(y_hat) == np.sign(y), where=clipped)


def test_symbols_of_z_stay_where_the_networks_sums_are_exact(coder) -> None:
    """z is clipped to the largest symbol, which is far within 24 bits."""
    convs = dict(coder.layers.convs)
    signs = np.sign(convs["up32"].kernel)  # of weight 2**-24, or activations would saturate first
    convs["up32"] = dataclasses.replace(convs["up32"], kernel=signs, weight_bits=24)
    insensitive = dataclasses.replace(coder, layers=FixedPointLayers(convs, SLOPE))
    y, z = random_latents(coder, (4, 4))
    means = [
        walk(insensitive, y, np.full_like(z, v), 10)[1].mean for v in (2e4, LARGEST_SYMBOL, 1e7)
    ]
    assert np.any(means[1] != means[0])
    np.testing.assert_array_equal(means[2], means[1])


def test_latents_far_inside_one_quantisation_cell_cost_next_to_nothing(coder) -> None:
    """All symbols 0 at the smallest scale: less than a tenth of a bit each."""
    shape, code = (16, 16), 0
    y, z = random_latents(coder, shape)
    streams = constant(coder, 0.5, -20).encode(np.full_like(y, 0.5), z, code)
    assert 8 * len(streams.y_stream) < 0.1 * y.size


@pytest.mark.parametrize("code", [0, CODES - 1])
def test_length_is_the_entropy(coder, code: int) -> None:
    """Of y drawn from the very distribution that the coder believes in."""
    normal = constant(coder, mean=0.25, log2_scale=0.5)
    shape, scale = (24, 24), 2**0.5
    y, z = random_latents(coder, shape)
    y = np.random.default_rng(2).normal(0.25, scale, y.shape).astype(np.float32)
    step = coder.step[code] * 2.0**-STEP_BITS
    edges = (np.arange(-400, 401) - 0.5)[:, None] * step / scale
    p = np.diff(ndtr(edges), axis=0)
    entropy = -np.sum(p * np.log2(np.maximum(p, 1e-300))) * shape[0] * shape[1]
    # The sample's own information varies by about a bit in the square root of their number.
    tolerance = 0.01 * entropy + 3 * np.sqrt(y.size)
    assert abs(8 * len(normal.encode(y, z, code).y_stream) - entropy) < tolerance


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 0), (0.47, 0.5), (-1.31, -1.3125), (7, 2), (-7, -2)]
)
def test_steps_change_by_sixteenths_of_octaves_up_to_two(coder, asked: float, given: float) -> None:
    code = 40
    y, z = random_latents(coder, (4, 4))
    _, *passes = walk(constant(coder, 0, 1, change=asked), y, z, code)
    steps = np.broadcast_to(coder.step[code] * 2.0**given, y.shape)
    for p, expected in zip(passes, in_order(coder, steps), strict=True):
        np.testing.assert_allclose(p.step, expected, rtol=1e-4)


def test_steps_follow_z_and_differ_from_position_to_position(coder) -> None:
    """Within 16 positions of y under one of z too, since the features are of each."""
    y, z = random_latents(coder, (8, 8))
    _, *passes = walk(coder, y, z, 40)
    changes = steps_of_each(coder, passes, y.shape) / (coder.step[40] * 2.0**-STEP_BITS)
    for group in coder.groups:  # one change for all channels of a group
        np.testing.assert_allclose(np.ptp(changes[..., group.channels], axis=-1), 0, atol=1e-5)
        assert np.std(changes[:4, :4, group.start]) > 0.01
    assert np.any(changes[..., 0] != changes[..., -1])
    _, *after = walk(coder, y, z + 3, 40)
    assert np.any(steps_of_each(coder, after, y.shape) != steps_of_each(coder, passes, y.shape))


@pytest.mark.parametrize("change", [0, -0.75])
@pytest.mark.parametrize("log2_scale", [-9.0, -1.3, 0.0, 2.7, 12.0])
def test_index_is_that_of_the_nearest_scale_in_steps(
    coder, log2_scale: float, change: float
) -> None:
    code = 150
    y, z = random_latents(coder, (4, 4))
    _, *passes = walk(constant(coder, 0, log2_scale, change), y, z, code)
    in_steps = log2_scale - change - np.log2(coder.step[code] * 2.0**-STEP_BITS)
    distance = np.abs(np.log2(gaussian_scales())[None] - in_steps[:, None])
    nearest = np.broadcast_to(distance.argmin(axis=1), y.shape)
    for p, expected in zip(passes, in_order(coder, nearest), strict=True):
        np.testing.assert_array_equal(p.indexes, expected)


def test_passes_are_causal(coder) -> None:
    """A pass's parameters hang on the passes before it and on no other; most on many of them."""
    shape, code = (8, 10), 60
    y, z = random_latents(coder, shape)
    _, *before = walk(coder, y, z, code)
    places = in_order(coder, np.arange(y.size).reshape(y.shape))
    for n, place in enumerate(places):
        moved = y.copy()
        moved.flat[place] += 5
        _, *after = walk(coder, moved, z, code)
        for i in range(n + 1):
            np.testing.assert_array_equal(after[i][:3], before[i][:3])
        for i in range(len(places)):  # z alone decides about steps
            np.testing.assert_array_equal(after[i].step, before[i].step)
        assert np.any(after[n].symbols != before[n].symbols)
        for i in range(n + 1, len(places)):
            assert np.mean(after[i].mean != before[i].mean) > 0.5, (n, i)
    _, first_then, *_ = walk(coder, y, z + 3, code)
    assert np.mean(first_then.mean != before[0].mean) > 0.5


def test_networks_are_told_of_quality_and_pass(coder) -> None:
    y, z = random_latents(coder, (4, 4))
    for name in ("by_quality", "by_pass"):
        other = dataclasses.replace(coder, **{name: getattr(coder, name) + 400})
        assert coder.encode(y, z, 60) != other.encode(y, z, 60)
    by_quality = coder.by_quality.copy()
    by_quality[61:] += 400
    other = dataclasses.replace(coder, by_quality=by_quality)
    assert coder.encode(y, z, 60) == other.encode(y, z, 60)
    assert coder.encode(y, z, 61) != other.encode(y, z, 61)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_latents_that_are_not_finite(coder, value: float) -> None:
    for which in (0, 1):
        latents = random_latents(coder, (4, 4))
        latents[which].flat[3] = value
        with pytest.raises(ValueError, match="y or z is not finite"):
            coder.encode(*latents, 0)


def test_wrong_checksum_of_symbols(coder) -> None:
    y, z = random_latents(coder, (3, 3))
    streams = coder.encode(y, z, 7)
    for bit in (0, 13, 31):
        wrong = dataclasses.replace(streams, symbols_crc=streams.symbols_crc ^ 1 << bit)
        with pytest.raises(BitstreamError, match=f"CRC-32 {streams.symbols_crc:08x}, the enc"):
            coder.decode(wrong, (3, 3), 7)


def test_checksum_is_of_z_and_of_the_indexes_and_symbols_of_each_pass(coder) -> None:
    """Indexes too: a decoder that takes other tables may still read the symbols that it expects."""
    y, z = random_latents(coder, (5, 6))
    spy, runs = tiny_model.spied(coder)
    streams = spy.encode(y, z, 40)
    coded = [coder.z_symbols(z)]
    for each in runs[0].passes:
        coded += [each.indexes, each.symbols]
    assert streams.symbols_crc == zlib.crc32(b"".join(a.astype("<i4").tobytes() for a in coded))


@pytest.mark.parametrize("name", ["z_stream", "y_stream"])
def test_damaged_stream_never_gives_other_latents(coder, name: str) -> None:
    """A flipped bit is found, unless it is one of the last, which the coder does not need."""
    shape, code = (3, 4), 30
    y, z = random_latents(coder, shape)
    streams = coder.encode(y, z, code)
    expected = coder.decode(streams, shape, code)
    intact = 0
    stream = getattr(streams, name)
    for position in range(len(stream)):
        damaged = bytearray(stream)
        damaged[position] ^= 1 << position % 8
        try:
            y_hat = coder.decode(
                dataclasses.replace(streams, **{name: bytes(damaged)}), shape, code
            )
        except BitstreamError:
            continue
        np.testing.assert_array_equal(y_hat, expected)
        intact += 1
    assert intact <= 1


@pytest.mark.parametrize("name", ["z_stream", "y_stream"])
@pytest.mark.parametrize("change", ["empty", "short", "long", "zeros"])
def test_stream_of_another_length(coder, name: str, change: str) -> None:
    y, z = random_latents(coder, (4, 5))
    streams = coder.encode(y, z, 100)
    stream = getattr(streams, name)
    changed = {
        "empty": b"",
        "short": stream[: len(stream) // 2],
        "long": stream + b"more",
        "zeros": bytes(len(stream)),
    }
    with pytest.raises(BitstreamError):
        coder.decode(dataclasses.replace(streams, **{name: changed[change]}), (4, 5), 100)


def test_another_shape_or_quality_is_found(coder) -> None:
    y, z = random_latents(coder, (4, 6))
    streams = coder.encode(y, z, 100)
    for shape, code in (((6, 4), 100), ((4, 7), 100), ((4, 6), 40)):
        with pytest.raises(BitstreamError):
            coder.decode(streams, shape, code)


def changed(coder: LatentCoder, name: str) -> LatentCoder:
    """The coder with one unit more in one entry of one array."""
    arrays = {key: value.copy() for key, value in coder.to_arrays().items()}
    array, entry = arrays[name], -1
    if name.endswith("lookup"):
        # A count that may grow: after a smaller one of the same table, well before the next.
        entry = 1 + np.flatnonzero((np.diff(array)[:-1] > 0) & (np.diff(array)[1:] > 2))[5]
    array.flat[entry] += 1
    return GroupedCoder.from_arrays(arrays)


def test_each_array_is_part_of_the_fingerprint(coder) -> None:
    arrays = coder.to_arrays()
    assert GroupedCoder.from_arrays(arrays).fingerprint == coder.fingerprint
    assert 0 <= coder.fingerprint < 2**32
    # Another number of passes takes other arrays too.
    names = [name for name in arrays if not name.endswith(".bits") and name != "group_passes"]
    prints = {changed(coder, name).fingerprint for name in names}
    assert len(prints | {coder.fingerprint}) == len(names) + 1


@pytest.mark.parametrize("name", ["layers.head_1.bias", "step"])
def test_stream_of_another_coder_gives_no_silent_damage(coder, name: str) -> None:
    """One unit of difference may change no symbol: then only the fingerprint tells. Many do."""
    y, z = random_latents(coder, (8, 8))
    arrays = coder.to_arrays()
    arrays |= {name: arrays[name] + arrays[name] // 8 + 2**22}
    if name == "step":
        arrays["log2_step"] = arrays["log2_step"] + 2**13
    other = GroupedCoder.from_arrays(arrays)
    with pytest.raises(BitstreamError):
        coder.decode(other.encode(y, z, 50), (8, 8), 50)


def test_arrays_that_do_not_fit(coder) -> None:
    with pytest.raises(ValueError, match=r"step is \(224, 16\) .* both must have 225 rows"):
        dataclasses.replace(coder, step=coder.step[1:], log2_step=coder.log2_step[1:])
    with pytest.raises(ValueError, match=r"log2_step \(225, 15\); both must have 225 rows"):
        dataclasses.replace(coder, log2_step=coder.log2_step[:, 1:])
    with pytest.raises(ValueError, match="62 thresholds do not part 64 tables"):
        dataclasses.replace(coder, scale_thresholds=coder.scale_thresholds[1:])
    with pytest.raises(ValueError, match=r"by_pass \(7, 12\); they must be .* and \(8, 12\)"):
        dataclasses.replace(coder, by_pass=coder.by_pass[1:])
    with pytest.raises(ValueError, match=r"step_factors is \(64,\); it must be \(65,\)"):
        dataclasses.replace(coder, step_factors=coder.step_factors[1:])
    with pytest.raises(
        ValueError, match="step_factors has values from 0 to 0; they must be from 1"
    ):
        dataclasses.replace(coder, step_factors=0 * coder.step_factors)
    with pytest.raises(ValueError, match="step has values .* must be from 1 to 274877906944"):
        dataclasses.replace(coder, step=coder.step << 38)
    arrays = coder.to_arrays()
    del arrays["step"]
    with pytest.raises(KeyError, match="step"):
        GroupedCoder.from_arrays(arrays)
