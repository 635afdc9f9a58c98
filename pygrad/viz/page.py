"""Writes a graph as a self-contained HTML page to pan, zoom and search, which shows what feeds a node."""

from __future__ import annotations

import html
import json
import os
from importlib import resources
from pathlib import Path

from pygrad._lib import lib
from pygrad.array import Array
from pygrad.engine import Value
from pygrad.viz.layout import layered
from pygrad.viz.root import single_value

_MAX_NODES = 5000  # a browser draws this many smoothly
_MAX_COUNTED = 100_000  # counting stops here, after about a second


class GraphPage:
    """A page made by `graph_html`. Notebooks show it, `page.save(path)` writes it, and `str(page)` is its HTML."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __str__(self) -> str:
        return self._source

    def __repr__(self) -> str:
        return f"<GraphPage of {len(self._source):,} characters: page.save('graph.html') writes it>"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to an HTML file and return the file's path."""
        path = Path(path)
        path.write_text(self._source, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        """The page in a sandboxed frame that may run scripts and nothing else, for notebooks."""
        return (
            f'<iframe srcdoc="{html.escape(self._source)}" sandbox="allow-scripts" title="graph"'
            ' style="width: 100%; height: 600px; border: 0"></iframe>'
        )


def graph_html(root: Value | Array) -> GraphPage:
    """Return the graph of `root` as a self-contained HTML page for exploring it.

    Drag to pan, scroll to zoom, and search for labels and ops. Click a node to see its data, grad and op, and to
    highlight what feeds it and what it feeds. The page shows the graph at the time of the call. It does not update.

    Parameters
    ----------
    root
        A Value, or an Array without axes, such as a loss.

    Raises
    ------
    ValueError
        If the graph has more than 5,000 nodes, or `root` is an Array with axes.

    Examples
    --------
    >>> x = Value(3.0, label="x")
    >>> y = (x * 2 + 1).tanh()
    >>> y.backward()
    >>> page = graph_html(y)
    >>> str(page).startswith("<!DOCTYPE html>")
    True
    >>> page.save("graph.html")  # doctest: +SKIP
    """
    values = _in_topological_order(single_value(root))
    number = {value: index for index, value in enumerate(values)}
    operands = [[number[operand] for operand in _operands(value)] for value in values]
    layout = layered(operands)
    nodes = [
        {
            "label": value.label,
            "op": value._op,
            "data": repr(value.data),
            "grad": repr(value.grad),
            "operands": its,
            "column": column,
            "height": height,
            "lane": lane,
        }
        for value, its, column, height, lane in zip(values, operands, *layout)
    ]
    # Escape "<", the only character that can end a script element or change how it is parsed.
    graph = json.dumps(nodes, separators=(",", ":")).replace("<", "\\u003c")
    template = (resources.files("pygrad.viz") / "page.html").read_text(encoding="utf-8")
    return GraphPage(template.replace("{{graph}}", graph))


def _operands(value: Value) -> list[Value]:
    """The operands in order. Unlike in `_prev`, an operand that is used twice occurs twice."""
    if hasattr(value, "_symbol"):  # an op written in Python
        return [operand for operand in value._pins if isinstance(operand, Value)]
    operands = {operand._id: operand for operand in value._prev}
    ids = [lib.pg_operand(value._id, which) for which in (0, 1)]
    return [operands[id] for id in ids if id in operands]  # an op's constant is not an operand in `_prev`


def _in_topological_order(root: Value) -> list[Value]:
    """The nodes of the graph, operands before results, the root last. Raises ValueError if there are too many."""
    order: list[Value] = []
    seen = {root}
    path = [(root, iter(_operands(root)))]
    while path and len(seen) <= _MAX_COUNTED:
        operand = next((operand for operand in path[-1][1] if operand not in seen), None)
        if operand is not None:
            seen.add(operand)
            path.append((operand, iter(_operands(operand))))
        else:
            order.append(path.pop()[0])
    if len(seen) > _MAX_NODES:
        count = f"{len(seen):,}" if not path else f"more than {_MAX_COUNTED:,}"
        raise ValueError(
            f"the graph has {count} nodes, and a page shows at most {_MAX_NODES:,}; show a part of it: pass a Value "
            "closer to the leaves, such as one neuron's output or the loss of one sample"
        )
    return order
