"""Run the notebooks of docs/. As a script (`make notebooks`), write their outputs into them."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).parent.parent.parent / "docs"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook with its current outputs; nothing in it depends on this machine."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=300, record_timing=False, coalesce_streams=True, resources=resources).execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if len(output.get("data", {})) > 1:
                del output.data["text/plain"]  # beside a picture: <graphviz.graphs.Digraph at 0x...>
    return notebook


def texts(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """For each cell, its printed output and the text of its result, without pictures."""
    return [
        [output.text if "text" in output else output.data["text/plain"]
         for output in cell.get("outputs", []) if "text" in output or "text/plain" in output.data]
        for cell in notebook.cells
    ]  # fmt: skip


if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.ipynb")):
        nbformat.write(run(path), path)
