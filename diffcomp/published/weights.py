"""Reads the network's weights from the published files, whose format `torch_file` describes."""

from pathlib import Path
from typing import Any

import numpy as np

from diffcomp.files.torch_file import WeightsError, read_tensors

AVERAGE_PREFIX = "ema_model."  # of the averaged weights, in the files that have them
NOT_NETWORK = ("loss_fn_vgg.", "train_")  # the training loss's network, and tables of the schedule


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The network's weights in a published file, float32, by their published names.

    The averaged weights where the file has any (`ema`), `model` otherwise; without the prefix
    `ema_model.`, the perceptual network of the training loss and the tables of the schedule.
    Raises WeightsError, with the reason, for anything but an intact file of such weights, and
    OSError where the file cannot be opened.
    """
    return read_tensors(path, _network_tensors)


def _network_tensors(content: Any) -> dict[str, Any]:
    """What to read of the whole file, by name."""
    if not isinstance(content, dict) or not {"ema", "model"} & content.keys():
        raise WeightsError("it is no dictionary with an entry 'ema' or 'model'.")
    average = "ema" in content
    values, prefix = content["ema" if average else "model"], AVERAGE_PREFIX if average else ""
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise WeightsError(f"its entry {'ema' if average else 'model'!r} has no names.")
    named = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    return {name: value for name, value in named.items() if not name.startswith(NOT_NETWORK)}
