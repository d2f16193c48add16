"""Reading the released weights: what is taken, what is refused, and that nothing is executed."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch_files import (
    OMIT,
    ORDERED_DICT,
    archive,
    dict_of,
    name,
    parameter,
    plain,
    tensor,
    tuple_of,
)

from diffcomp.files.torch_file import WeightsError
from diffcomp.published.weights import read_weights

GOLDEN = Path(__file__).parent / "golden" / "cdc"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "weights.pt"


def of_model(entries):
    return dict_of({"step": plain(1), "model": dict_of(entries)})


COUNT_6 = np.arange(6, dtype="<f4") - 2.5


def test_views_are_read_with_their_offset_and_strides(file):
    entries = {
        "whole": tensor("0", 6, shape=(2, 3), strides=(3, 1)),
        "transposed": tensor("0", 6, shape=(3, 2), strides=(1, 3)),
        "tail": tensor("0", 6, offset=4, shape=(2,)),
        "scalar": parameter(tensor("0", 6, offset=5, shape=(1, 1), strides=(2**70, 9))),
    }
    weights = read_weights(archive(file, of_model(entries), {"0": COUNT_6.tobytes()}))
    np.testing.assert_array_equal(weights["whole"], COUNT_6.reshape(2, 3))
    np.testing.assert_array_equal(weights["transposed"], COUNT_6.reshape(2, 3).T)
    np.testing.assert_array_equal(weights["tail"], COUNT_6[4:])
    np.testing.assert_array_equal(weights["scalar"], COUNT_6[5:].reshape(1, 1))
    assert all(value.dtype == np.float32 for value in weights.values())


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("FloatStorage", COUNT_6.tobytes()),
        ("DoubleStorage", COUNT_6.astype("<f8").tobytes()),
        ("HalfStorage", COUNT_6.astype("<f2").tobytes()),
        ("BFloat16Storage", (COUNT_6.view("<u4") >> 16).astype("<u2").tobytes()),
    ],
)
def test_every_float_type_becomes_float32(file, kind, data):
    weights = read_weights(archive(file, of_model({"w": tensor("a", 6, kind=kind)}), {"a": data}))
    np.testing.assert_array_equal(weights["w"], COUNT_6)


def test_the_average_is_preferred_and_what_is_no_network_left_out(file):
    entries = {
        "ema_model.net.weight": tensor("1", 1),
        "ema_model.train_betas": tensor("missing", 1),
        "ema_model.loss_fn_vgg.lin0": tensor("missing", 1),
        "online_model.net.weight": tensor("missing", 1),
        "step": tensor("missing", 1, kind="LongStorage"),
    }
    content = dict_of({"model": dict_of({"net.weight": tensor("0", 1)}), "ema": dict_of(entries)})
    weights = read_weights(archive(file, content, {"1": np.float32(7).tobytes()}))
    assert list(weights) == ["net.weight"]
    np.testing.assert_array_equal(weights["net.weight"], [7])


def test_an_ordered_dictionary_with_attributes_is_a_dictionary(file):
    """PyTorch's state dictionaries carry `_metadata`."""
    model = ORDERED_DICT + b"(" + plain("w") + tensor("0", 6) + b"u"
    model += dict_of({"_metadata": plain({"version": 1})}) + b"b"
    weights = read_weights(
        archive(file, dict_of({"model": model}), {"0": COUNT_6.tobytes()}, byteorder=OMIT)
    )
    np.testing.assert_array_equal(weights["w"], COUNT_6)


class Touch:
    """Unpickled in the ordinary way, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_something_is_refused(file, tmp_path):
    target = tmp_path / "made"
    content = pickle.dumps({"model": {"w": Touch(target)}}, protocol=2)
    with pytest.raises(WeightsError, match=r"data.pkl names posix.mkdir, which is no part of"):
        read_weights(archive(file, content[2:-1]))
    assert not target.exists()
    pickle.loads(content)  # the trap does work
    assert target.exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "ComplexFloatStorage"),
        ("collections", "defaultdict"),
        ("collections", "OrderedDict.fromkeys"),
        ("numpy.core.multiarray", "scalar"),
    ],
)
def test_any_other_name_is_refused(file, module, attribute):
    content = dict_of({"model": dict_of({}), "more": name(module, attribute)})
    with pytest.raises(WeightsError, match=f"names {module}.{attribute}, which is no part of"):
        read_weights(archive(file, content))


def test_what_a_pickle_is_given_is_not_changed_for_the_next_file(file):
    """BUILD sets attributes of anything: here the defaults of the function that makes tensors."""
    function = name("torch._utils", "_rebuild_tensor_v2")
    spoiled = function + tuple_of(b"N", dict_of({"__kwdefaults__": b"N", "x": plain(1)})) + b"b"
    read_weights(archive(file, dict_of({"model": dict_of({}), "more": spoiled})))
    content = of_model({"w": tensor("0", 6)})
    assert read_weights(archive(file, content, {"0": COUNT_6.tobytes()}))["w"].shape == (6,)
    spoiled = name("collections", "OrderedDict") + dict_of({"__code__": b"N"}) + b"b"
    read_weights(archive(file, dict_of({"model": dict_of({}), "more": spoiled})))
    model = ORDERED_DICT + b"(" + plain("w") + tensor("0", 6) + b"u"
    content = dict_of({"model": model})
    assert read_weights(archive(file, content, {"0": COUNT_6.tobytes()}))["w"].shape == (6,)


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (dict(shape=(7,)), "does not fit into its storage of 6 values"),
        (dict(shape=(2, 3), strides=(4, 1)), "does not fit into its storage"),
        (dict(shape=(2,), offset=5), "does not fit into its storage"),
        (dict(shape=(2,), offset=-1), "offset -1; they must be whole numbers"),
        (dict(shape=(2,), strides=(-1,), offset=3), r"strides \(-1,\) .* must be whole numbers"),
        (dict(shape=(10**9,), strides=(0,)), "does not fit into its storage"),
        (dict(shape=(10**30, 0), strides=(1, 1)), "of length 1 or more"),
        (dict(shape=(2, 3)), "they must be whole numbers"),
        (dict(shape=(2.0,)), "they must be whole numbers"),
        (dict(shape=(1,) * 40, strides=(1,) * 40), "for up to 8 axes"),
        (dict(shape=[2]), "they must be whole numbers"),
        (dict(shape=(True,)), "they must be whole numbers"),
    ],
)
def test_a_view_beyond_its_storage_is_refused(file, view, text):
    content = of_model({"w": tensor("0", 6, **view)})
    with pytest.raises(WeightsError, match=f"weights.pt: w .*{text}"):
        read_weights(archive(file, content, {"0": COUNT_6.tobytes()}))


@pytest.mark.parametrize(
    ("entry", "storages", "text"),
    [
        (tensor("0", 6), {}, "w: the archive has no entry tiny/data/0"),
        (tensor("0", 6), {"0": bytes(20)}, "w: tiny/data/0 has 20 bytes, not 24"),
        (tensor("0", 10**15), {"0": bytes(24)}, "has 24 bytes, not 4000000000000000"),
        (tensor("0", 3, kind="LongStorage"), {"0": bytes(24)}, "w is of type LongStorage; weights"),
        (tensor("0", 1), {"0": np.float32(np.nan).tobytes()}, "w has values that are not finite"),
        (plain(3), {}, "w is no tensor"),
        (tensor("0", 6).replace(b"storage", b"startle"), {}, "names a storage .*'startle'"),
        (tensor("0", 6)[:-9], {}, "data.pkl cannot be read"),
    ],
)
def test_an_entry_that_is_no_weight_is_refused(file, entry, storages, text):
    with pytest.raises(WeightsError, match=text):
        read_weights(archive(file, of_model({"w": entry}), storages))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (plain([1]), "no dictionary with an entry 'ema' or 'model'"),
        (plain({"step": 1}), "no dictionary with an entry 'ema' or 'model'"),
        (plain({"model": 3}), "its entry 'model' has no names"),
        (plain({"ema": {1: 2}, "model": {}}), "its entry 'ema' has no names"),
    ],
)
def test_another_dictionary_is_refused(file, content, text):
    with pytest.raises(WeightsError, match=text):
        read_weights(archive(file, content))


def test_other_archives_are_refused(file, tmp_path):
    content = of_model({})
    with pytest.raises(WeightsError, match="weights.pt: its values are not little-endian"):
        read_weights(archive(file, content, byteorder=b"big"))
    with pytest.raises(WeightsError, match="tiny/byteorder is compressed"):
        read_weights(archive(file, content, compression=zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("readme", "")
    with pytest.raises(WeightsError, match="it has 0 entries data.pkl"):
        read_weights(file)
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "absent.pt")


def test_other_files_are_refused(file):
    for data in (b"", b"P", b"\x89PNG\r\n"):
        file.write_bytes(data)
        with pytest.raises(WeightsError, match="no file of PyTorch: it does not begin as a zip"):
            read_weights(file)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    content = of_model({"w": tensor("0", 6, shape=(2, 3), strides=(3, 1))})
    path = archive(tmp_path_factory.mktemp("intact") / "w.pt", content, {"0": COUNT_6.tobytes()})
    return path.read_bytes()


def test_a_truncated_file_is_refused_wherever_it_ends(file, intact):
    for length in range(2, len(intact), 7):
        file.write_bytes(intact[:length])
        with pytest.raises(WeightsError, match="weights.pt is damaged: "):
            read_weights(file)


def test_a_changed_byte_is_found_or_without_effect(file, intact):
    refused = 0
    for place in range(len(intact)):
        damaged = bytearray(intact)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        try:
            weights = read_weights(file)
        except WeightsError:
            refused += 1
        else:
            np.testing.assert_array_equal(weights["w"], COUNT_6.reshape(2, 3))
    assert refused > len(intact) // 2


@pytest.mark.parametrize("variant", ["xparam", "epsilonparam"])
def test_a_file_in_the_released_format_is_read(variant):
    weights = read_weights(GOLDEN / f"{variant}_tiny.pt")
    assert len(weights) == 466
    assert weights["denoise_fn.downs.0.1.block1.block.0.weight"].shape == (4, 4, 3, 3)
    assert not any(name.startswith(("train_", "ema_model")) for name in weights)
