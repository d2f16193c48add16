"""Where models lie: those shipped with the package, and folders that a person names. No JAX."""

import json
from pathlib import Path

MODELS = Path(__file__).parents[1] / "models"
DEFAULT_MODEL = "base"


class ModelError(ValueError):
    """An exported model that cannot be found or read, with the reason."""


def model_folder(model: str | Path) -> Path:
    """The folder of a shipped model's name, or of an exported model; ModelError for neither."""
    shipped = MODELS / str(model)
    directory = shipped if shipped.is_dir() else Path(model)
    if not directory.is_dir():
        names = ", ".join(sorted(p.parent.name for p in MODELS.glob("*/model.json"))) or "none"
        raise ModelError(f"{model} is neither a folder nor a shipped model; shipped are: {names}.")
    return directory


def model_names() -> dict[int, str]:
    """Names of the shipped models by fingerprint."""
    found = [json.loads(p.read_text()) for p in MODELS.glob("*/model.json")]
    return {int(model["fingerprint"], 16): model["name"] for model in found}


def writer_of(fingerprint: int) -> str:
    """The shipped model that writes files of a fingerprint; the default if none does."""
    return model_names().get(fingerprint, DEFAULT_MODEL)
