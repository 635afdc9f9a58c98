"""Modules made of modules."""

from __future__ import annotations

from collections import UserList
from collections.abc import Iterable
from typing import Any, Callable

from pygrad.nn.module import Module


class Sequential(Module):
    """Modules or functions, each applied to the result of the one before.

    Parameters
    ----------
    *modules
        the modules or functions, in order; `model[0]` is the first

    Examples
    --------
    >>> from pygrad import functional
    >>> from pygrad.nn import Linear
    >>> model = Sequential(Linear(2, 8), functional.relu, Linear(8, 1))
    >>> model([1.0, 2.0]).shape, len(model.parameters())
    ((1,), 4)
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        for module in modules:
            if not callable(module):
                raise TypeError(f"Sequential takes modules and functions, not {type(module).__name__!r}")
        self.modules = list(modules)

    def forward(self, input: Any) -> Any:
        for module in self.modules:
            input = module(input)
        return input

    def __getitem__(self, index: int) -> Any:
        return self.modules[index]

    def __len__(self) -> int:
        return len(self.modules)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(getattr(m, '__name__', None) or repr(m) for m in self.modules)})"


class ModuleList(UserList[Any], Module):
    """A list of `modules`, for a `forward` that calls them. An ordinary list among the attributes does the same.

    Examples
    --------
    >>> from pygrad.nn import Linear
    >>> class Model(Module):
    ...     def __init__(self):
    ...         self.layers = ModuleList(Linear(2, 2) for _ in range(3))
    >>> [name for name, _ in Model().named_parameters()][:2]
    ['layers.0.weight', 'layers.0.bias']
    """

    __hash__ = Module.__hash__  # type: ignore[assignment]

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)

    def __repr__(self) -> str:
        return f"ModuleList({self.data!r})"
