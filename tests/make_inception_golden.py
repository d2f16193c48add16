"""Writes tests/golden/inception.json: features of random weights by the package pytorch-fid.

Not run by the tests. It needs an environment of its own:

    pip install torch==2.13.0 torchvision==0.28.0
    pip install --no-deps pytorch-fid==0.3.0
    python tests/make_inception_golden.py
"""

import json
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from inception_tensors import images, random_tensor
from pytorch_fid import inception

GOLDEN = Path(__file__).parent / "golden" / "inception.json"


def random_state(self, state):
    for name, value in self.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(random_tensor(name, tuple(value.shape))))


def main():
    with (
        mock.patch.object(inception, "load_state_dict_from_url", lambda *_, **__: {}),
        mock.patch.object(torch.nn.Module, "load_state_dict", random_state),
    ):
        network = inception.InceptionV3().eval()
    with torch.no_grad():
        batch = torch.from_numpy(images().transpose(0, 3, 1, 2) / np.float32(255))
        features = network(batch)[0][:, :, 0, 0].double().numpy()
    values = {
        "source": f"pytorch-fid 0.3.0 with torch {torch.__version__}; every 64th of 2048 features",
        "features": features[:, ::64].tolist(),
        "norms": np.linalg.norm(features, axis=1).tolist(),
    }
    GOLDEN.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
