#!/usr/bin/env bash
# jax 0.10.2: `jax.export` traces and lowers with jax alone, but the exported program cannot be written
# or read: `serialize` raises ImportError, since it wants the package flatbuffers, which jax does not
# declare, not even as an extra. Where TensorFlow is installed it goes unnoticed: TensorFlow brings it.
# Seen: "Please install 'flatbuffers' in order to use Exported serialization"; after
# `pip install flatbuffers` (25.12.19) the same call gives bytes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet jax==0.10.2 jaxlib==0.10.2 2> /dev/null
cat > "$work/program.py" << 'PY'
import importlib.metadata, jax
from jax import export

exported = export.export(jax.jit(lambda x: 2 * x))(jax.ShapeDtypeStruct((3,), "float32"))
declared = [r for r in importlib.metadata.requires("jax") if "flatbuffers" in r]
assert not declared, declared
try:
    print(len(exported.serialize()), "bytes")
except ImportError as error:
    print("ImportError:", error)
PY
without=$("$work/venv/bin/python" "$work/program.py")
echo "without flatbuffers: $without"
[[ "$without" == *"install 'flatbuffers'"* ]]
"$work/venv/bin/pip" install --quiet flatbuffers==25.12.19 2> /dev/null
with=$("$work/venv/bin/python" "$work/program.py")
echo "with flatbuffers: $with"
[[ "$with" == *bytes* ]]
