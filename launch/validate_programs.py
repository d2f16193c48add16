"""Exported programs against the model's networks: python launch/validate_programs.py FOLDER

Compares them stage by stage, on this machine's device, at each tile and at one other size, and
prints the largest error of each. The networks get the parameters of FOLDER, or of --source, a
shipped model's name or another folder. Exit code 1 if an error is beyond its bound, or if the
programs cannot be read.
"""

from absl import app, flags
from absl import logging as absl_logging

from diffcomp.export import exported_model
from diffcomp.export.shipped_models import ModelError, model_folder
from diffcomp.exported_programs import comparison, loading

_SOURCE = flags.DEFINE_string("source", None, "The model to compare with (default: FOLDER's own).")
_ANY_JAX = flags.DEFINE_bool("any_jax", False, "Also where JAX does not promise to read them.")


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise app.UsageError("Give the folder of an exported model.")
    absl_logging.set_verbosity(absl_logging.WARNING)
    try:
        codec = loading.load(argv[1], any_jax=_ANY_JAX.value)
        source = exported_model.load(model_folder(_SOURCE.value or argv[1]))
        rows = list(comparison.compare(codec, source))
    except ModelError as error:
        raise SystemExit(f"validate_programs: {error}") from error
    print(comparison.table(rows))
    beyond = sum(not row.within for row in rows)
    if beyond:
        raise SystemExit(f"validate_programs: {beyond} of {len(rows)} are beyond the bound")
    print("all within the bounds")


if __name__ == "__main__":
    app.run(main)
