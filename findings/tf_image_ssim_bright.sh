#!/usr/bin/env bash
# TensorFlow 2.17.1 (CPU), NumPy 1.26.4, SciPy 1.13.1, Python 3.11.
#
# One would think: tf.image.ssim gives a picture one value, whether its 8-bit values come as uint8 or
# as float32, and a value that is right to the digits that papers print.
#
# Seen: in bright, nearly flat pictures it is too low in the fourth digit, and differently for the two
# types. Level 250, deviation 0.5, 256x256 pixels, seed 0: 0.98881 of uint8, 0.98916 of float32 with
# max_val=255, 0.98935 in double precision by the same definition. Variances are differences of
# squares in single precision, and uint8 is first divided by 255. At level 128 and deviation 5 the
# three agree to 7e-5; a dark picture to 1e-5. An SSIM of skies or paper from it is no reference for
# another implementation below 5e-4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow-cpu==2.17.1 numpy==1.26.4 scipy==1.13.1 2> /dev/null \
  || "$folder/venv/bin/pip" install -q tensorflow==2.17.1 numpy==1.26.4 scipy==1.13.1
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2> "$folder/log" << 'PYTHON' || { tail -5 "$folder/log"; exit 1; }
import numpy as np
import tensorflow as tf
from scipy.ndimage import correlate1d


def double_precision(a, b):
    window = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def local_mean(v):
        return correlate1d(correlate1d(v, window, 0), window, 1)[5:-5, 5:-5]

    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = local_mean(a), local_mean(b)
    variances = local_mean(a * a) - mean_a**2 + local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return np.mean(luminance * (2 * covariance + c2) / (variances + c2))


rng = np.random.default_rng(0)


def picture(level, deviation):
    values = np.rint(level + deviation * rng.normal(size=(256, 256)))
    return np.clip(values, 0, 255).astype(np.uint8)


errors = {}
for level, deviation in ((250, 0.5), (128, 5), (30, 1)):
    a, b = picture(level, deviation), picture(level, deviation)
    shown = a[None, ..., None], b[None, ..., None]
    by_uint8 = float(tf.image.ssim(*shown, max_val=255)[0])
    by_float = float(tf.image.ssim(*(x.astype(np.float32) for x in shown), max_val=255)[0])
    right = double_precision(a, b)
    print(f"level {level}: uint8 {by_uint8:.5f}, float32 {by_float:.5f}, double {right:.5f}")
    errors[level] = (right - by_uint8, right - by_float)
assert errors[250][0] > 3e-4, errors
assert abs(errors[250][0] - errors[250][1]) > 1e-4, errors
assert max(abs(e) for e in errors[30]) < 3e-5, errors
PYTHON
