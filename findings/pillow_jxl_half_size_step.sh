#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8 (libjxl inside), Pillow 13.0.0, NumPy 2.4.1, Python 3.11.
#
# One would think: a higher quality gives a larger file, so that a ladder of qualities is one curve.
#
# Seen: up to quality 18 the picture is coded at half its size and from 19 on at its full size, which
# nothing says; of pictures with fine detail the file of 19 is smaller than that of 18. Noise over a
# gradient, 512x512: 18 takes more bytes than 19, though 17 < 18 and 19 < 20. A rate-distortion curve
# from qualities on both sides of the step is two codecs' in one, and a Bjontegaard rate of it is not
# one. Quality 100 raises RuntimeError ("The encoder API is used in an incorrect way").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 pillow-jxl-plugin==1.3.8 numpy==2.4.1 2> /dev/null
"$folder/venv/bin/python" - << 'PYTHON'
import io

import numpy as np
import pillow_jxl  # noqa: F401  registers the format
from PIL import Image

rows, columns = np.indices((512, 512))
rng = np.random.default_rng(0)
grain = np.stack([rng.normal(size=(512, 512))] * 3, axis=-1)
base = np.stack([60 + columns / 4, 90 + rows / 4, np.full((512, 512), 120.0)], axis=-1)
image = Image.fromarray(np.clip(base + 12 * grain, 0, 255).astype(np.uint8))


def size(quality):
    file = io.BytesIO()
    image.save(file, "JXL", quality=quality)
    return len(file.getvalue())


sizes = {quality: size(quality) for quality in (16, 17, 18, 19, 20, 21)}
print(sizes)
assert sizes[16] < sizes[17] < sizes[18] and sizes[19] < sizes[20] < sizes[21], sizes
assert sizes[18] > sizes[19], sizes
try:
    size(100)
except RuntimeError as error:
    print("quality 100:", error)
else:
    raise AssertionError("quality 100 is taken")
PYTHON
