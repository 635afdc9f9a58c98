"""Writes the pictures and tables of the documentation that come from the code (`make pictures`).

Pictures go into docs/pictures/. A table replaces what is between `<!-- table: name -->` and `<!-- end -->` in a page.
Both are committed, so that a page has no holes where it is read as a file. With --check it says which are old.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import random
import re
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from cffi import FFI

from pygrad import MLP, Value
from pygrad._handles import symbol_of
from pygrad._lib import lib, text
from pygrad.array.elementwise import Elementwise
from pygrad.viz import draw_dot

DOCS = Path(__file__).parent
CSRC = DOCS.parent / "csrc"
ARENA = (CSRC / "graph" / "arena.h").read_text(encoding="utf-8")
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)

STYLE = """
svg { background: #fff; font-family: sans-serif; }
text { fill: #222; font-size: 13px; text-anchor: middle; }
.small { fill: #666; font-size: 11px; }
.code { font-family: monospace; font-weight: bold; }
.start { text-anchor: start; }
rect { fill: #f5f5f5; stroke: #777; }
path { fill: none; stroke: #777; stroke-width: 1.2; }
.arrow { stroke: #d84315; stroke-width: 2; }
.data { fill: #dceaf4; }
.grad { fill: #f9e4d5; }
.parameter, .LEAF, .ADD, .MUL, .RELU { stroke: none; }
.parameter { fill: #d1495b; }
.LEAF { fill: #9aa5b1; }
.head { fill: #777; }
.off { stroke-dasharray: 4 4; }
.factor { fill: #c62828; font-weight: bold; }
.leaf { fill: #dceaf4; }
.ADD { fill: #4f94c4; }
.MUL { fill: #57a773; }
.RELU { fill: #e0a13a; }
"""


def _svg(width: float, height: float, title: str, elements: list[str]) -> str:
    size = f'width="{width + 16:g}" height="{height + 16:g}" viewBox="-8 -8 {width + 16:g} {height + 16:g}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title)}</title>'
    return "\n".join([start, f"<style>{STYLE}</style>", *elements, "</svg>\n"])


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
    return str(draw_dot(_example()[0], rankdir="TB").pipe(encoding="utf-8"))


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


# A gradient -------------------------------------------------------------------------------------------------------

LEAVES = {"a": -4.0, "b": 2.0}
STEPS = {  # micrograd's README, with a name for each number that is used later
    "c1": "a + b",
    "d1": "a * b + b**3",
    "c2": "c1 + c1 + 1",
    "c3": "c2 + 1 + c2 + (-a)",
    "d2": "d1 + d1 * 2 + (b + a).relu()",
    "d3": "d2 + 3 * d2 + (b - a).relu()",
    "e": "c3 - d3",
    "f": "e**2",
    "g": "f / 2.0 + 10.0 / f",
}


def _run() -> tuple[dict[str, Value], dict[tuple[str, str], float]]:
    """The numbers of the steps, with their gradients, and the factor of each step by each number that it uses."""
    values = {name: Value(data, label=name) for name, data in LEAVES.items()}
    factors = {}
    for name, step in STEPS.items():
        leaves = {used: Value(values[used].data) for used in values if re.search(rf"\b{used}\b", step)}
        eval(step, dict(leaves)).backward()
        factors |= {(used, name): float(leaf.grad) for used, leaf in leaves.items()}
        values[name] = eval(step, dict(values))
        values[name].label = name
    values["g"].backward()
    return values, factors


PLACES = {"a": (0, 1), "c1": (1, 0), "c2": (2, 0), "c3": (3, 0), "d1": (1, 2), "d2": (2, 2), "d3": (3, 2), "e": (4, 1)}
PLACES |= {"f": (5, 1), "g": (6, 1)}


def paths() -> str:
    """The ways from a to g, with the factor of each step."""
    values, factors = _run()
    elements, labels = [], []
    at = {name: (40 + column * 112, 36 + row * 84) for name, (column, row) in PLACES.items()}
    for (start, end), factor in factors.items():
        if start in at:
            (x1, y1), (x2, y2) = at[start], at[end]
            length = math.hypot(x2 - x1, y2 - y1)
            dx, dy = (x2 - x1) / length, (y2 - y1) / length
            x1, y1, x2, y2 = x1 + 30 * dx, y1 + 22 * dy, x2 - 34 * dx, y2 - 26 * dy
            elements.append(f'<path class="{"" if factor else "off"}" d="M {x1:.1f} {y1:.1f} L {x2:.1f} {y2:.1f}"/>')
            elements.append(f'<path class="head" d="M 0 0 l -9 -4 v 8 z" transform="{_turned(x2, y2, dx, dy)}"/>')
            side = -13 if start[0] == end[0] == "d" else 12  # of the arrow, on which no other passes
            x, y = (x1 + x2) / 2 + side * dy, (y1 + y2) / 2 - side * dx
            labels.append(_text(x, y + 4.5, f"{factor:.4g}", "factor"))
    for name, (x, y) in at.items():
        elements += [_box(x - 28, y - 20, 56, 40, "leaf" if name == "a" else "")]
        elements += [_text(x, y - 2, name, "code"), _text(x, y + 14, f"{values[name].data:.4g}", "small")]
    return _svg(40 + 6 * 112 + 34, 36 + 2 * 84 + 24, "The ways from a to g", elements + labels)


def _turned(x: float, y: float, dx: float, dy: float) -> str:
    """The place of an arrow's head, and its direction."""
    return f"translate({x:.1f} {y:.1f}) rotate({math.degrees(math.atan2(dy, dx)):.1f})"


def readme() -> str:
    """The whole graph, as draw_dot draws it."""
    return str(draw_dot(_run()[0]["g"], rankdir="TB").pipe(encoding="utf-8"))


# Tables -----------------------------------------------------------------------------------------------------------


def ops(_: str) -> str:
    """The rows of ops.def as a table."""
    rows = re.findall(r"^PG_[A-Z]+ *\((.*)\)$", (CSRC / "ops.def").read_text(encoding="utf-8"), re.MULTILINE)
    lines = ["| name | symbol | forward | adjoint of x | adjoint of y |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        name, *columns = _arguments(row)
        columns = [f"`{column.strip(chr(34))}`" for column in columns]
        lines.append(f"| {name} | {' | '.join(columns + [''] * (4 - len(columns)))} |")
    return "\n".join(lines)


def _arguments(row: str) -> list[str]:
    """The arguments of a macro: what stands between commas that are in no parentheses."""
    depths = itertools.accumulate({"(": 1, ")": -1}.get(character, 0) for character in row)
    marked = "".join("\n" if c == "," and not depth else c for c, depth in zip(row, depths))
    return [argument.strip() for argument in marked.split("\n")]


def walk(_: str) -> str:
    """The backward pass over STEPS: what each number's gradient is made of."""
    values, factors = _run()
    lines = ["| number | data | its gradient | made of: gradient of a result · factor |", "| --- | ---: | ---: | --- |"]
    for name in reversed([*LEAVES, *STEPS]):
        uses = [(values[end].grad, factor) for (start, end), factor in factors.items() if start == name]
        terms = " + ".join(f"{grad:.4f} · {factor:.4g}" for grad, factor in reversed(uses)) or "the result itself"
        lines.append(f"| `{name}` | {values[name].data:.4f} | {values[name].grad:.4f} | {terms} |")
    return "\n".join(lines)


def value_ops(_: str) -> str:
    """The methods of Value that the op table defines."""
    return _methods(Value)


def array_ops(_: str) -> str:
    """The methods and operators of Array that functions create."""
    return _methods(Elementwise)


def _methods(cls: type) -> str:
    """The methods that are ops, with the first line of their docstrings."""
    made: dict[Any, str] = {}
    for owner in cls.__mro__:  # the class, or one from which a C type was derived
        for name, method in vars(owner).items():
            if hasattr(method, "symbol"):
                made.setdefault(method, name)  # of __add__ and __radd__ the first
    return _two_columns("method", {name: method for method, name in made.items()})


def contents(page: str) -> str:
    """What a page of the API documents, with its arguments."""
    rows = {}
    excluded = {
        n for names in re.findall(r"^   :exclude-members: (.*)$", page, re.MULTILINE) for n in names.split(", ")
    }
    for kind, name in re.findall(r"^\.\. auto(\w+):: ([\w.]+)$", page, re.MULTILINE):
        module = name if kind == "module" else name.rpartition(".")[0]
        members = vars(importlib.import_module(module))
        here = {n for n, x in members.items() if (inspect.isroutine(x) or inspect.isclass(x)) and x.__doc__}
        here = {n for n in here - excluded if members[n].__module__ == name and not n.startswith("_")}
        for member in sorted(here, key=list(members).index) if kind == "module" else [name.rpartition(".")[2]]:
            rows[member + _signature(members[member])] = members[member]
    more = "`help()`, and the site that `make docs` builds, say more of each."
    return f"{_two_columns('name', rows)}\n\n{more}"


def _signature(function: Any) -> str:
    """The arguments of a function or a class, without types."""
    if isinstance(function, type) and issubclass(function, BaseException):
        return ""
    parameters = inspect.signature(function).parameters.values()
    return str(inspect.Signature([parameter.replace(annotation=parameter.empty) for parameter in parameters]))


def _two_columns(title: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {title} | what it is |", "| --- | --- |"]
    return "\n".join(lines + [f"| `{name}` | {inspect.getdoc(x).splitlines()[0]} |" for name, x in rows.items()])


def bench(_: str) -> str:
    """The tables of bench.txt, each below its title."""
    text = (DOCS / "bench.txt").read_text(encoding="utf-8")
    tables = re.findall(r"^((?:\w[^\n]*\n)+)(\u250f[^\u2514]*)", text, re.MULTILINE)
    return "\n\n".join(
        "\n".join([f"## {' '.join(title.split())}", "", *_table(table.splitlines())]) for title, table in tables
    )


def figure(_: str) -> str:
    """How much faster micrograd's demo is on Values, in bench.txt."""
    moons = (DOCS / "bench.txt").read_text(encoding="utf-8").split("the training step of micrograd's demo", 1)[1]
    ratio = re.findall(r"pygrad Value .*?([\d.,]+)x ", moons)[0]
    return (
        f"With one import changed, micrograd's demo trains **{ratio} times faster** ([one run](bench.md) of the bench)."
    )


def _table(lines: list[str]) -> Iterator[str]:
    """The table of these lines, which rich has drawn with boxes, in Markdown."""
    rows: list[list[str]] = []
    for line in lines:
        cells = [cell.strip() for cell in re.split("[\u2502\u2503]", line)[1:-1]]
        if rows and cells and (line[0] == "\u2503" or not any(cells[1:])):  # it goes on from the line above
            rows[-1] = [" ".join(filter(None, both)) for both in zip(rows[-1], cells)]
        elif cells:
            rows.append(cells)
    for row in [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]:
        yield f"| {' | '.join(row)} |"


PICTURES = {drawing.__name__: drawing for drawing in (node, blocks, graph, sweep, paths, readme)}
TABLES = {table.__name__: table for table in (ops, walk, value_ops, array_ops, contents, bench, figure)}


def with_tables(page: str) -> str:
    """The text of a page with its tables as they are now."""
    return TABLE.sub(lambda match: match[1] + TABLES[match[2]](page) + match[3], page)


def main(check: bool) -> None:
    """Write the pictures and the pages; to check, only say which are not as they would be written."""
    files = {DOCS / "pictures" / f"{name}.svg": drawing() for name, drawing in PICTURES.items()}
    files |= {page: with_tables(page.read_text(encoding="utf-8")) for page in DOCS.glob("**/*.md")}
    for file, now in files.items():
        if not check:
            file.write_text(now, encoding="utf-8")
        elif _content(file.read_text(encoding="utf-8")) != _content(now):
            sys.exit(f"{file.relative_to(DOCS)} is old: run `make pictures`")


def _content(file: str) -> list[str]:
    """A file without what depends on the version of graphviz and its fonts: of its pictures only the text counts."""
    return sorted(re.findall(r"<text [^>]*>(.*?)</text>", file)) if "Generated by graphviz" in file else [file]


if __name__ == "__main__":
    main(check="--check" in sys.argv)
