import json
from pathlib import Path

import jax
import numpy as np
import pytest
from inception_tensors import images, random_tensor
from torch_files import archive, dict_of, plain, tensor

from diffcomp.evaluation.metrics import inception_weights
from diffcomp.evaluation.metrics.inception import inception_features
from diffcomp.evaluation.metrics.inception_weights import convolutions, load_inception
from diffcomp.files.torch_file import WeightsError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "inception.json").read_text())
NORMALIZATION = ("weight", "bias", "running_mean", "running_var")


def shapes() -> dict[str, tuple[int, ...]]:
    """Of all tensors of the network, by name."""
    return {
        name: shape
        for conv, kernel in convolutions().items()
        for name, shape in (
            (f"{conv}.conv.weight", kernel),
            *((f"{conv}.bn.{part}", kernel[:1]) for part in NORMALIZATION),
        )
    }


def contiguous(key: str, shape: tuple[int, ...]) -> bytes:
    strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    return tensor(key, int(np.prod(shape)), shape=shape, strides=strides)


def write(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """A file of PyTorch as pytorch-fid's: the tensors by name, and what the network leaves out."""
    entries = {name: contiguous(name, value.shape) for name, value in tensors.items()}
    entries["fc.weight"] = contiguous("fc.weight", (4, 4))
    entries["Conv2d_1a_3x3.bn.num_batches_tracked"] = tensor("steps", 1, kind="LongStorage")
    storages = {name: value.tobytes() for name, value in tensors.items()}
    storages |= {"fc.weight": bytes(64), "steps": bytes(8)}
    return archive(path, dict_of(entries), storages)


def test_features_equal_those_of_pytorch_fid(tmp_path):
    tensors = {name: random_tensor(name, shape) for name, shape in shapes().items()}
    weights = load_inception(write(tmp_path / "inception.pth", tensors))
    features = np.asarray(jax.jit(inception_features)(weights, images()))
    assert features.shape == (2, 2048) and features.dtype == np.float32
    np.testing.assert_allclose(features[:, ::64], GOLDEN["features"], rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), GOLDEN["norms"], rtol=1e-4)


@pytest.fixture
def two_convolutions(monkeypatch):
    """A network of two convolutions, so that the files of these tests are small."""
    kept = dict(list(convolutions().items())[:2])
    monkeypatch.setattr(inception_weights, "convolutions", lambda: kept)
    return {
        name: random_tensor(name, shape)
        for name, shape in shapes().items()
        if name.startswith(tuple(kept))
    }


def test_normalization_is_folded_into_the_kernel(tmp_path, two_convolutions):
    weights = load_inception(write(tmp_path / "w.pth", two_convolutions))
    assert list(weights) == ["Conv2d_1a_3x3", "Conv2d_2a_3x3"]
    kernel, bias = weights["Conv2d_1a_3x3"]
    assert kernel.shape == (3, 3, 3, 32) and kernel.dtype == bias.dtype == np.float32
    raw = two_convolutions["Conv2d_1a_3x3.conv.weight"]
    gain, offset, mean, variance = (
        two_convolutions[f"Conv2d_1a_3x3.bn.{part}"] for part in NORMALIZATION
    )
    scale = gain / np.sqrt(variance + 0.001)
    np.testing.assert_allclose(kernel[1, 2, 0], raw[:, 0, 1, 2] * scale, rtol=1e-5)
    np.testing.assert_allclose(bias, offset - mean * scale, rtol=1e-5, atol=1e-6)


def test_a_file_without_the_network_is_refused(tmp_path):
    path = archive(tmp_path / "w.pth", dict_of({"step": plain(1)}))
    with pytest.raises(WeightsError, match="w.pth: it has no entry 'Conv2d_1a_3x3.conv.weight'"):
        load_inception(path)


def test_a_missing_tensor_is_named(tmp_path, two_convolutions):
    del two_convolutions["Conv2d_2a_3x3.bn.bias"]
    with pytest.raises(WeightsError, match="w.pth has no tensor 'Conv2d_2a_3x3.bn.bias'"):
        load_inception(write(tmp_path / "w.pth", two_convolutions))


def test_another_shape_is_named_with_the_right_one(tmp_path, two_convolutions):
    two_convolutions["Conv2d_2a_3x3.conv.weight"] = np.zeros((32, 32, 1, 1), np.float32)
    with pytest.raises(
        WeightsError, match=r"Conv2d_2a_3x3.conv.weight has shape \(32, 32, 1, 1\), not \(32, 32, 3"
    ):
        load_inception(write(tmp_path / "w.pth", two_convolutions))


def test_a_negative_variance_is_refused(tmp_path, two_convolutions):
    two_convolutions["Conv2d_1a_3x3.bn.running_var"][3] = -1
    with pytest.raises(WeightsError, match="Conv2d_1a_3x3.bn.running_var has values below 0"):
        load_inception(write(tmp_path / "w.pth", two_convolutions))
