"""How calls bind to the arguments of a Program: by position, keyword and default, as the function's signature says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from pygrad.program.arguments import Argument

POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD_ONLY, VAR_POSITIONAL = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL
VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
KINDS = {kind.value: kind for kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, KEYWORD_ONLY)}  # of arguments


def signature_of(arguments: Sequence[Argument]) -> inspect.Signature:
    """The signature of a Program with these arguments, each of which is a parameter of its own."""
    parameters: list[inspect.Parameter] = []
    needed = False  # an argument without a default, behind which no positional one with a default may come
    for argument in reversed(arguments):
        parameter = argument.parameter
        if parameter.kind is not KEYWORD_ONLY:
            needed = needed or parameter.default is inspect.Parameter.empty
            parameter = parameter.replace(default=inspect.Parameter.empty) if needed else parameter
        parameters.append(parameter)
    return inspect.Signature(parameters[::-1])


def spread(arguments: Sequence[Argument], values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Values for all arguments as a call passes them: by position, and by keyword."""
    by_keyword = [a.kind is KEYWORD_ONLY for a in arguments]
    positional = [x for x, keyword in zip(values, by_keyword) if not keyword]
    return positional, {a.name: x for a, x, keyword in zip(arguments, values, by_keyword) if keyword}


def bind_examples(
    fn: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> list[tuple[inspect.Parameter, Any]]:
    """The parameters of a function for which there are examples, with these: each becomes an argument.

    Each of `*args` is a parameter that only a position can name, and what follows one that has none is passed by
    keyword. TypeError if the function does not take these examples.
    """
    refusal: TypeError | None = None
    for follow_wrapped in (True, False):
        try:
            signature = inspect.signature(fn, follow_wrapped=follow_wrapped)
        except (TypeError, ValueError):  # it has none, as some functions in C
            signature = inspect.Signature([inspect.Parameter("args", VAR_POSITIONAL)])
        try:
            return list(_bound(signature, args, kwargs))
        except TypeError as error:
            refusal = refusal or error
    raise TypeError(
        f"{name}() {refusal}: pass compile() an example for each argument, as in compile(f, 1.0, np.zeros(3))"
    ) from None


def _bound(
    signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any]
) -> Iterator[tuple[inspect.Parameter, Any]]:
    bound = signature.bind(*args, **kwargs).arguments
    taken = {*signature.parameters, *kwargs}
    positional = any(p.kind is VAR_POSITIONAL and bound.get(name) for name, p in signature.parameters.items())
    gap = False
    for name, parameter in signature.parameters.items():
        gap = gap or (name not in bound and parameter.kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD))
        if parameter.kind is VAR_POSITIONAL:
            for k, x in enumerate(bound.get(name, ())):
                yield inspect.Parameter(new_name(f"{name}{k}", taken), POSITIONAL_ONLY), x
        elif parameter.kind is VAR_KEYWORD:
            for key, x in bound.get(name, {}).items():
                yield inspect.Parameter(key, KEYWORD_ONLY), x
        elif name in bound:
            kind = parameter.kind
            if kind is not KEYWORD_ONLY and (gap or positional):
                kind = KEYWORD_ONLY if gap else POSITIONAL_ONLY
            yield inspect.Parameter(name, kind, default=parameter.default), bound[name]


def new_name(name: str, taken: set[str]) -> str:
    """A name like this one that is not taken, and is then."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
