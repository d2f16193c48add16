"""The folder of the notebooks, and what their first cells import from it."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"


def install_module() -> ModuleType:
    """notebooks/install.py, as a notebook imports it."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module("install")
    finally:
        sys.path.remove(str(FOLDER))
