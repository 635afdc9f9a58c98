"""Saved and pickled Programs, and everything that a Program computes."""

import io
import json
import pickle

import numpy as np

import pygrad
from pygrad import Program
from pygrad.checkpoint import pack, unpack
from pygrad.program.structures import IndexSegment
from support.compiled import bits

rng = np.random.default_rng(0)


def again(f):
    return pickle.loads(pickle.dumps(f))


def dumps(f):
    """The bytes in a pickle, which are the same as in a file."""
    _, (_, data, *_) = f.__reduce__()
    return data


def unpickled(data):
    """The Program in such bytes."""
    rebuild, (kind, *_) = pygrad.compile(lambda x: x, 1.0).__reduce__()
    return rebuild(kind, data)


def everything(f, *args):
    """The bits of everything that a Program with a scalar result computes."""
    f.parameters.grad = 0.0
    values, grads = f.value_and_grad(*args)
    tangents = [None if isinstance(a.structure, IndexSegment) else x for a, x in zip(f._recorded.arguments, args)]
    found = [f(*args), values, grads, f.parameters.grad, f.jvp(args, tangents), f.hvp(args, tangents)]
    return [bits(x) for x in leaves(found)]


def leaves(x):
    if isinstance(x, (list, tuple)):
        return [leaf for item in x for leaf in leaves(item)]
    return [np.float64("nan") if x is None else x]


def packed(arrays):
    file = io.BytesIO()
    pack(file, arrays)
    return file.getvalue()


def load(path, data):
    path.write_bytes(data)
    return Program.load(path)


ARGUMENTS = 2, [np.array([0.3, -0.7]), (0.1,)]


def edited(f, **entries):
    """The arrays of a saved Program, with some entries of its description replaced."""
    arrays = unpack(dumps(f))
    text = json.dumps({**json.loads(arrays["description"].tobytes()), **entries})
    return {**arrays, "description": np.frombuffer(text.encode(), dtype=np.uint8)}
