"""Generates the drawings and tables of the documentation from the code, when mkdocs builds the pages (see mkdocs.yml).

A line `<!-- drawn: name -->` of a page is replaced by the result of the function of that name.
"""

from __future__ import annotations

import math
import random
import re
from html import escape
from pathlib import Path
from typing import Any

from cffi import FFI

from pygrad import MLP, Value
from pygrad._handles import symbol_of
from pygrad._lib import lib, text
from pygrad.array.elementwise import Elementwise
from pygrad.viz import draw_dot, graph_html

CSRC = Path(__file__).parent.parent / "csrc"
ARENA = (CSRC / "graph" / "arena.h").read_text(encoding="utf-8")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Insert the drawings into a page. mkdocs calls this for each page."""
    return re.sub(r"^<!-- drawn: (\w+) -->$", lambda match: DRAWN[match[1]](), markdown, flags=re.MULTILINE)


def _svg(width: float, height: float, title: str, elements: list[str]) -> str:
    return (
        f'<figure class="drawing"><svg viewBox="0 0 {width:g} {height:g}" style="width: {width:g}px" role="img">'
        f"<title>{escape(title)}</title>{''.join(elements)}</svg></figure>"
    )


def _text(x: float, y: float, content: object, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(str(content))}</text>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{kind}"/>'


# A node -----------------------------------------------------------------------------------------------------------

BYTE, ROW, PER_ROW = 62, 52, 8  # the width of a byte, the height of a row, the bytes in it
MEANINGS = {
    "data": "the number",
    "grad": "its gradient",
    "a": "id of an operand",
    "b": "id of another",
    "refs": "reference count",
    "op": "table row",
    "flags": "bits",
    "mark": "sweep",
}


def node() -> str:
    """The bytes of a pg_node, as a C compiler lays them out."""
    (struct,) = re.findall(r"typedef struct \{(?:(?!\n\}).)*\n\} pg_node;", ARENA, re.DOTALL)
    ffi = FFI()
    ffi.cdef(f"typedef uint32_t pg_id; {struct}")
    elements = []
    fields = {field.offset: (name, ffi.sizeof(field.type)) for name, field in reversed(ffi.typeof("pg_node").fields)}
    for at, (name, size) in fields.items():  # reversed, so that the first member of a union wins
        left, top = 30 + at % PER_ROW * BYTE, 1 + at // PER_ROW * ROW
        middle = left + size / 2 * BYTE
        elements += [_box(left, top, size * BYTE, ROW, name), _text(middle, top + 22, name, "code")]
        elements += [_text(middle, top + 40, MEANINGS[name], "small")]
    size = ffi.sizeof("pg_node")
    elements += [_text(14, 1 + at // PER_ROW * ROW + 30, at, "small") for at in range(0, size, PER_ROW)]
    return _svg(32 + PER_ROW * BYTE, size // PER_ROW * ROW + 2, f"A node: {size} bytes", elements)


# Blocks -----------------------------------------------------------------------------------------------------------

CELL = 9  # the width of a node
BLOCK = int(re.findall(r"PG_BLOCK_NODES = (\d+)", ARENA)[0])
SIDE = math.isqrt(BLOCK)
KINDS = {"parameter": "parameter", "LEAF": "other leaf", "ADD": "+", "MUL": "*", "RELU": "ReLU"}


def blocks() -> str:
    """The arena's blocks during a training step and after it."""
    random.seed(1337)
    model = MLP(2, [4, 4, 1])
    samples = [(random.uniform(-1, 1), random.uniform(-1, 1)) for _ in range(8)]
    loss = sum((1 - model([x, y])).relu() for x, y in samples)
    parameters = {p._id for p in model.parameters()}
    span = range(min(parameters) // BLOCK, loss._id // BLOCK + 1)
    elements = _row_of_blocks(0, "While the loss is alive", span, parameters)
    del loss
    below = SIDE * CELL + 44
    elements += _row_of_blocks(below, "After the loss is deleted", span, parameters)
    for i, (kind, name) in enumerate(KINDS.items()):
        elements += [_box(1 + i * 100, 2 * below, CELL, CELL, kind), _text(16 + i * 100, 2 * below + 9, name, "start")]
    return _svg(len(span) * (SIDE * CELL + 16), 2 * below + 16, f"Blocks of {BLOCK} nodes", elements)


def _row_of_blocks(y: float, title: str, span: range, parameters: set[int]) -> list[str]:
    elements = [_text(1, y + 14, title, "start")]
    for column, block in enumerate(span):
        left, top = 1 + column * (SIDE * CELL + 16), y + 24
        elements.append(_box(left - 1, top - 1, SIDE * CELL + 1, SIDE * CELL + 1, "block"))
        for i in range(BLOCK):
            id = block * BLOCK + i
            if lib.pg_refs(id):
                kind = "parameter" if id in parameters else text(lib.pg_op_name(lib.pg_op(id)))
                elements.append(_box(left + i % SIDE * CELL, top + i // SIDE * CELL, CELL - 1, CELL - 1, kind))
    return elements


# A graph ----------------------------------------------------------------------------------------------------------


def _example() -> tuple[Value, dict[int, str]]:
    """The root of the page's example graph, after its backward pass, and the names of its nodes by id."""
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b + b**2
    c.label = "c"
    c.backward()
    names = {v._id: v.label for v in (a, b, c)}
    return c, names


def graph() -> str:
    """The example as draw_dot draws it."""
    c, _ = _example()
    svg = draw_dot(c).pipe(encoding="utf-8")
    return f'<figure class="graph">{svg[svg.index("<svg") :]}</figure>'


def played() -> str:
    """The expression of the README, to play its passes: see pygrad.viz.graph_html."""
    page: str = graph_html(_readme())._repr_html_()
    return f'<figure class="played">{page}</figure>'


def _readme() -> Value:
    """The result of the README's expression; what it assigns again to a name gets the next number."""
    names: dict[str, Value] = {}
    a = names["a"] = Value(-4.0)
    b = names["b"] = Value(2.0)
    c = names["c"] = a + b
    d = names["d"] = a * b + b**3
    c = names["c2"] = c + (c + 1)
    c = names["c3"] = c + (1 + c + (-a))
    d = names["d2"] = d + (d * 2 + (b + a).relu())
    d = names["d3"] = d + (3 * d + (b - a).relu())
    e = names["e"] = c - d
    f = names["f"] = e**2
    g = names["g1"] = f / 2.0
    g = names["g"] = g + 10.0 / f
    for name, value in names.items():
        value.label = name
    g.backward()
    return g


STEP = 104  # the distance between nodes


def sweep() -> str:
    """The example's nodes in creation order, with edges to their operands and the direction of the sweep."""
    c, names = _example()
    ids = _below(c._id)
    x = {id: 52 + i * STEP for i, id in enumerate(ids)}
    elements = [
        f'<path d="M {x[id]:g} 84 C {x[id]:g} {84 - height:g}, {x[operand]:g} {84 - height:g}, {x[operand]:g} 84"/>'
        for id in ids
        for operand in _operands(id)
        for height in [20 + 0.28 * (x[id] - x[operand])]
    ]
    for i, id in enumerate(ids):
        elements += [_box(x[id] - 44, 84, 88, 66, "")]
        op = symbol_of(id) or "leaf"
        elements += [_text(x[id], 102, f"{names[id]}: {op}" if id in names else op, "code")]
        elements += [_text(x[id], 121, f"data {lib.pg_data(id):g}"), _text(x[id], 139, f"grad {lib.pg_grad(id):g}")]
        elements += [_text(x[id], 168, f"node {i}", "small")]
    right, left = x[ids[-1]], x[ids[0]]
    elements += [f'<path class="arrow" d="M {right:g} 184 H {left:g} m 9 -5 l -9 5 l 9 5"/>']
    elements += [_text((left + right) / 2, 204, "the backward sweep")]
    return _svg(len(ids) * STEP, 212, "The backward sweep", elements)


def _operands(id: int) -> list[int]:
    return [operand for operand in (lib.pg_operand(id, 0), lib.pg_operand(id, 1)) if operand]


def _below(root: int) -> list[int]:
    """The ids of a node and all its ancestors, oldest first. Within one block, ids are in creation order."""
    found, path = {root}, [root]
    while path:
        more = set(_operands(path.pop())) - found
        found |= more
        path += more
    return sorted(found)


# Tables -----------------------------------------------------------------------------------------------------------


def ops() -> str:
    """The rows of ops.def as a table."""
    rows = re.findall(r"^PG_[A-Z]+ *\((.*)\)$", (CSRC / "ops.def").read_text(encoding="utf-8"), re.MULTILINE)
    lines = ["| name | symbol | forward | adjoint of x | adjoint of y |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        name, *columns = re.split(r" *,(?![^(]*\)) +", row)
        columns = [f"`{column.strip(chr(34))}`" for column in columns]
        lines.append(f"| {name} | {' | '.join(columns + [''] * (4 - len(columns)))} |")
    return "\n".join(lines)


def value_ops() -> str:
    """The methods of Value that the op table defines; mkdocstrings reads source code and does not find them."""
    return _methods(Value)


def array_ops() -> str:
    """The methods and operators of Array that functions create."""
    return _methods(Elementwise)


def _methods(cls: type) -> str:
    """The methods that are ops, with the first line of their docstrings."""
    made: dict[Any, str] = {}
    for name, method in vars(cls).items():
        if hasattr(method, "symbol"):
            made.setdefault(method, name)  # of __add__ and __radd__ the first
    lines = [f"| `{name}` | {method.__doc__.splitlines()[0]} |" for method, name in made.items()]
    return "\n".join(["| method | result |", "| --- | --- |", *lines])


DRAWN = {drawing.__name__: drawing for drawing in (node, blocks, graph, played, sweep, ops, value_ops, array_ops)}
