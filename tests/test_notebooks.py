"""Runs the notebooks from top to bottom, without a browser, and looks at what they computed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
import nbformat
from nbclient import NotebookClient
from notebook_folder import FOLDER, ROOT, install_module

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TINY_MODEL = ROOT / "tests" / "golden" / "tiny_model"

pytestmark = pytest.mark.colab

# What the last cell, which a test adds, hands over.
REPORT = "import json\nprint('RESULT', json.dumps({}))"


def run(name: str, folder: Path, result: str, **parameters: object) -> dict:
    """Runs a notebook in a folder with these parameters; returns the value of `result`, a dict."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    index = next(
        i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", ())
    )
    known = set(re.findall(r"^(\w+) =", notebook.cells[index].source, re.MULTILINE))
    assert set(parameters) <= known
    values = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(values))
    notebook.cells.append(nbformat.v4.new_code_cell(REPORT.format(result)))
    # The clone is looked for from where the notebook lies.
    start = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport os\nos.chdir({str(ROOT)!r})"
    first = next(i for i, c in enumerate(notebook.cells) if c.cell_type == "code")
    notebook.cells.insert(first, nbformat.v4.new_code_cell(start))
    notebook.cells.insert(first + 2, nbformat.v4.new_code_cell(f"os.chdir({str(folder)!r})"))
    # "immediate" ends TensorBoard too, a child of the kernel.
    client = NotebookClient(
        notebook, timeout=500, kernel_name="python3", shutdown_kernel="immediate"
    )
    client.execute(cwd=str(folder))
    text = "".join(o.get("text", "") for o in notebook.cells[-1].outputs)
    return json.loads(text.partition("RESULT ")[2])


@pytest.fixture(autouse=True)
def _kernel(monkeypatch):
    """The kernel is this interpreter, whatever kernels the user has, and finds this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")


def test_compress_a_photo(tmp_path):
    found = run(
        "compress_a_photo",
        tmp_path,
        "{'data': data.hex(), 'psnr': psnr(decoded, image), 'avif': avif and len(avif.data)}",
        SIDE=128,
        QUALITY=6.0,
    )
    data = bytes.fromhex(found["data"])
    assert (tmp_path / "photo.dfc").read_bytes() == data
    assert 300 < len(data) < 3000
    assert found["psnr"] > 24
    assert 0.7 * len(data) < found["avif"] <= len(data)


def test_evaluate(tmp_path):
    found = run(
        "evaluate",
        tmp_path,
        "{'summary': summary, 'plots': [plot.name for plot in plots]}",
        MODEL=str(TINY_MODEL),
        QUALITIES="4,8",
        BASELINES="jpeg=30/90,avif=30/80",
        METRICS="psnr",
        SIDE=96,
    )
    rates = {}
    for row in found["summary"]:
        rates.setdefault(row["codec"], []).append((float(row["bpp"]), float(row["psnr"])))
    assert len(rates) == 3
    for points in rates.values():
        (low, low_psnr), (high, high_psnr) = sorted(points)
        assert low < high and low_psnr < high_psnr
    assert any("psnr" in name for name in found["plots"])
    assert (tmp_path / "evaluation" / "report.html").stat().st_size > 10_000


def test_train_and_export(tmp_path):
    result = "{'bytes': len(data), 'shape': decoded.shape, 'std': float(decoded.std())}"
    found = run("train_and_export", tmp_path, result)
    assert found["shape"] == [128, 128, 3]
    assert found["bytes"] > 29
    assert found["std"] > 1
    metrics = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert len(metrics) > 4
    assert list((tmp_path / "run").glob("**/events.*"))
    assert json.loads((tmp_path / "model" / "model.json").read_text())


def test_published_model(tmp_path):
    found = run(
        "published_model",
        tmp_path,
        "{'bytes': len(data), 'rows': [row[:4] for row in rows], 'one_rate': codec.one_rate,"
        " 'pictures': [row[4].tolist() for row in rows]}",
        WEIGHTS=str(ROOT / "tests" / "golden" / "cdc" / "epsilonparam_tiny.pt"),
        STEPS=(1, 65),
        SIDE=64,
    )
    assert found["one_rate"] and found["bytes"] > 29
    assert [row[0] for row in found["rows"]] == [1, 65]
    assert all(np.isfinite(row).all() for row in found["rows"])
    one, many = (np.array(picture) for picture in found["pictures"])
    assert one.shape == (64, 64, 3) and np.abs(one - many).mean() > 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_one_address(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    # A sentence above each cell.
    kinds = [cell.cell_type for cell in notebook.cells]
    assert all(kinds[i - 1] == "markdown" for i, kind in enumerate(kinds) if kind == "code")
    addresses = set(re.findall(r"github(?:\.com)?/(\w[\w-]*/\w[\w-]*)", path.read_text()))
    owner = install_module().REPOSITORY.partition("github.com/")[2]
    assert addresses == {owner}
    assert f"blob/main/notebooks/{path.name}" in (ROOT / "docs" / "notebooks.md").read_text()
