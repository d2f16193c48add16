"""A TFDS data set of a few pictures, written without the network."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_photos import image

COUNT = 10


def prepare_tiny_photos(folder: Path, file_format: str = "array_record") -> Path:
    """Writes the configurations of `tiny_photos`, with a split `train` of COUNT, to `folder`.

    photos: `image`, 40 x 56, blue = index, but number 3 is cut off, 5 is 20 x 56, 6 is grey.
    pairs: `lr` and `hr`, like div2k. maps: `map`, of classes, then `photo` and `other`. numbers:
    no image. Skips the test where TFDS or TensorFlow is missing.
    """
    for package in ("tensorflow_datasets", "tensorflow"):
        need_for_tfds(package)
    builder = _builder()
    for config in builder.builder_configs:
        builder(data_dir=folder, config=config, file_format=file_format).download_and_prepare()
    return folder


def need_for_tfds(package: str) -> None:
    """Skips the test without the package."""
    pytest.importorskip(package, reason=f"{package} comes with requirements-tfc.lock only")


def _builder() -> type:
    import tensorflow_datasets as tfds  # takes a second, and few tests need it

    try:
        return tfds.builder_cls("tiny_photos")
    except tfds.core.DatasetNotFoundError:
        pass

    features = {
        "photos": {"label": tfds.features.Scalar(np.int64), "image": tfds.features.Image()},
        "pairs": {"lr": tfds.features.Image(), "hr": tfds.features.Image()},
        "maps": {
            "map": tfds.features.LabeledImage(labels=3, shape=(None, None, 1)),
            "photo": tfds.features.Image(),
            "other": tfds.features.Image(),
        },
        "numbers": {"label": tfds.features.Scalar(np.int64)},
    }

    class TinyPhotos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = tuple(tfds.core.BuilderConfig(name=name) for name in features)

        def _info(self):
            kinds = tfds.features.FeaturesDict(features[self.builder_config.name])
            return tfds.core.DatasetInfo(builder=self, features=kinds)

        def _split_generators(self, _):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(COUNT):
                yield i, {name: example(name, i) for name in features[self.builder_config.name]}

    return TinyPhotos


def example(feature: str, index: int) -> object:
    if feature == "label":
        return index
    if feature == "map":
        return image(40, 56, 0)[..., 2:]
    if feature in ("lr", "other"):
        return image(40, 56, 200)
    return io.BytesIO(encoded(index) if feature == "image" else png(image(40, 56, index)))


def encoded(index: int) -> bytes:
    if index == 3:
        return png(image(40, 56, 3))[:100]
    if index == 6:
        return png(image(40, 56, 6)[..., 2])
    return png(image(20 if index == 5 else 40, 56, index))


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
