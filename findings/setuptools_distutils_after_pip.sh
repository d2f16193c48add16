#!/usr/bin/env bash
# setuptools 81.0.0 puts its own copy in the place of `distutils`, for libraries that still import it,
# TensorFlow 2.17 among them. One would guess that looking whether pip is installed changes nothing.
# It does: the finder that setuptools puts on sys.meta_path takes a search for the module `pip` as a
# sign that pip is running, and hands out no distutils from then on. Seen: before, distutils comes
# from setuptools, without a warning; after importlib.util.find_spec("pip"), which imports nothing,
# it is the standard library's, with its DeprecationWarning (Python 3.11.7). So a test that asks for
# pip by pytest.importorskip makes TensorFlow fail in another test of the same process where warnings
# are errors; importlib.metadata asks harmlessly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --quiet install setuptools==81.0.0

origin() {
  "$folder/venv/bin/python" -W ignore -c "
import importlib.metadata, importlib.util
$1
try:
    import distutils
    print('setuptools' if 'setuptools' in distutils.__file__ else 'standard library')
except ModuleNotFoundError:
    print('none')"
}

plain=$(origin "pass")
by_metadata=$(origin "importlib.metadata.version('pip')")
by_finder=$(origin "importlib.util.find_spec('pip')")
echo "plain: $plain; pip looked for in metadata: $by_metadata; by find_spec: $by_finder"
[ "$plain" = setuptools ]
[ "$by_metadata" = setuptools ]
[ "$by_finder" != setuptools ]
