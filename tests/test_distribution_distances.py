import numpy as np
import pytest
import scipy.linalg
import skimage.data

from diffcomp.distances.lpips import vgg_features
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.evaluation.metrics import distribution_distances
from diffcomp.evaluation.metrics.distribution_distances import (
    SET_METRICS,
    SetMetric,
    frechet_distance,
    kernel_distance,
    set_distance,
)
from diffcomp.evaluation.metrics.patches import patches, patches_of


def vectors(seed: int, count: int, dimensions: int = 6) -> np.ndarray:
    """Of one distribution: correlated, and not centered at 0."""
    common = np.random.default_rng(9)
    mixing, center = common.normal(size=(dimensions, dimensions)), common.normal(size=dimensions)
    normal = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (normal @ mixing / 2 + center).astype(np.float32)


def test_frechet_distance_equals_the_formula_with_a_matrix_root():
    x, y = vectors(0, 50), 2 * vectors(1, 70)
    a, b = np.cov(x.T.astype(np.float64)), np.cov(y.T.astype(np.float64))
    root = scipy.linalg.sqrtm(a @ b).real
    means = np.sum((x.mean(0, np.float64) - y.mean(0, np.float64)) ** 2)
    assert frechet_distance(x, y) == pytest.approx(means + np.trace(a + b - 2 * root), rel=1e-6)


def test_frechet_distance_of_gaussians_along_the_axes():
    x = np.array([[6, 0], [4, 0], [5, 2], [5, -2]])
    # Variances of x: 2/3 and 8/3; of 3x: 6 and 24.
    expected = 10.0**2 + 2 / 3 * (3 - 1) ** 2 + 8 / 3 * (3 - 1) ** 2
    assert frechet_distance(3 * x, x) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_equals_a_sum_over_pairs(monkeypatch):
    monkeypatch.setattr(distribution_distances, "_BLOCK", 4)  # with a rest
    x, y = vectors(2, 9), vectors(3, 11)

    def mean(pairs):
        return np.mean([(float(u @ v) / 6 + 1) ** 3 for u, v in pairs])

    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    within = [
        [(u, v) for i, u in enumerate(z) for j, v in enumerate(z) if i != j] for z in (x64, y64)
    ]
    between = [(u, v) for u in x64 for v in y64]
    expected = mean(within[0]) + mean(within[1]) - 2 * mean(between)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_grow_with_the_difference_and_are_symmetric(distance):
    x, y = vectors(4, 400), vectors(6, 400)
    values = [distance(x + shift, y) for shift in (0, 0.5, 1, 2)]
    assert abs(values[0]) < values[1] / 5
    assert values[1] < values[2] < values[3]
    assert distance(y, x + 2) == pytest.approx(values[3], rel=1e-6)


def test_frechet_distance_of_equal_sets_is_zero():
    assert frechet_distance(vectors(5, 30), vectors(5, 30)[::-1]) < 1e-8


def test_kernel_distance_has_no_bias():
    values = [kernel_distance(*np.split(vectors(seed, 40) / 4, 2)) for seed in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_kodak_has_eight_patches_in_an_image():
    """192 in 24 images, as HiFiC counts."""
    row, column = np.indices((512, 768))
    image = np.stack([row // 4, column // 4, row % 256], axis=-1).astype(np.uint8)
    found = list(patches(image))
    assert [(int(p[0, 0, 0]) * 4, int(p[0, 0, 1]) * 4) for p in found] == [
        (0, 0), (0, 256), (0, 512), (256, 0), (256, 256), (256, 512), (128, 128), (128, 384),
    ]  # fmt: skip
    assert all(p.shape == (256, 256, 3) for p in found)
    np.testing.assert_array_equal(found[-1], image[128:384, 384:640])
    assert len(list(patches(image[:300, :]))) == 3
    assert len(list(patches(image.transpose(1, 0, 2)))) == 8


def test_images_that_give_no_patch_are_refused_by_number():
    good = np.zeros((256, 256, 3), np.uint8)
    with pytest.raises(ValueError, match=r"images\[1\] is 255x300 pixels; patches need at least"):
        list(patches_of([good, np.zeros((255, 300, 3), np.uint8)], "images"))
    with pytest.raises(
        ValueError, match=r"images\[0\] is float32 \(256, 256, 3\); it must be uint8"
    ):
        list(patches_of([good.astype(np.float32)], "images"))


@pytest.fixture
def few_patches_suffice(monkeypatch):
    for name, metric in SET_METRICS.items():
        few = SetMetric(name, metric.label, metric.function, metric.uses_inception, 2)
        monkeypatch.setitem(SET_METRICS, name, few)


def test_fd_vgg_of_images_in_fewer_colors(few_patches_suffice, monkeypatch):
    monkeypatch.setattr(distribution_distances, "_BATCH", 2)
    references = [skimage.data.coffee()]
    posterized = [image // 64 * 64 for image in references]
    same = set_distance("fd_vgg", iter(references), references)
    other = set_distance("fd_vgg", posterized, iter(references))
    assert (same.patches, same.reference_patches) == (2, 2)
    assert same.value < other.value / 100


def test_vgg_vectors_are_the_means_of_the_last_activations():
    image = skimage.data.coffee()[None, 100:148, 200:248]
    weights = load_lpips("vgg")
    (vector,) = distribution_distances._vgg_vectors(weights, image)
    last = vgg_features(weights, np.float32(image / 127.5 - 1))[-1]
    assert vector.shape == (512,) and last.shape == (1, 3, 3, 512)
    np.testing.assert_allclose(vector, np.mean(last[0], axis=(0, 1)), rtol=1e-4, atol=1e-5)


def test_batches_are_filled_up_without_counting(few_patches_suffice):
    counts = []

    def embed(batch):
        assert batch.shape == (8, 256, 256, 3)
        counts.append(len(batch))
        return batch[:, 0, :2, 0].astype(np.float32)

    images = [np.full((256, 256, 3), i, np.uint8) for i in range(11)]
    features = distribution_distances._features(embed, iter(images))
    assert counts == [8, 8]
    np.testing.assert_array_equal(features[:, 0], np.arange(11))


@pytest.mark.parametrize("name", ["fd_vgg", "kd_vgg"])
def test_too_few_patches_are_refused_with_the_count(name, monkeypatch):
    monkeypatch.setattr(
        distribution_distances, "_embedding", lambda *_: lambda batch: batch[:, 0, :2, 0]
    )
    least = SET_METRICS[name].min_patches
    images = [np.zeros((256, 256, 3), np.uint8)] * least
    assert set_distance(name, images, images).patches == least
    with pytest.raises(
        ValueError, match=f"references have {least - 1} patches .* needs at least {least}"
    ):
        set_distance(name, images, images[1:])
    with pytest.raises(ValueError, match=f"images have 0 patches .* at least {least}"):
        set_distance(name, [], images)


def test_frechet_distances_need_more_patches_than_features():
    assert {name: metric.min_patches for name, metric in SET_METRICS.items()} == {
        "fid": 2049, "kid": 100, "fd_vgg": 513, "kd_vgg": 100,
    }  # fmt: skip


@pytest.mark.parametrize("name, label", [("fid", "FID"), ("kid", "KID")])
def test_inception_is_asked_for_by_its_option(name, label):
    with pytest.raises(
        ValueError,
        match=f"{label} needs the weights of its network.*--inception WEIGHTS. Without any: fd_vgg",
    ):
        set_distance(name, [], [])


def test_a_missing_file_of_inception_is_named(tmp_path):
    with pytest.raises(OSError, match="nothing.pth"):
        set_distance("fid", [], [], inception=tmp_path / "nothing.pth")


def test_fid_looks_through_inception(few_patches_suffice, monkeypatch):
    seen = []
    monkeypatch.setattr(distribution_distances, "load_inception", lambda path: seen.append(path))
    monkeypatch.setattr(
        distribution_distances, "_inception_vectors", lambda weights, batch: batch[:, 0, :3, 0]
    )
    dark, light = (
        [image] * 2 for image in (skimage.data.astronaut() // 2, skimage.data.astronaut())
    )
    assert set_distance("fid", dark, light, inception="weights.pth").value > 1
    assert seen == ["weights.pth"]


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="set metric is 'lpips'; .* fid, kid, fd_vgg, kd_vgg"):
        set_distance("lpips", [], [])
