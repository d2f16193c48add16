#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8 (libjxl in its wheel), Pillow 13.0.0, Python 3.11.
#
# One would think: `image.save("a.jxl", icc_profile=profile)` keeps the profile, as it does with
# Pillow's PNG, JPEG, TIFF, WebP and AVIF, and as `image.save` does by itself for a picture that has one.
#
# Seen: it is dropped without a word, whether it is given or stands in `image.info`, lossless or not,
# and with use_original_profile=True: the file says sRGB. A picture in Display P3 or in linear light
# comes back in other colours. What the profile stood for must be converted before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 pillow-jxl-plugin==1.3.8 2> /dev/null
"$folder/venv/bin/python" -W error - << 'PYTHON'
import io

import pillow_jxl  # registers the format
from PIL import Image, ImageCms

srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# sRGB with red and green primaries exchanged: valid, and unlike any default.
swapped = srgb.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
assert swapped != srgb
image = Image.new("RGB", (8, 8), (200, 60, 30))


def described(profile):
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    return [round(value, 2) for value in opened.red_colorant[0]]


def kept(kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return described(Image.open(file).info["icc_profile"])


print("red of the profile:", described(swapped))
for kind in ("PNG", "WEBP", "AVIF"):
    found = kept(kind, icc_profile=swapped)
    print(f"{kind}: {found}")
    assert found == described(swapped)
for options in ({"lossless": True}, {"quality": 90}, {"use_original_profile": True}):
    found = kept("JXL", icc_profile=swapped, **options)
    print(f"JXL {options}: {found}")
    assert found != described(swapped)
image.info["icc_profile"] = swapped
assert kept("PNG") == described(swapped)
assert kept("JXL") != described(swapped)
print("JXL of a picture that has the profile: dropped as well")
PYTHON
