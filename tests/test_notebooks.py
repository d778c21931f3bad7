"""Notebooks run from top to bottom and are stored without output."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# the kernel's own dependencies warn about themselves
@pytest.mark.filterwarnings("ignore")
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored with output"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    texts = [output["data"]["text/plain"] for output in notebook.cells[-1].outputs]
    values = eval(next(text for text in texts if "CG-SENSE" in text), {})
    assert values["CG-SENSE"]["psnr"] > values["zero-filled"]["psnr"] + 3
