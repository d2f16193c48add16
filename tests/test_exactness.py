"""No symbol depends on a float of the networks; `exactness.py` tries settings of JAX and XLA."""

import json

import numpy as np
import tiny_model
from exactness import perturbed, psnr


def test_networks_that_differ_a_little_decode_the_same_symbols():
    other, data = perturbed(tiny_model.codec()), tiny_model.FILE.read_bytes()
    assert tiny_model.digest(other, data) == json.loads(tiny_model.DIGEST.read_text())
    pictures = [codec.decompress(data) for codec in (tiny_model.codec(), other)]
    assert not np.array_equal(*pictures)
    assert psnr(*pictures) > 35
