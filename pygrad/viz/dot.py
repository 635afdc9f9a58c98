"""Draws graphs with graphviz, as micrograd's trace_graph notebook does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pygrad.viz.root import Roots, values_of

if TYPE_CHECKING:
    import graphviz

_MAX_NODES = 2000  # for larger graphs graphviz takes minutes and the picture is unreadable


def draw_dot(root: Roots, format: str = "svg", rankdir: str = "LR") -> graphviz.Digraph:
    """Draw the graph of `root`. Notebooks show the result; its method `render(path)` writes it to a file.

    Parameters
    ----------
    root
        The result of the graph to draw: a Value, such as a loss. Of several, in a list or an Array, the common graph.
    format
        `'svg'`, `'png'`, or another format of graphviz.
    rankdir
        `'LR'` to draw from left to right, `'TB'` from top to bottom.

    Returns
    -------
    graphviz.Digraph
        The drawing.

    Raises
    ------
    ValueError
        If the graph has more than 2,000 nodes, `root` is empty, or `rankdir` is neither of these.
    TypeError
        If `root` is something else, such as a model: its result has a graph.
    ImportError
        If the graphviz package is not installed. `to_dot` does not need it.

    Examples
    --------
    >>> from pygrad import Value
    >>> x = Value(1.0, label="x")
    >>> picture = draw_dot((x * 2 + 1).relu())
    >>> "ReLU" in picture.source
    True
    """
    statements = _statements(root, rankdir)
    try:
        import graphviz
    except ImportError as error:
        raise ImportError(
            "draw_dot needs `pip install graphviz`; pygrad.viz.to_dot(root) returns only the DOT text"
        ) from error
    dot = graphviz.Digraph(format=format, graph_attr={"rankdir": rankdir})
    dot.body.extend(f"    {statement}\n" for statement in statements)
    return dot


def to_dot(root: Roots, rankdir: str = "LR") -> str:
    """Return the graph of `root` in graphviz's DOT language. See `draw_dot` for the parameters.

    Examples
    --------
    >>> from pygrad import Value
    >>> x = Value(1.0, label="x")
    >>> print(to_dot(-x), end="")
    digraph {
        graph [rankdir=LR]
        n0 [label="{ data -1.0000 | grad 0.0000 }" shape=record]
        n0op [label="*"]
        n0op -> n0
        n1 -> n0op
        n2 -> n0op
        n1 [label="{ x | data 1.0000 | grad 0.0000 }" shape=record]
        n2 [label="{ data -1.0000 | grad 0.0000 }" shape=record]
    }
    """
    return "\n    ".join(["digraph {", f"graph [rankdir={rankdir}]", *_statements(root, rankdir)]) + "\n}\n"


def _statements(root: Roots, rankdir: str) -> list[str]:
    """The DOT statements: a box for each node and an oval for each op."""
    to_draw = values_of(root)
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir must be 'LR' or 'TB', not {rankdir!r}")
    names = {v: f"n{i}" for i, v in enumerate(to_draw)}
    statements = []
    for v in to_draw:
        name = names[v]
        label = f"{_escaped(v.label)} | " if v.label != "" else ""
        statements.append(f'{name} [label="{{ {label}data {v.data:.4f} | grad {v.grad:.4f} }}" shape=record]')
        if v._op:
            statements += [f'{name}op [label="{_escaped(v._op)}"]', f"{name}op -> {name}"]
        for child in sorted(v._prev, key=lambda child: child._id):  # _prev is a set; sort it for a fixed order
            if child not in names:
                names[child] = f"n{len(names)}"
                to_draw.append(child)
            statements.append(f"{names[child]} -> {name}op")
        if len(names) > _MAX_NODES:
            raise ValueError(
                f"the graph has more than {_MAX_NODES} nodes, too many to read; draw a part of it: pass a Value closer "
                "to the leaves, such as one neuron's output or the loss of one sample, or use graph_html"
            )
    return statements


def _escaped(text: Any) -> str:
    """Escape the characters that have a meaning in the label of a record."""
    return re.sub(r'([\\{}|<>"])', r"\\\1", str(text)).replace("\n", "\\n")
