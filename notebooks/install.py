"""Installs diffcomp into a notebook's environment without changing what that has for JAX.

Plain Python, for it runs before diffcomp is there: the first cell of each notebook imports it from
the clone. pip is given, as constraints, the versions of the packages below and of all that the
notebook has imported already, so nothing needs a restart; if that cannot be, nothing is changed.
"""

import importlib
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

# Where the badges and the first cells of the notebooks find the project. OWNER stands for its
# account: tests/test_notebooks.py holds every copy of this address against this one.
REPOSITORY = "https://github.com/OWNER/diffcomp"

# Of one build with the driver and with each other: changing one breaks Colab's accelerators.
HELD = (
    *("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda12-pjrt", "jax-cuda13-plugin"),
    *("jax-cuda13-pjrt", "libtpu", "numpy", "flax"),
)


class InstallError(RuntimeError):
    """diffcomp could not be installed, and why."""


def install(project: Path, extras: str = "") -> None:
    """Installs the project in a folder with its extras ("train,notebooks"), unless it is there.

    Raises InstallError if pip fails, above all if one of HELD would have to change.
    """
    names = tuple(name for name in extras.split(",") if name)
    if not missing(names):
        print(f"diffcomp {metadata.version('diffcomp')} is installed, with all that it needs.")
        return
    before = versions(HELD)
    _run_pip(f"{project}[{extras}]" if extras else str(project), held_versions())
    importlib.invalidate_caches()
    after = versions(HELD)
    changed = [f"{k} {v} to {after.get(k)}" for k, v in before.items() if after.get(k) != v]
    if changed:
        raise InstallError(f"pip changed {', '.join(changed)}; start a new runtime.")
    print(f"diffcomp {metadata.version('diffcomp')} is installed beside {_listed(after)}.")


def missing(extras: tuple[str, ...]) -> list[str]:
    """What diffcomp with these extras asks for and this environment lacks; "diffcomp" if itself."""
    from packaging.requirements import Requirement  # ipykernel needs it too

    try:
        texts = metadata.requires("diffcomp") or []
    except metadata.PackageNotFoundError:
        return ["diffcomp"]
    lacking = []
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        version = versions((requirement.name,)).get(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            lacking.append(str(requirement))
    return lacking


def held_versions() -> dict[str, str]:
    """Version by package, of HELD and of what this process has imported."""
    loaded = {name.partition(".")[0] for name in sys.modules}
    providers = metadata.packages_distributions()
    imported = {name for module in loaded for name in providers.get(module, ())}
    return versions((*HELD, *sorted(imported - {"diffcomp"})))


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Version by package, of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _run_pip(target: str, held: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in held.items()))
        options = ["--quiet", "--disable-pip-version-check", "--constraint", str(constraints)]
        command = [sys.executable, "-m", "pip", "install", *options, target]
        done = subprocess.run(command, capture_output=True, text=True)
    if not done.returncode:
        return
    if "ResolutionImpossible" in done.stderr or "No matching distribution" in done.stderr:
        raise InstallError(
            f"diffcomp cannot be installed beside {_listed(versions(HELD))}, and they must not"
            f" change here; nothing was changed. pip said:\n{done.stderr.strip()}"
        )
    raise InstallError(f"pip failed:\n{done.stderr.strip()}")


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items()) or "no JAX"
