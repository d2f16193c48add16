"""The golden streams decoded under other settings of threads, JAX and XLA, and by other networks.

    python tests/exactness.py [--base]

Symbols and y_hat must be the same, bit for bit, under each setting: that of the tiny model's file,
and with --base those of the shipped model's. The picture comes from floats, and is held against
that of the default settings: the largest difference of a sample, of 255, and the PSNR between the
two. `perturbed` multiplies each weight of the networks, of which no symbol may depend on one, by
1 + 0.001 times a normal random number. Each setting is a process of its own, forked before JAX
starts; settings that this JAX does not know are left out, and said.
"""

import argparse
import dataclasses
import json
import os
import pickle
import sys
import warnings
from typing import NamedTuple

import numpy as np
from golden_streams import CASES, DIGESTS, FOLDER
from golden_streams import digest as stream_digest
from tiny_model import DIGEST, FILE, MODEL, digest

from diffcomp.codec import Codec, load

LARGEST = 0.001  # relative deviation of a perturbed weight


class Setting(NamedTuple):
    """How a process decodes; XLA's flags are read when it first computes."""

    name: str
    flags: str = ""
    cores: int = 0  # 0: all that there are
    blas: int = 0  # threads; 0: as many as cores
    x64: bool = False
    perturbed: bool = False


SETTINGS = (
    Setting("default"),
    Setting("perturbed", perturbed=True),
    Setting("x64", x64=True),
    *(Setting(f"{n} threads of BLAS", blas=n) for n in (1, 2, 4, 8)),
    Setting("one core", cores=1),
    Setting("one thread in XLA", "--xla_cpu_multi_thread_eigen=false"),
    *(Setting(f"optimisation {n}", f"--xla_backend_optimization_level={n}") for n in range(4)),
    Setting("fast math", "--xla_cpu_enable_fast_math=true"),
    Setting("thunk runtime off", "--xla_cpu_use_thunk_runtime=false"),
    Setting("thunk runtime on", "--xla_cpu_use_thunk_runtime=true"),
    Setting("two devices", "--xla_force_host_platform_device_count=2"),
)


class Found(NamedTuple):
    """What a process decoded."""

    exact: dict[str, bool]  # by file: whether all is as in the golden digests
    picture: np.ndarray  # of the tiny model's file


def found_under(setting: Setting, base: bool) -> Found | None:
    """What a forked process finds, or None if it does not know the setting."""
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        with os.fdopen(target, "wb") as pipe:
            pickle.dump(_decode(setting, base), pipe)
            pipe.flush()
        os._exit(0)
    os.close(target)
    with os.fdopen(source, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None


def _decode(setting: Setting, base: bool) -> Found:
    import jax
    from threadpoolctl import threadpool_limits

    # An unknown flag ends the process, with lines that are of no interest.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.environ["XLA_FLAGS"] = setting.flags
    if setting.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: setting.cores])
    jax.config.update("jax_enable_x64", setting.x64)
    jax.config.update("jax_enable_compilation_cache", False)
    with threadpool_limits(setting.blas or os.cpu_count(), user_api="blas"):
        codec = load(MODEL)
        if setting.perturbed:
            codec = perturbed(codec)
        data = FILE.read_bytes()
        exact = {FILE.name: digest(codec, data) == json.loads(DIGEST.read_text())}
        if base:
            golden = json.loads(DIGESTS.read_text())
            for name, (model, _) in CASES.items():
                if model == "base":
                    found = stream_digest(model, (FOLDER / name).read_bytes())
                    exact[name] = {**golden[name], **found} == golden[name]
        return Found(exact, codec.decompress(data))


def perturbed(codec: Codec) -> Codec:
    rng = np.random.default_rng(5)
    weights = {
        path: (value * (1 + LARGEST * rng.standard_normal(value.shape))).astype(np.float32)
        for path, value in codec.model.weights.items()
    }
    return Codec(dataclasses.replace(codec.model, weights=weights))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def main() -> int:
    """A line per setting; returns 1 if any symbol was another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", action="store_true", help="the shipped model's files too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    reference = found_under(SETTINGS[0], args.base)
    assert reference is not None
    wrong = 0
    for setting in SETTINGS:
        found = reference if setting == SETTINGS[0] else found_under(setting, args.base)
        if found is None:
            print(f"{setting.name:22s} not known here", flush=True)
            continue
        same = sum(found.exact.values())
        wrong += same < len(found.exact)
        difference = np.abs(found.picture.astype(int) - reference.picture).max()
        print(
            f"{setting.name:22s} exact {same} of {len(found.exact)}; picture: largest difference"
            f" {difference} of 255, {psnr(found.picture, reference.picture):.1f} dB",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
