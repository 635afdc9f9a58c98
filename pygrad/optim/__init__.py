"""Optimizers with PyTorch's names and update rules; a step is one call of C.

    optimizers.py   the optimizers
    groups.py       parameters with the same options, and what is kept for them
    rules.py        the update rules of C
    schedules.py    learning rates as functions of the number of steps
    lr_scheduler.py PyTorch's schedulers, which set the learning rate
    clip.py         clipping of gradients
    checks.py       the options, checked

>>> from pygrad import array
>>> w = array([1.0, -2.0])
>>> optimizer = SGD([w], lr=0.25)
>>> for _ in range(20):
...     optimizer.zero_grad()
...     (w * w).sum().backward()
...     optimizer.step()
>>> bool(abs(w.data).max() < 1e-5)
True
"""

from pygrad.optim import lr_scheduler
from pygrad.optim.clip import clip_grad_norm_
from pygrad.optim.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from pygrad.optim.schedules import cosine, linear

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm_", "cosine", "linear", "lr_scheduler"]
