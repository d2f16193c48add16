"""Several pictures through the networks at once: the bytes that each gives alone."""

import numpy as np
import pytest
import tiny_model
from pictures import noise
from PIL import Image

from diffcomp.codec_networks import CodecNetworks, _batches
from diffcomp.files.image_error import ImageError


@pytest.fixture
def in_batches(monkeypatch):
    """As on an accelerator; gives the shapes that went through the networks together."""
    shapes = []
    run = CodecNetworks._encode_batch

    def spy(self, images, quality):
        shapes.append(images.shape)
        return run(self, images, quality)

    monkeypatch.setattr(CodecNetworks, "in_batches", True)
    monkeypatch.setattr(CodecNetworks, "_encode_batch", spy)
    return shapes


def test_batches_of_a_padded_size_give_the_bytes_of_each_picture_alone(in_batches, tmp_path):
    tiny, face = tiny_model.codec(), tiny_model.image()
    small = face[:50, :60]
    Image.fromarray(face[::-1]).save(tmp_path / "turned.png")
    images = [face, small, tmp_path / "turned.png", Image.fromarray(face[:70]), noise(0, 75, 90)]
    files = tiny.compress_batch(images, quality=3)
    assert files == [tiny.compress(image, quality=3) for image in images]
    assert [shape[0] for shape in in_batches] == [4, 1]
    assert len({shape[1:] for shape in in_batches}) == 2


def test_a_cpu_takes_them_one_by_one():
    tiny, face = tiny_model.codec(), tiny_model.image()
    assert not tiny.networks.in_batches
    assert tiny.compress_batch([face, face[:50]]) == [tiny.compress(face), tiny.compress(face[:50])]
    assert tiny.compress_batch([]) == []


def test_batches_are_powers_of_two_no_larger_than_what_fits():
    assert [len(batch) for batch in _batches(list(range(11)), 4)] == [4, 4, 2, 1]
    assert [len(batch) for batch in _batches(list(range(7)), 100)] == [4, 2, 1]
    assert [i for batch in _batches(list(range(9)), 3) for i in batch] == list(range(9))


def test_a_picture_that_is_refused_is_named_before_anything_is_computed(in_batches, tmp_path):
    tiny, face = tiny_model.codec(), tiny_model.image()
    with pytest.raises(ValueError, match=r"images\[1\]: image is an array of float32"):
        tiny.compress_batch([face, face.astype(np.float32)])
    with pytest.raises(ImageError, match=r"images\[0\]: .*absent.png"):
        tiny.compress_batch([tmp_path / "absent.png", face])
    with pytest.raises(ValueError, match=r"images\[2\]: .*pixels"):
        tiny.compress_batch([face[:9, :9], face[:9, :9], face], max_pixels=100)
    with pytest.raises(ValueError, match="quality is 9"):
        tiny.compress_batch([face], quality=9)
    assert not in_batches
