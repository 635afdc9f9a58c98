"""Run bytes as tests/c/fuzz_graph.c does, as a program over the C API, beside `pygrad.reference`.

    PYTHONPATH=tests python -m support.replay crash-0123...

prints each step of a file that libFuzzer has left, and the first difference between C and the reference. The order of
the steps, and of the bytes that each step reads, must be the same in both files.
"""

from __future__ import annotations

import math
import struct
import sys
from pathlib import Path
from typing import Any, Callable

from pygrad import reference
from pygrad._lib import ffi, lib
from support import ops

V = reference.Value
HELD = 32
NUMBERS = [0.0, -0.0, 1, -1.0, 0.5, 2.0, 3, -2, 1e-300, 1e300, 0.1, -0.7, math.inf, -math.inf, math.nan, 5e-324]
RAISED = {
    lib.PG_ZERO_DIVISION: ZeroDivisionError,
    lib.PG_OVERFLOW: OverflowError,
    lib.PG_DOMAIN: ValueError,
    lib.PG_COMPLEX: ValueError,
}
OPS = ops.NAMES
NUMBER_OF = ops.NUMBER_OF
NUMBERED = {name for name in OPS if hasattr(lib, f"pg_make_{name}_number")}
UNARY = [name for name in OPS if name != "POWER" and name not in NUMBERED]
BINARY = [name for name in OPS if name in NUMBERED]
COMPUTE: dict[str, Callable[..., V]] = {name: cases[0].write for name, cases in ops.CASES.items()}


class MismatchError(AssertionError):
    """C and the reference disagree."""


def same(x: float, y: float) -> bool:
    return (x != x and y != y) or struct.pack("d", x) == struct.pack("d", y)


class Node:
    """A node of the reference, with its operands in order."""

    def __init__(self, value: V, op: str = "LEAF", operands: tuple[Node, ...] = ()) -> None:
        self.value, self.op, self.operands = value, op, operands
        self.trace: int | None = None  # in which it was made; 0: in none


def leaf(number: float) -> Node:  # or an int
    return Node(V(number))


def op(name: str, *operands: Node) -> Node:
    values = [x.value for x in operands]
    value = values[0] ** values[1].data if name == "POWER" else COMPUTE[name](*values)
    return Node(value, name, operands)


def power(x: Node, y: float) -> Node:
    value = x.value**y  # comes first because it may fail
    return Node(value, "POWER", (x, leaf(y)))


def with_number(name: str, x: Node, y: float) -> Node:
    return power(x, y) if name == "POWER" else op(name, x, leaf(y))


def negative(x: Node) -> Node:
    return op("MUL", x, leaf(-1))


def plus(total: Node | None, x: Node) -> Node:
    return op("ADD", total, x) if total else op("ADD", x, leaf(0))


def dot(x: list[Node], y: list[Node], total: Node | None) -> Node:
    for a, b in zip(x, y):
        total = plus(total, op("MUL", a, b))
    return total or leaf(0)


# The loops of the bulk builders, as csrc/pygrad.h defines them.


def mapped(which: int, a: list[Node], b: list[Node], y: float) -> list[Node]:
    if which >= len(OPS):
        two: list[Callable[[Node, Node], Node]] = [
            lambda a, b: op("ADD", a, negative(b)),
            lambda a, b: op("MUL", a, power(b, -1.0)),
            lambda a, b: op("ADD", negative(a), leaf(y)),
            lambda a, b: op("MUL", power(a, -1.0), leaf(y)),
        ]
        return [two[which - len(OPS)](*pair) for pair in zip(a, b)]
    name = OPS[which]
    if name in UNARY:
        return [op(name, x) for x in a]
    return [op(name, *pair) if name in BINARY else with_number(name, pair[0], y) for pair in zip(a, b)]


def reduced(name: str, x: list[Node]) -> Node:
    if name == "ADD":
        return plus(plus(None, x[0]), x[1])
    return op(name, op("MUL", x[0], leaf(1)) if name == "MUL" else x[0], x[1])


def shifted_by_most(x: list[Node], each: Callable[[Node], None] = lambda s: None) -> list[Node]:
    most = x[0].value.data
    for xi in x[1:]:
        most = xi.value.data if xi.value.data > most else most
    shifted = []
    for xi in x:
        shifted.append(op("ADD", xi, leaf(-float(most))))
        each(shifted[-1])
    return shifted


def log_sum_exp(shifted: list[Node]) -> Node:
    total = None
    for s in shifted:
        total = plus(total, op("EXP", s))
    return op("LOG", total)


def softmax(x: list[Node]) -> list[Node]:
    exps: list[Node] = []
    shifted_by_most(x, lambda s: exps.append(op("EXP", s)))
    inverse = power(reduced("ADD", exps), -1.0)
    return [op("MUL", e, inverse) for e in exps]


def log_softmax(x: list[Node]) -> list[Node]:
    shifted = shifted_by_most(x)
    minus_log = negative(log_sum_exp(shifted))
    return [op("ADD", s, minus_log) for s in shifted]


def cross_entropy(x: list[Node], target: int) -> Node:
    if target >= len(x):
        raise ValueError(f"target {target} of {len(x)}")
    shifted = shifted_by_most(x)
    return op("ADD", log_sum_exp(shifted), negative(shifted[target]))


def rms_norm(x: list[Node], weights: list[Node] | None, eps: float) -> list[Node]:
    mean = op("MUL", dot(x, x, None), leaf(float(len(x)) ** -1))
    scale = power(op("ADD", mean, leaf(float(eps))), -0.5)
    scaled = []
    for i, xi in enumerate(x):
        scaled.append(op("MUL", xi, scale))
        if weights:
            scaled[-1] = op("MUL", scaled[-1], weights[i])
    return scaled


def neuron(w: list[Node], x: list[Node | None], numbers: list[float], relu: bool) -> Node:
    act = w[-1]
    for i, xi in enumerate(x):
        act = op("ADD", act, op("MUL", w[i], xi or leaf(numbers[i])))
    return op("RELU", act) if relu else act


# What a program computes, by IEEE arithmetic --------------------------------------------------------------------------


class TooFarError(ArithmeticError):
    """Numbers for which two ways of computing may disagree."""


def evaluated(root: Node, numbers: dict[Node, float]) -> float:
    """The root's number, given those of some nodes; TooFarError where rounding decides."""
    numbers = dict(numbers)
    waiting = [root]
    while waiting:
        node = waiting[-1]
        needed = [x for x in node.operands if x not in numbers]
        if node in numbers or not needed:
            waiting.pop()
            if node not in numbers:
                try:
                    operands = tuple(leaf(numbers[x]) for x in node.operands)
                    numbers[node] = op(node.op, *operands).value.data if operands else node.value.data
                except (ArithmeticError, ValueError):
                    raise TooFarError from None
            if not 1e-3 < abs(numbers[node]) < 1e3 and numbers[node] != 0:
                raise TooFarError
        else:
            waiting += needed
    return numbers[root]


# Steps ------------------------------------------------------------------------------------------------------------


class Replay:
    """The state of a run: the remaining bytes, and the nodes held. `show` is called with the text of each step."""

    def __init__(self, data: bytes, show: Callable[[str], Any] = lambda text: None) -> None:
        self.data, self.at, self.show = data, 0, show
        self.held: list[tuple[int, Node] | None] = [None] * HELD
        self.next = 0
        self.dead = 0
        self.nodes: dict[int, Node | None] = {}  # by id: the nodes read in this step
        self.may_fail = False
        self.has_failed = False  # a backward pass has: what a failed step did not add to may be a float all the same
        self.pg_trace, self.trace_number = ffi.new("pg_trace *"), 0

    # Reading

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def number(self) -> float:
        return NUMBERS[self.byte() % len(NUMBERS)]

    def numbers(self, n: int) -> list[float]:
        return [self.number() for _ in range(n)]

    def place(self) -> int:
        first = self.byte()
        return next(((first + i) % HELD for i in range(HELD) if self.held[(first + i) % HELD]), HELD)

    def any(self) -> int:
        if self.at < len(self.data) and self.data[self.at] >= 0xF8:
            junk = [0, 1, 255, self.dead, 2**31 - 1, 2**32 - 1, 1 << 20, self.dead]
            id = junk[self.byte() % len(junk)]
            id = 0 if lib.pg_refs(id) else id
            self.nodes[id] = None
            return id
        at = self.place()
        if at == HELD:
            self.nodes[0] = None
            return 0
        id, self.nodes[id] = self.held[at]
        return id

    def any_of(self, n: int) -> list[int]:
        return [self.any() for _ in range(n)]

    # Calling and comparing

    def call(self, name: str, *args: Any) -> Any:
        result = getattr(lib, name)(*args)
        plain = [a if isinstance(a, (int, float, list)) else "..." for a in args]
        self.show(f"{name}({', '.join(map(repr, plain))}) -> {result if isinstance(result, (int, float)) else '...'}")
        return result

    def must(self, condition: Any, what: str) -> None:
        if not condition:
            raise MismatchError(what)

    def let_go(self, at: int) -> None:
        id = self.held[at][0]
        self.held[at] = None
        self.dead = id
        kept = lib.pg_flags_of(id) & lib.PG_KEPT
        self.must(self.call("pg_release_kept" if kept else "pg_release", id) == lib.PG_OK, "a hold can be released")

    def put(self, id: int, node: Node) -> None:
        at = self.next % HELD
        self.next += 1
        if self.held[at]:
            self.let_go(at)
        self.held[at] = id, node
        if node.trace is None:
            node.trace = self.trace_number if lib.pg_tracing() else 0

    def has_escaped(self, node: Node | None) -> bool:
        return bool(node and node.trace) and not (lib.pg_tracing() and node.trace == self.trace_number)

    def as_reference(self, status: int, ids: list[int], make: Callable[..., Any]) -> Any:
        """What the reference makes of these nodes; None where both fail, or where C has no memory."""
        nodes = [self.nodes[id] for id in ids]
        if status == lib.PG_NO_MEMORY:
            self.must(self.may_fail, "there is memory")
            return None
        if status == lib.PG_ESCAPED:
            self.must(any(map(self.has_escaped, nodes)), f"only nodes of ended traces are refused: {ids}")
            return None
        self.must((status == lib.PG_STALE) == (None in nodes), f"only dead ids are refused: {ids}")
        if status == lib.PG_STALE:
            return None
        try:
            made = make(*nodes)
        except (ArithmeticError, ValueError) as error:
            self.must(RAISED.get(status) is type(error), f"status {status}, where the reference raises {error!r}")
            return None
        self.must(status == lib.PG_OK, f"status {status}, where the reference makes {made}")
        self.must(not any(map(self.has_escaped, nodes)), f"nodes of ended traces are refused: {ids}")
        return made

    def put_made(self, made: int, ids: list[int], make: Callable[..., Node]) -> None:
        failed = -lib.PG_FIRST_ID < made < 0
        node = self.as_reference(made if failed else lib.PG_OK, ids, make)
        if node:
            self.put(abs(made), node)

    def put_all(self, result: int, out: Any, ids: list[int], make: Callable[..., list[Node]]) -> None:
        nodes = self.as_reference(result if result < 0 else lib.PG_OK, ids, make)
        for id, node in zip(list(out), nodes or []):
            self.put(id, node)

    def compare(self) -> None:
        broken = lib.pg_check()
        self.must(not broken, "the arena breaks the rule that " + (ffi.string(broken).decode() if broken else ""))
        for id, node in filter(None, self.held):
            for part in "data", "grad":
                ours, theirs = getattr(lib, f"pg_{part}")(id), getattr(node.value, part)
                ours = int(ours) if lib.pg_is_int(getattr(lib, f"PG_{part.upper()}"), id) else ours
                may_be_float = part == "grad" and self.has_failed
                self.must(
                    same(ours, theirs) and (type(ours) is type(theirs) or may_be_float),
                    f"{part} of {id} ({node.op}) is {ours!r}, by the reference {theirs!r}",
                )

    def run(self) -> None:
        try:
            while self.at < len(self.data):
                step = STEPS[self.byte() % len(STEPS)]
                self.nodes = {}
                step(self)
                self.compare()
        finally:
            lib.pg_trace_end(self.pg_trace)
            lib.pg_test_use_instruction_set(-1)
            lib.pg_test_fail_allocations(-1)
            for at in range(HELD):
                if self.held[at]:
                    self.let_go(at)

    # In the order of fuzz_graph.c

    def make_leaf(self) -> None:
        x = self.number()
        self.put_made(self.call("pg_leaf", x, isinstance(x, int)), [], lambda: leaf(x))

    def make_op(self) -> None:
        name = OPS[self.byte() % len(OPS)]
        numbered = self.byte() % 2
        a, b = self.any(), self.any()
        y = self.number()
        integral = isinstance(y, int)
        function = f"pg_make_{name}"
        if name in UNARY:
            self.put_made(self.call(function, a), [a], lambda a: op(name, a))
        elif name == "POWER":
            self.put_made(self.call(function, a, y, integral), [a], lambda a: power(a, y))
        elif numbered:
            self.put_made(self.call(function + "_number", a, y, integral), [a], lambda a: with_number(name, a, y))
        else:
            self.put_made(self.call(function, a, b), [a, b], lambda a, b: op(name, a, b))

    def make_custom(self) -> None:
        n = self.byte() % 6
        x = self.number()
        ids = self.any_of(n)
        self.put_made(
            self.call("pg_custom", x, isinstance(x, int), ids, n),
            ids,
            lambda *nodes: Node(V(x, [a.value for a in nodes]), "CUSTOM", nodes),
        )

    def make_leaves(self) -> None:
        n = 1 + 3 * self.byte()
        x = self.number()
        first = self.call("pg_leaves", n, [x] * n)
        node = self.as_reference(-first if first < 0 else lib.PG_OK, [], lambda: leaf(float(x)))
        if node:
            self.put(first, node)
            between = list(range(first + 1, first + n))
            self.must(lib.pg_release_all(n - 1, between) == lib.PG_OK, "leaves can be released")

    def map(self) -> None:
        which = self.byte() % (len(OPS) + 4)
        y = self.number()
        a, b = self.any_of(3), self.any_of(3)
        out = ffi.new("pg_id[3]")
        code = which + 1 if which < len(OPS) else lib.PG_SUBTRACT + which - len(OPS)
        if which < len(OPS) and OPS[which] in UNARY:
            result, ids = self.call("pg_map_unary", code, 3, a, out), a
        elif which in (len(OPS), len(OPS) + 1) or (which < len(OPS) and OPS[which] in BINARY):
            result, ids = self.call("pg_map_binary", code, 3, a, b, out), a + b
        else:
            result, ids = self.call("pg_map_number", code, 3, a, y, isinstance(y, int), out), a
        self.put_all(result, out, ids, lambda *x: mapped(which, list(x[:3]), list(x[3:] or x), y))

    def reduce(self) -> None:
        name = ["ADD", "MUL", "MAXIMUM", "MINIMUM"][self.byte() % 4]
        x = self.any_of(4)
        out = ffi.new("pg_id[2]")
        result = self.call("pg_reduce", NUMBER_OF[name], 2, 2, x, out)
        self.put_all(result, out, x, lambda *x: [reduced(name, list(x[:2])), reduced(name, list(x[2:]))])

    def matmul(self) -> None:
        biased = self.byte() % 2
        a, b, bias = self.any_of(4), self.any_of(4), self.any_of(2)
        out = ffi.new("pg_id[4]")

        def product(*x: Node) -> list[Node]:
            start = x[8:] if biased else (None, None)
            return [
                dot([x[2 * i], x[2 * i + 1]], [x[4 + j], x[6 + j]], start[j]) for i in range(2) for j in range(2)
            ]  # fmt: skip

        result = self.call("pg_matmul", 2, 2, 2, a, 2, 1, b, 2, 1, bias if biased else ffi.NULL, out)
        self.put_all(result, out, a + b + (bias if biased else []), product)

    def rows(self) -> None:
        kind = self.byte() % 5
        targets = [self.byte() % 3, self.byte() % 3]
        eps = self.number()
        x, weights = self.any_of(4), self.any_of(2)
        out, scratch = ffi.new("pg_id[4]"), ffi.new("pg_id[2]")
        if kind < 2:
            result = self.call(["pg_softmax", "pg_log_softmax"][kind], 2, 2, x, out)
            rows = [softmax, log_softmax][kind]
            self.put_all(result, out, x, lambda *x: rows(list(x[:2])) + rows(list(x[2:])))
        elif kind == 2:
            result = self.call("pg_cross_entropy", 2, 2, x, targets, scratch, out)
            self.put_all(
                result,
                list(out)[:2],
                x,
                lambda *x: [cross_entropy(list(x[:2]), targets[0]), cross_entropy(list(x[2:]), targets[1])],
            )
        else:
            ids = x + (weights if kind == 3 else [])
            result = self.call("pg_rms_norm", 2, 2, x, weights if kind == 3 else ffi.NULL, eps, out)
            self.put_all(
                result,
                out,
                ids,
                lambda *x: rms_norm(list(x[:2]), list(x[4:]), eps) + rms_norm(list(x[2:4]), list(x[4:]), eps),
            )

    def mlp(self) -> None:
        p, x = self.any_of(9), self.any_of(2)
        numbers = self.numbers(2)
        with_numbers = self.byte() % 2
        widths, inputs = ffi.new("uint32_t[]", [2, 1]), ffi.new("uint32_t[]", [2, 2, 2])
        relu, parameters = ffi.new("bool[]", [True, False, False]), ffi.new("pg_id[]", p)
        described = ffi.new("pg_mlp *", [2, widths, inputs, relu, parameters, NUMBER_OF["RELU"]])
        out = ffi.new("pg_id[3]")
        given_numbers, are_ints = numbers if with_numbers else ffi.NULL, [isinstance(x, int) for x in numbers]
        result = self.call("pg_mlp_forward", described, 2, x, given_numbers, are_ints, out)
        given = [id for id in x if id or not with_numbers]

        def outputs(*nodes: Node) -> list[Node]:
            w, rest = list(nodes[:9]), list(nodes[9:])
            first = [rest.pop(0) if id or not with_numbers else None for id in x]
            hidden = [neuron(w[:3], first, numbers, True), neuron(w[3:6], first, numbers, False)]
            return [neuron(w[6:], hidden, [], False)]

        self.put_all(result, list(out)[2:], p + given, outputs)

    def set_closure(self) -> None:
        self.call("pg_set_flags", self.any(), lib.PG_CLOSURE | lib.PG_PINNED | lib.PG_INTERIOR)

    def set_label(self) -> None:
        self.call("pg_set_flags", self.any(), lib.PG_LABELLED)

    def release(self) -> None:
        at = self.place()
        if at < HELD:
            self.let_go(at)

    def copy(self) -> None:
        id = self.any()
        status = self.call("pg_hold", id)
        self.must((status == lib.PG_OK) == (self.nodes[id] is not None), "what lives can be held")
        if status == lib.PG_OK:
            self.put(id, self.nodes[id])

    def keep(self) -> None:
        at = self.place()
        if at < HELD:
            self.call("pg_keep", self.held[at][0])

    def hold_all(self) -> None:
        ids = self.any_of(4)
        if self.call("pg_hold_all", 4, ids) >= 0:
            self.must(lib.pg_release_all(4, ids) == lib.PG_OK, "what was held can be released")

    def backward(self) -> None:
        budget = 1 + self.byte()
        id = self.any()
        sweep = ffi.new("pg_sweep *")
        status = self.call("pg_sweep_begin", sweep, id)
        stop = lib.PG_DONE if status else lib.PG_MORE
        while stop > 0:
            stop = self.call("pg_sweep_run", sweep, budget)
            if stop > lib.PG_MORE and (status := self.call("pg_backward_one", stop)):
                break
        status = stop if stop < 0 else status
        self.has_failed |= status < 0
        self.as_reference(status, [id], lambda node: node.value.backward())

    def give_up(self) -> None:
        id = self.any()
        if self.call("pg_sweep_begin", ffi.new("pg_sweep *"), id) == lib.PG_OK:
            self.nodes[id].value.grad = 1

    def set(self) -> None:
        part = "data" if self.byte() % 2 else "grad"
        id = self.any()
        x = self.number()
        if self.call(f"pg_set_{part}", id, x, isinstance(x, int)) == lib.PG_OK:
            setattr(self.nodes[id].value, part, x)

    def write(self) -> None:
        part, name = (lib.PG_DATA, "data") if self.byte() % 2 else (lib.PG_GRAD, "grad")
        fill = self.byte() % 2
        ids = self.any_of(3)
        x = self.numbers(3)
        result = self.call("pg_fill", part, 3, ids, x[0]) if fill else self.call("pg_write", part, 3, ids, x)
        self.must((result == 0) == all(self.nodes[id] for id in ids), "what lives can be written to")
        for id, number in zip(ids, x if result == 0 else []):
            written = float(x[0] if fill else number)
            setattr(self.nodes[id].value, name, 0 if fill and name == "grad" and written == 0 else written)

    def read(self) -> None:
        id = self.any()
        self.must((self.call("pg_data_at", id) != ffi.NULL) == (self.nodes[id] is not None), "what lives has a place")

    def update(self) -> None:
        adam = self.byte() % 2
        lr = self.number()
        ids = self.any_of(3)
        first, second = ffi.new("double[3]"), ffi.new("double[3]")
        if adam:
            rule = ffi.new("pg_adam *", [lr, 0.9, 0.99, 1e-8, 0, False])
            status = self.call("pg_adam_step", rule, 1, 3, ids, first, second, ffi.NULL)
        else:
            status = self.call("pg_sgd_step", ffi.new("pg_sgd *", [lr, 0.5, 0, 0, False, True]), 3, ids, first)
        for id in ids if status == lib.PG_OK else []:  # other tests check the numbers
            self.nodes[id].value.data = lib.pg_data(id)

    def let_memory_run_out(self) -> None:
        successes = self.byte()
        self.may_fail = successes < 0x40
        self.call("pg_test_fail_allocations", successes % 32 if self.may_fail else -1)

    def use_instruction_set(self) -> None:
        self.call("pg_test_use_instruction_set", self.byte() % 3)

    def trace(self) -> None:
        if lib.pg_tracing():
            self.call("pg_trace_end", self.pg_trace)
        elif self.call("pg_trace_begin", self.pg_trace) == lib.PG_OK:
            self.trace_number += 1

    def record(self) -> None:
        output, a, b, elements = self.any(), self.any(), self.any(), self.any_of(2)
        flags, without = self.byte(), self.byte()
        x = self.numbers(4)

        def pinned(id: int) -> bool:
            return not lib.pg_refs(id) or bool(lib.pg_flags_of(id) & lib.PG_PINNED)

        leaves = all(lib.pg_refs(id) and lib.pg_op(id) == 0 for id in (a, b))
        if pinned(output) or not leaves or any(map(pinned, elements)):
            return
        node = self.call("pg_make_DETACH", elements[0])
        product = self.call("pg_make_MUL", node, output) if node > 0 else node
        if product > 0:
            looks = flags & 1
            arrays = [ffi.new("uint32_t[]", x) for x in ([node], [2], [0], [2], elements)]
            lookups = ffi.new("pg_lookups *", [looks, *arrays[:3], looks, *arrays[3:]])
            left_out = 0 if without % 3 else without // 4
            lib.pg_test_disable(left_out)
            p = self.call("pg_record", 3, [a, b, 0], 1, [product if looks else output], lookups, ffi.new("int *"))
            lib.pg_test_disable(0)
            if p:
                symbol, found = ffi.new("char **"), ffi.new("double[3]")
                lib.pg_text_free(lib.pg_program_text(p))
                self.must(lib.pg_find_not_finite(p, x, bool(flags & 16), symbol, found) <= 3, "there are three numbers")

                def expected(x: list[float]) -> float:
                    inputs = {self.nodes[a]: x[0], self.nodes[b]: x[1]}
                    value = evaluated(self.nodes[output], inputs)
                    if not looks:
                        return value
                    if not 0 <= x[2] < 2:
                        return math.nan
                    return value * evaluated(self.nodes[elements[int(x[2])]], inputs)

                self.run_program(p, flags // 4 % 4, bool(flags & 2), expected)
            lib.pg_program_free(p)
        for id in product, node:
            self.must(id < 0 or lib.pg_release(id) == lib.PG_OK, "what was made can be released")

    def run_program(self, p: Any, wanted: int, batched: bool, expected: Callable[[list[float]], float]) -> None:
        batch = 1 + self.byte() if batched else 1
        parameters = lib.pg_program_parameters(p, ffi.NULL)
        r = self.call("pg_compile", p, 1, [3], [batched] * 2, wanted)
        x, more = self.numbers(6) * batch, self.numbers(6) * batch
        x, more = ffi.new("double[]", x[: 3 * batch]), ffi.new("double[]", more[: 3 * batch])
        out, values = ffi.new("double[]", 3 * batch), ffi.new("double[]", batch)
        slopes = ffi.new("double[]", batch + parameters)
        numbers = [[x, values], [x, more, values, out, slopes], [x, more, values, slopes], [x, more, out]][wanted]
        threads = 1 + self.byte() % 3
        if r:
            status = self.call("pg_run", r, batch, numbers, threads)
            self.must(status == lib.PG_OK or (self.may_fail and status == lib.PG_NO_MEMORY), f"a run: {status}")
            lib.pg_text_free(lib.pg_routine_text(r))
            if wanted <= lib.PG_GRADIENT:
                lib.pg_text_free(lib.pg_emit_c(1, [r], slopes, b"f"))
            if status == lib.PG_OK and wanted <= lib.PG_TANGENTS:
                for s in range(batch):
                    self.compare_value(values[s], expected, list(x[3 * s : 3 * s + 3]))
        lib.pg_routine_free(r)

    def compare_value(self, found: float, expected: Callable[[list[float]], float], x: list[float]) -> None:
        try:
            value = expected(x)
        except TooFarError:
            return
        close = math.isclose(found, value, rel_tol=1e-9, abs_tol=1e-9) or (found != found and value != value)
        self.must(close, f"a program of {x} gives {found!r}, by the reference {value!r}")


STEPS = [
    Replay.make_leaf, Replay.make_op, Replay.make_custom, Replay.make_leaves, Replay.map, Replay.reduce, Replay.matmul,
    Replay.rows, Replay.mlp, Replay.set_closure, Replay.set_label, Replay.release, Replay.copy, Replay.keep,
    Replay.hold_all, Replay.backward, Replay.give_up, Replay.set, Replay.write, Replay.read, Replay.update,
    Replay.let_memory_run_out, Replay.use_instruction_set, Replay.trace, Replay.record,
]  # fmt: skip


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Replay(Path(name).read_bytes(), print).run()
        print(f"{name}: C and the reference agree")
