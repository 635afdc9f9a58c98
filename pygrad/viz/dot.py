"""Pictures of graphs, as micrograd's trace_graph notebook draws them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pygrad.engine import Value

if TYPE_CHECKING:
    import graphviz

_MAX_NODES = 2000  # beyond that, graphviz takes minutes and nobody can read the picture


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR") -> graphviz.Digraph:
    """Return the graph that `root` was made of as a picture, which notebooks show and `.render(path)` writes.

    Parameters
    ----------
    format
        `'svg'`, `'png'`, or another of graphviz.
    rankdir
        `'LR'`: from left to right; `'TB'`: from top to bottom.

    Raises
    ------
    ValueError
        if the graph has too many nodes to be read, or for another `rankdir`.
    ImportError
        without the graphviz package; `to_dot` needs none.

    Examples
    --------
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
            "draw_dot needs `pip install graphviz`; pygrad.viz.to_dot(root) gives the text alone"
        ) from error
    dot = graphviz.Digraph(format=format, graph_attr={"rankdir": rankdir})
    dot.body.extend(f"    {statement}\n" for statement in statements)
    return dot


def to_dot(root: Value, rankdir: str = "LR") -> str:
    """Return the graph that `root` was made of in graphviz's DOT language; see `draw_dot`.

    Examples
    --------
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


def _statements(root: Value, rankdir: str) -> list[str]:
    """The picture's statements: a box a node, an oval an op."""
    if not isinstance(root, Value):
        raise TypeError(f"only the graph of a Value can be drawn, not of {type(root).__name__!r}")
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir must be 'LR' or 'TB', not {rankdir!r}")
    names = {root: "n0"}
    statements = []
    to_draw = [root]
    for v in to_draw:
        name = names[v]
        label = f"{_escaped(v.label)} | " if v.label != "" else ""
        statements.append(f'{name} [label="{{ {label}data {v.data:.4f} | grad {v.grad:.4f} }}" shape=record]')
        if v._op:
            statements += [f'{name}op [label="{_escaped(v._op)}"]', f"{name}op -> {name}"]
        for child in sorted(v._prev, key=lambda child: child._id):  # in an order that does not change
            if child not in names:
                names[child] = f"n{len(names)}"
                to_draw.append(child)
            statements.append(f"{names[child]} -> {name}op")
        if len(names) > _MAX_NODES:
            raise ValueError(
                f"the graph has more than {_MAX_NODES} nodes, too many to be read; draw a part of it: "
                "pass a Value nearer to the leaves, such as one neuron's output or a loss on one sample"
            )
    return statements


def _escaped(text: Any) -> str:
    """Text as a part of a record's label, where some characters have a meaning."""
    return re.sub(r'([\\{}|<>"])', r"\\\1", str(text)).replace("\n", "\\n")
