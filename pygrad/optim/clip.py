"""Clipping of gradients."""

from __future__ import annotations

import numpy as np

from pygrad._parameters import Parameters, grads_of, node_ids, set_grads
from pygrad.array import Array
from pygrad.engine import Value


def clip_grad_norm_(parameters: Parameters | Value | Array, max_norm: float, norm_type: float = 2.0) -> float:
    """Scale all grads so that their norm as one vector is at most `max_norm`; return the norm before that.

    Smaller gradients are left alone. As in PyTorch, 1e-6 is added to the norm; see `torch.nn.utils.clip_grad_norm_`.

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 10.0
    >>> clip_grad_norm_([w], 5.0)
    10.0
    >>> round(w.grad, 5)
    5.0
    """
    ids = node_ids([parameters] if isinstance(parameters, (Value, Array)) else parameters)
    grads = grads_of(ids)
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(grads, norm_type)) if ids.size else 0.0
        scale = float(max_norm + 0) / (norm + 1e-6)
        if not scale >= 1:  # nan included
            set_grads(ids, grads * scale)
    return norm
