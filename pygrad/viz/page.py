"""Writes a graph as a self-contained HTML page to explore it, and to play its forward and its backward pass."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pygrad._lib import ffi, lib
from pygrad.engine import Value
from pygrad.nn import Module
from pygrad.viz.layout import layered
from pygrad.viz.modules import box_operands, folded, makers, parameters_of
from pygrad.viz.root import Roots, values_of
from pygrad.viz.steps import backward_pass, operands_of

_MAX_NODES = 5000  # a browser draws this many smoothly
_MAX_COUNTED = 100_000  # counting stops here, after about a second
_SCRIPTS = ("graph", "pass", "drawing", "items", "view", "search", "panel", "lesson", "player", "keys")


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


def graph_html(root: Roots, model: Module | None = None) -> GraphPage:
    """Return the graph of `root` as a self-contained HTML page, which plays its forward and its backward pass.

    Press the play button, or the space bar, to see the passes node by node: each step of the backward pass shows the
    gradient from above, the local derivative of each operand, their product, and the sum so far. The gradients are
    those of `root.backward()`, whether it was called or not; of several roots, those of the `backward()` of their sum.

    Drag to pan, scroll to zoom, and search for labels, ops and numbers. Click a node to see its data, grad and op, and
    to highlight what feeds it and what it feeds. The page shows the graph at the time of the call. It does not update.

    Parameters
    ----------
    root
        A Value, such as a loss. Of several, in a list or an Array, such as the outputs of a model, the common graph. To
        see the instructions of a Program, pass what it returns for Values: `graph_html(program(Value(1.0)))`.
    model
        The model that computed it: parameters without a label get their names in the model, such as
        `layers.0.neurons.1.w.0`, and the page can fold each module into one box.

    Raises
    ------
    ValueError
        If the graph has more than 5,000 nodes, or `root` is empty.
    TypeError
        If `root` is something else, such as a model, or `model` is no Module.

    Examples
    --------
    >>> x = Value(3.0, label="x")
    >>> y = (x * 2 + 1).tanh()
    >>> page = graph_html(y)
    >>> str(page).startswith("<!DOCTYPE html>")
    True
    >>> page.save("graph.html")  # doctest: +SKIP
    """
    values, operands, roots = _graph(values_of(root))
    owned = parameters_of(model) if model is not None else {}
    parameters = [owned.get(value._id) for value in values]
    nodes = [
        {
            "label": value.label or (parameter.name if parameter else ""),
            "op": value._op,
            "python": _in_python(value),
            "data": repr(value.data),
            "grad": repr(value.grad),
            "operands": its,
            "slopes": step and list(map(_number, step.slopes)),
            "products": step and list(map(_number, step.products)),
            "column": column,
            "height": height,
            "lane": lane,
        }
        for value, parameter, its, step, column, height, lane in zip(
            values, parameters, operands, backward_pass(values, operands, roots), *layered(operands)
        )
    ]
    zeros = {at for at, value in enumerate(values) if not operands[at] and not value.data}
    made = makers(operands, [parameter.modules if parameter else () for parameter in parameters], zeros)
    return _page({"nodes": nodes, "roots": roots, "folds": _folds(operands, made)})


def _folds(operands: Sequence[Sequence[int]], made: Sequence[tuple[str, ...]]) -> list[list[dict[str, Any]]]:
    """The folded graphs, from the smallest modules to the largest."""
    folds = []
    for depth in range(max(map(len, made)), 0, -1):
        boxes = folded(operands, [modules[:depth][-1] if modules else "" for modules in made])
        layout = zip(*layered(box_operands(operands, boxes)))
        folds.append(
            [
                {"module": box.module, "members": box.members, "column": column, "height": height, "lane": lane}
                for box, (column, height, lane) in zip(boxes, layout)
            ]
        )
    return folds


def _page(graph: dict[str, Any]) -> GraphPage:
    # Escape "<", the only character that can end a script element or change how it is parsed.
    data = json.dumps(graph, separators=(",", ":")).replace("<", "\\u003c")
    web = resources.files("pygrad.viz") / "web"
    template, style, *scripts = (
        (web / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *(f"{s}.js" for s in _SCRIPTS))
    )
    template = template.replace("{{style}}", style).replace("{{script}}", "\n".join(scripts))
    return GraphPage(template.replace("{{graph}}", data))


def _number(x: float | None) -> str | None:
    """A number as Python writes it: JSON has no nan, and JavaScript has no ints."""
    return None if x is None else repr(x)


def _in_python(value: Value) -> str:
    """What Python does at a node, as far as it is not what pygrad does: for example "_backward: cube.<locals>.f"."""
    function = getattr(value, "_closure", None)
    if hasattr(function, "local_grads"):
        return "local derivatives given"
    if function is not None:
        return f"_backward: {getattr(function, '__qualname__', None) or type(function).__qualname__}"
    made_in_python = hasattr(value, "_closure") or (value._children and not lib.pg_op_arity(lib.pg_op(value._id)))
    return "no _backward" if made_in_python else ""


def _graph(roots: list[Value]) -> tuple[list[Value], list[list[int]], list[int]]:
    """The nodes of the graph, from the oldest to the youngest, and the places of their operands and of the roots."""
    operands = _below(roots)
    values = sorted(operands, key=lambda value: value._id)
    ages = ffi.new("uint32_t[]", len(values))
    lib.pg_ages(len(values), [value._id for value in values], ages)
    values = [value for _, value in sorted(zip(ages, values), key=lambda pair: -pair[0])]  # within one age by id
    place = {value: at for at, value in enumerate(values)}
    return values, [[place[operand] for operand in operands[value]] for value in values], [place[v] for v in roots]


def _below(roots: list[Value]) -> dict[Value, tuple[Value, ...]]:
    """The nodes of the graph with their operands. Raises ValueError if there are too many."""
    found = {root: operands_of(root) for root in roots}
    to_do = list(roots)
    while to_do and len(found) <= _MAX_COUNTED:
        for operand in found[to_do.pop()]:
            if operand not in found:
                found[operand] = operands_of(operand)
                to_do.append(operand)
    if len(found) > _MAX_NODES:
        count = f"{len(found):,}" if not to_do else f"more than {_MAX_COUNTED:,}"
        raise ValueError(
            f"the graph has {count} nodes, and a page shows at most {_MAX_NODES:,}; show a part of it: pass a Value "
            "closer to the leaves, such as one neuron's output or the loss of one sample"
        )
    return found
