"""Clipping of gradients."""

from __future__ import annotations

import math

import numpy as np

from pygrad._parameters import Parameters, grads_of, node_ids, refuse_modules, set_grads
from pygrad.array import Array
from pygrad.engine import Value
from pygrad.optim.checks import not_negative


def clip_grad_norm_(
    parameters: Parameters | Value | Array, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale all grads so that their norm as one vector is at most `max_norm`; return the norm before that.

    Smaller gradients are left alone. As in PyTorch, 1e-6 is added to the norm; see `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    parameters
        Values and Arrays, as from `model.parameters()`, or one of them
    max_norm
        the largest norm that is left alone
    norm_type
        the p of the p-norm: 2 for lengths, `math.inf` for the largest
    error_if_nonfinite
        whether a norm that is inf or nan raises

    Raises
    ------
    ValueError
        if `max_norm` is negative
    FloatingPointError
        if `error_if_nonfinite` and the norm is inf or nan; then no grad has changed

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 10.0
    >>> clip_grad_norm_([w], 5.0)
    10.0
    >>> round(w.grad, 5)
    5.0
    """
    refuse_modules(parameters)
    not_negative(max_norm=max_norm)
    ids = node_ids([parameters] if isinstance(parameters, (Value, Array)) else parameters)
    grads = grads_of(ids)
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(grads, norm_type)) if ids.size else 0.0
        if error_if_nonfinite and not math.isfinite(norm):
            raise FloatingPointError(f"the norm of the grads is {norm}; error_if_nonfinite=False clips them even so")
        scale = float(max_norm) / (norm + 1e-6)
        if not scale >= 1:  # nan included
            set_grads(ids, grads * scale)
    return norm
