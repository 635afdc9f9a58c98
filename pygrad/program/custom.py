"""custom_vjp: functions whose backward is given with them, in graphs and in functions that are being compiled.

The results are sums of new nodes with the numbers that the function returned and of one more node, the hub, which is
-0.0. So gradients get to the numbers first, which have no other uses, and then to the hub, which is older: there the
backward runs. Where the backward must be part of a Program, the hub is a sum of pullbacks: csrc/program/program.h
says what these are.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Union

import numpy as np

from pygrad import _bulk
from pygrad._lib import OPS, c_doubles, c_ids_of, check, lib
from pygrad.array import Array, array, built, concatenate, make_leaves
from pygrad.engine import Value
from pygrad.program.structures import leaves_of, map_structure, matching_parts, parts_of

Node = Union[Value, Array]


class custom_vjp:  # noqa: N801 - JAX's name
    """A function with a backward of its own, as `jax.custom_vjp`: to be decorated, and completed by `defvjp`.

    Where there are Values or Arrays among the arguments, calls return what `forward` computes, and backward passes go
    through `backward` and not through the operations of `forward`. That is the same in functions that are compiled:
    there the Program contains both. Calls of numbers alone return what the decorated function does.

    The derivatives are those by the arguments: what the function takes from elsewhere, such as the weights of a model,
    is constant to it. A Program's `hvp` and `hessian` are the derivatives of its gradient: of what `forward` and
    `backward` compute. Its `jvp` does not know how to go through it, and says so; nor does a `backward()` that such a
    function itself calls while it is compiled.

    Parameters
    ----------
    fn
        takes positional arguments, also passed by keyword. Its name is that of the op in pictures.

    Examples
    --------
    >>> from pygrad import Value, compile, gradcheck
    >>> @custom_vjp
    ... def log1pexp(x):
    ...     return (x.exp() + 1).log()
    >>> def forward(x):
    ...     e = x.exp()
    ...     return (e + 1).log(), e  # the result, and what the backward needs
    >>> def backward(e, g):
    ...     return (g * (1 - 1 / (1 + e)),)  # a gradient for each argument
    >>> log1pexp.defvjp(forward, backward)
    >>> x = Value(0.0)
    >>> log1pexp(x).backward()
    >>> x.grad, compile(log1pexp, 1.0).value_and_grad(0.0)[1]
    (0.5, (0.5,))
    >>> gradcheck(log1pexp, 3.0)
    True
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._forward: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Say how the function and its gradient are computed.

        Parameters
        ----------
        forward
            takes the arguments; returns the result and what `backward` needs, a tuple of two. The result is a Value, an
            Array, a number, or lists, tuples, named tuples, dicts and dataclasses of these.
        backward
            takes what `forward` saved, and the gradient by the result, in its structure; returns a tuple with the
            gradient by each argument, in the structure and shapes of this argument, or None where there is none. In
            functions that are compiled it computes with Values and Arrays, so it must not read their numbers.

        Examples
        --------
        Rounding, of which the gradient goes straight through (Bengio, Léonard & Courville, 2013), and gradients that
        are clipped:

        >>> from pygrad import array
        >>> @custom_vjp
        ... def sign(x):
        ...     return np.sign(x)
        >>> sign.defvjp(lambda x: (2 * (x.relu() / x) - 1, None), lambda saved, g: (g,))
        >>> @custom_vjp
        ... def clip_gradient(x, low, high):
        ...     return x
        >>> clip_gradient.defvjp(
        ...     lambda x, low, high: (x, (low, high)),
        ...     lambda limits, g: (g.maximum(limits[0]).minimum(limits[1]), None, None),
        ... )
        >>> x = array([-2.0, 0.5, 3.0])
        >>> (sign(clip_gradient(x, -1.0, 1.0)) * [-5.0, 0.5, 5.0]).sum().backward()
        >>> x.grad
        array([-1. ,  0.5,  1. ])
        """
        self._forward, self._backward = forward, backward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what `forward` computes, or what the function does if there are neither Values nor Arrays."""
        args = tuple(map(_with_arrays, self._positional(args, kwargs)))
        if not any(isinstance(x, (Value, Array)) for arg in args for _, x in leaves_of(arg)):
            return self._fn(*args)
        forward, backward = self._forward, self._backward
        if forward is None or backward is None:
            raise TypeError(f"{self._name} has no backward yet: call {self._name}.defvjp(forward, backward)")
        returned = forward(*args)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                f"the forward of {self._name} must return a tuple of two, the result and what the backward needs, "
                f"got {type(returned).__name__!r}"
            )
        result, saved = returned
        return connected(self._name, args, result, lambda g: backward(saved, g))

    @property
    def _name(self) -> str:
        name = getattr(self._fn, "__name__", None)
        return name if isinstance(name, str) else type(self._fn).__name__

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        bound = inspect.signature(self._fn).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(f"{self._name}() can only pass positional arguments to its backward, got {[*bound.kwargs]}")
        return bound.args


def connected(name: str, args: Sequence[Any], result: Any, backward: Callable[[Any], Any]) -> Any:
    """The numbers of a result as Values and Arrays, of which a backward pass runs `backward`.

    That takes the gradient in the structure of the result, and returns the gradients by the arguments.
    """
    parts = [_node(name, x) for _, x in leaves_of(result)]
    row = concatenate([part.ravel() for part in parts]) if parts else array([])

    def gradients(g: Array) -> Iterator[tuple[Node, Array]]:
        return _gradients(name, args, backward(_structured(result, parts, g)))

    hub: Node
    if lib.pg_tracing():
        primals = _traced("primal", row)
        hub = _sum_of_pullbacks(gradients(_traced("cotangent", primals)))
    else:
        primals = make_leaves(row.data)
        hub = _with_backward(name, args, primals, gradients)
    return _structured(result, parts, primals + hub)


def _with_arrays(arg: Any) -> Any:
    """An argument with Arrays in place of NumPy's arrays of Values."""
    return map_structure(lambda x: array(x) if isinstance(x, np.ndarray) and x.dtype == object else x, arg)


def _node(name: str, x: Any) -> Array:
    """A part of the result as an Array."""
    try:
        return array(x)
    except TypeError:
        raise TypeError(
            f"the forward of {name} must return Values, Arrays, numbers, or lists, tuples, dicts or dataclasses of "
            f"these, got {type(x).__name__!r}"
        ) from None


def _structured(result: Any, parts: Sequence[Array], row: Array) -> Any:
    """The elements of a row in the structure of a result: an Array for an array, a Value for a number."""
    ends = itertools.accumulate(part.size for part in parts)
    found = iter([row[end - part.size : end].reshape(part.shape) for part, end in zip(parts, ends)])
    is_array = (Array, np.ndarray)
    return map_structure(lambda x: next(found) if isinstance(x, is_array) else next(found)[()], result)


def _gradients(name: str, args: Sequence[Any], returned: Any) -> Iterator[tuple[Node, Array]]:
    """The Values and Arrays among the arguments that get a gradient, with that."""
    if not isinstance(returned, (tuple, list)) or len(returned) != len(args):
        given = f"{len(returned)}" if isinstance(returned, (tuple, list)) else repr(type(returned).__name__)
        raise TypeError(
            f"the backward of {name} must return a tuple with a gradient for each of the {len(args)} arguments (None "
            f"where there is none), got {given}"
        )
    for k, (arg, gradient) in enumerate(zip(args, returned)):
        yield from _of_argument(f"the gradient by argument {k} of {name}", arg, gradient)


def _of_argument(what: str, arg: Any, gradient: Any) -> Iterator[tuple[Node, Array]]:
    if gradient is None:
        return
    parts = parts_of(arg)
    if parts is not None:
        matching = matching_parts(arg, gradient)
        if matching is None:
            raise ValueError(f"{what} must have the structure of the argument, got {type(gradient).__name__!r}")
        for (at, part), of_part in zip(parts, matching):
            yield from _of_argument(what + at, part, of_part)
    elif isinstance(arg, (Value, Array)):
        found, shape = array(gradient), getattr(arg, "shape", ())
        if found.shape != shape:
            raise ValueError(f"{what} must have its shape {shape}, got {found.shape}")
        yield arg, found


# In graphs ----------------------------------------------------------------------------------------------------------


def _with_backward(
    name: str, args: Sequence[Any], numbers: Array, gradients: Callable[[Array], Iterator[tuple[Node, Array]]]
) -> Value:
    """The hub where the backward is a Python function. Before it runs, the numbers have got their gradients."""
    operands = [x for arg in args for _, x in leaves_of(arg) if isinstance(x, (Value, Array))]
    hub = Value(-0.0, itertools.chain.from_iterable(array(x).ravel() for x in (*operands, numbers)), name)

    def _backward() -> None:
        g = numbers.grad.copy()
        numbers.grad = 0  # the next pass adds the whole gradient again
        for operand, gradient in gradients(make_leaves(g)):
            ids, shares = np.atleast_1d(array(operand)._ids), np.ascontiguousarray(gradient.data)
            check(lib.pg_add_grads(ids.size, c_ids_of(ids), c_doubles(shares)), f"the backward of {name}")

    hub._backward = _backward
    return hub


# In traces ----------------------------------------------------------------------------------------------------------


def _traced(symbol: str, *operands: Array) -> Array:
    """Nodes that only traces have."""
    out = np.empty(operands[0].shape, np.uint32)
    make: Callable[..., _bulk.Held] = _bulk.map_unary if len(operands) == 1 else _bulk.map_binary
    status, holder = make(OPS[symbol, 0], *(x._ids for x in operands), out)
    return built(status, holder, out, lambda at: symbol, *operands)


def _sum_of_pullbacks(gradients: Iterator[tuple[Node, Array]]) -> Array:
    return concatenate(
        [array([]), *(_traced("pullback", array(x).ravel(), gradient.ravel()) for x, gradient in gradients)]
    ).sum()


def replayed(symbol: str, *operands: Value) -> Value:
    """A node of a Program that is called in a function that is being compiled."""
    value: Value = _traced(symbol, *(array([x]) for x in operands))[0]
    return value
