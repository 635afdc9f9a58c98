"""Every public function and method, by name, called on small objects that are made beforehand."""

import copy
import math
import operator
import pickle
import random

import numpy as np

import pygrad
from pygrad import Array, Index, Program, Value, functional, nn, optim, viz
from support import ops

X = np.random.default_rng(0).uniform(0.5, 2, (4, 3))


class World:
    """The objects that the operations work on. Operations change only grads and the trained models."""

    def __init__(self, folder):
        random.seed(0)
        self.path = folder / "state.npz"
        self.v, self.w = Value(1.25, label="v"), Value(-0.5)
        self.leaf = Value(3.0)
        self.x, self.y, self.bias = pygrad.array(X), pygrad.array(X[::-1] + 1), pygrad.array(X[:, 0])
        self.product, self.mean = self.v * self.w, (self.x * self.y).mean()
        self.mlp, self.layer, self.neuron = nn.MLP(3, [4, 1]), nn.Layer(3, 2), nn.Neuron(3)
        self.linear, self.embedding, self.norm = nn.Linear(3, 2), nn.Embedding(5, 3), nn.RMSNorm(3)
        self.layer_norm, self.dropout = nn.LayerNorm(3), nn.Dropout(seed=0)
        self.activations = [getattr(nn, name)() for name in ACTIVATIONS]
        self.sequential = nn.Sequential(self.linear, functional.relu)
        self.trained = nn.MLP(3, [4, 1])
        self.sgd = optim.SGD(self.trained.layers[0].parameters(), lr=1e-3, momentum=0.9)
        self.adam = optim.Adam(self.trained.layers[1].parameters(), lr=1e-3)
        self.rmsprop = optim.RMSprop([pygrad.array(X)], lr=1e-3)
        self.adamw = optim.AdamW([pygrad.array(X)], lr=1e-3)
        self.table = pygrad.array(X)
        self.program = self.compile()
        self.vector = self.compile_vector()
        self.index = pygrad.index([0, 2])
        self.clipped = pygrad.custom_vjp(lambda x: x)
        self.clipped.defvjp(lambda x: (x * 1, None), lambda saved, g: (g.minimum(1.0),))
        self.program_path = folder / "program.npz"
        self.program.save(self.program_path)
        pygrad.save(self.path, self.mlp.state_dict())

    def compile(self):
        return pygrad.compile(self.loss, X[0], 0.5, threads=2)

    def compile_vector(self):
        return pygrad.compile(lambda i, x: self.table[i] * x, pygrad.index(1), X[0])

    def compile_pole(self):
        return pygrad.compile(lambda x: x.sqrt().maximum(self.v), 0.5)

    def loss(self, x, y):
        h = (self.x @ x).tanh() + self.v * y
        return (h * h).sum() / 2 + functional.log_softmax(h)[0] ** 2 + self.table[1].sum().sigmoid()


BATCH = np.linspace(0.1, 0.9, 130)  # two tiles and a bit, so that two threads run


def _calls():
    """Each op of the table of cases, applied to a Value or an Array, to another one, and to numbers."""
    for case in ops.UNARY:
        yield case.method, lambda a, b, case=case: case.write(a.abs() if case.positive else a)
    for case in ops.OPERATORS:
        apply = getattr(operator, case.method)
        yield (
            f"{case.method} Value",
            lambda a, b, apply=apply, case=case: apply(a.abs() if case.positive else a, b),
        )
        yield f"{case.method} number", lambda a, b, apply=apply: apply(a, 2)
        yield f"__r{case.method[2:]}", lambda a, b, apply=apply: apply(1.5, a)
    for case in ops.METHODS:
        if case.arity == 2:
            yield case.method, lambda a, b, case=case: case.write(a, b)
            yield f"{case.method} number", lambda a, b, case=case: case.write(a, 0.0)


# What Values and Arrays have in common.
_OPS = {
    **dict(_calls()),
    "__repr__": lambda a, b: repr(a),
    "data": lambda a, b: a.data,
    "grad": lambda a, b: a.grad,
    "data of a result": lambda a, b: setattr(a * 2, "data", b.data),
    "grad of a result": lambda a, b: setattr(a * 2, "grad", b.data),
    "__copy__": lambda a, b: (copy.copy(a), copy.deepcopy(a)),
    "__reduce__": lambda a, b: pickle.loads(pickle.dumps([a, b])),
}


def _custom(w):
    """A custom op of three operands, and a backward pass through it."""
    out = Value(1.0, (w.v, w.w, w.leaf), "custom")
    out._backward = lambda: None
    (out * w.v + w.leaf).backward()
    return out._prev, (out * 2)._prev


def _edit(w, name, x):
    old = getattr(w, name)
    setattr(w, name, x)
    setattr(w, name, old)


def _train(w):
    loss = (w.trained([0.5, w.v, w.w]) + w.mean[()]) ** 2
    loss.backward()
    for optimizer in (w.sgd, w.adam, w.adamw, w.rmsprop):
        optimizer.step()
        optimizer.zero_grad()


ACTIVATIONS = ["GELU", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh"]
RMSPROP = {"alpha": 0.5, "centered": False, "eps": 1e-6, "momentum": 0.5, "weight_decay": 0.5}

OPERATIONS = {
    "Value": lambda w: Value(2.0),
    "Value.__init__ label": lambda w: Value(2.0, label="a label"),
    "Value.__init__ custom": _custom,
    "Value.__eq__": lambda w: w.v == w.w,
    "Value.__bool__": lambda w: bool(w.v),
    "Value.__float__": lambda w: float(w.v),
    "Value.__format__": lambda w: f"{w.v:.3f} {w.v}",
    "Value.__int__": lambda w: (int(w.v), math.trunc(w.v)),
    "Value.__pos__": lambda w: +w.v,
    "Value.__round__": lambda w: round(w.v, 1),
    "Value.__hash__": lambda w: hash(w.v),
    "Value.__lt__": lambda w: w.v < w.w,
    "Value.__le__": lambda w: w.v <= 1,
    "Value.__gt__": lambda w: w.v > w.w,
    "Value.__ge__": lambda w: w.v >= 1.0,
    "Value._prev": lambda w: (w.product._prev, w.product._op),
    "Value.backward": lambda w: w.product.backward(),
    "Value.backward of a chain": lambda w: sum([w.v * i for i in range(20)]).backward(),
    "Value.label": lambda w: (setattr(w.product, "label", "p"), w.product.label),
    **{f"Value.{name}": lambda w, op=op: op(w.v, w.w) for name, op in _OPS.items()},
    **{f"Array.{name}": lambda w, op=op: op(w.x, w.y) for name, op in _OPS.items()},
    "Array.__add__ numbers": lambda w: w.x + X,
    "Array.__rsub__ numbers": lambda w: X - w.x,
    "Array.__rtruediv__ numbers": lambda w: X / w.x,
    "Array.__pow__ numbers": lambda w: w.x**X,
    "Array.__rpow__ numbers": lambda w: X**w.x,
    "Array.__pow__ ints": lambda w: w.x ** [1, 2, 3],
    **{
        f"Array.__{op}__": lambda w, op=op: getattr(operator, op)(w.x, w.y)
        for op in ["eq", "ne", "lt", "le", "gt", "ge"]
    },
    "Array.__eq__ list": lambda w: w.x == [1, 2.0, Value(3.0)],
    **{
        f"Array.__i{op}__": lambda w, op=op: getattr(operator, f"i{op}")(w.x, w.y)
        for op in ["add", "sub", "mul", "truediv", "pow"]
    },
    "Array.__imatmul__": lambda w: operator.imatmul(w.x, w.y.T),
    "Array.__array__": lambda w: (np.asarray(w.x), np.asarray(w.x, dtype=float)),
    "Array.__array_function__": lambda w: (
        np.any(w.x),
        np.where(w.x, w.x, 0),
        np.einsum("ij,kj", w.x, w.y),
        np.tril(w.x),
    ),
    "Array.__array_ufunc__": lambda w: (X + w.x, np.exp(w.x), np.add.reduce(w.x), np.subtract.outer(w.x[0], w.y[0])),
    "Array.__hash__": lambda w: hash(w.x),
    "Array.__matmul__": lambda w: (w.x @ w.y.T, w.x @ w.y[0], w.x[0] @ w.y[0], w.x[None] @ w.y.T[None]),
    "Array.__rmatmul__": lambda w: X.T @ w.x,
    "Array.__getitem__": lambda w: (w.x[1], w.x[1, 2], w.x[[0, 2]], (w.x * 2)[1, 1]),
    "Array.__getitem__ index": lambda w: w.x[w.index],
    "Array.__iter__": lambda w: [list(row) for row in w.x],
    "Array.__len__": lambda w: len(w.x),
    "Array.__bool__": lambda w: bool(w.mean),
    "Array.__float__": lambda w: float(w.mean),
    "Array.__int__": lambda w: int(w.mean),
    "Array.__pos__": lambda w: +w.mean,
    "Array.__round__": lambda w: round(w.mean, 1),
    "Array.__format__": lambda w: f"{w.mean:.3f} {w.x}",
    **{f"Array.{name}": lambda w, name=name: getattr(w.x, name) for name in ["T", "mT", "flat", "dtype"]},
    "Array.argmax": lambda w: w.x.argmax(),
    "Array.argmin": lambda w: w.x.argmin(axis=1),
    "Array.astype": lambda w: w.x.astype(float),
    "Array.clip": lambda w: w.x.clip(0.7, 1.5),
    "Array.copy": lambda w: w.x.copy(),
    "Array.cumprod": lambda w: w.x.cumprod(),
    "Array.cumsum": lambda w: w.x.cumsum(axis=1),
    "Array.diagonal": lambda w: w.x.diagonal(),
    "Array.dot": lambda w: (w.x.dot(w.y.T), (w.x[:, None] * 1).dot(w.y.T)),
    "Array.std": lambda w: w.x.std(axis=0),
    "Array.take": lambda w: (w.x.take([0, 2]), w.x.take(w.index, axis=1)),
    "Array.var": lambda w: (w.x.var(), w.x.var(axis=0, ddof=1, where=X > 1)),
    "Array.backward": lambda w: w.mean.backward(),
    "Array.flatten": lambda w: w.x.T.flatten(),
    "Array.item": lambda w: w.mean.item(),
    "Array.max": lambda w: w.x.max(axis=0),
    "Array.mean": lambda w: w.x.mean(axis=1),
    "Array.min": lambda w: w.x.min(),
    "Array.prod": lambda w: w.x.prod(0),
    "Array.sum": lambda w: (w.x.sum(), w.x.sum(1, keepdims=True), w.x.sum(initial=w.v, where=X > 1)),
    "Array.ravel": lambda w: w.x.T.ravel(),
    "Array.reshape": lambda w: w.x.T.reshape(2, -1),
    "Array.squeeze": lambda w: w.x[:, None].squeeze(),
    "Array.swapaxes": lambda w: w.x.swapaxes(0, 1),
    "Array.transpose": lambda w: w.x.transpose(1, 0),
    "Array.tolist": lambda w: (w.x.tolist(), (w.x * 2).tolist()),
    **{f"Array.{name}": lambda w, name=name: getattr(w.x, name) for name in ["ndim", "shape", "size"]},
    "array": lambda w: pygrad.array(X),
    "array of Values": lambda w: pygrad.array([[w.v, 2.0], [w.leaf, w.product]]),
    "array of Arrays": lambda w: pygrad.array([w.x, w.y]),
    **{
        f"{name}": lambda w, name=name: getattr(pygrad, name)(3) for name in ["arange", "eye", "ones", "zeros", "randn"]
    },
    "full": lambda w: pygrad.full((2, 3), 0.5),
    "uniform": lambda w: pygrad.uniform(-1, 1, (2, 3), rng=0),
    "concatenate": lambda w: pygrad.concatenate([w.x, X, w.y]),
    "stack": lambda w: pygrad.stack([w.x, w.y, X]),
    "where": lambda w: pygrad.where(X > 1, w.x, 0.0),
    **{
        f"functional.{case.method}": lambda w, name=case.method: (
            getattr(functional, name)(w.x),
            getattr(functional, name)(X),
        )
        for case in ops.FUNCTIONS
    },
    "functional.linear": lambda w: functional.linear(w.x, w.y, w.bias),
    "functional.embedding": lambda w: functional.embedding([0, 2, 2], w.x),
    "functional.softmax": lambda w: (functional.softmax(w.x), functional.softmax(w.x, 0)),
    "functional.log_softmax": lambda w: functional.log_softmax(w.x),
    "functional.rms_norm": lambda w: functional.rms_norm(w.x, 3, w.y[0]),
    "functional.cross_entropy": lambda w: functional.cross_entropy(w.x, [0, 1, 2, 0]),
    "functional.layer_norm": lambda w: functional.layer_norm(w.x, 3, w.y[0], w.y[1]),
    "functional.gelu": lambda w: functional.gelu(w.x),
    "functional.silu": lambda w: functional.silu(w.x),
    "functional.dropout": lambda w: functional.dropout(w.x, 0.5),
    "functional.nll_loss": lambda w: functional.nll_loss(w.x, [0, 1, 2, 0]),
    "functional.binary_cross_entropy_with_logits": lambda w: functional.binary_cross_entropy_with_logits(w.x, w.y),
    **{
        f"functional.{name}": lambda w, name=name: getattr(functional, name)(w.x, w.y)
        for name in ["huber_loss", "l1_loss", "smooth_l1_loss"]
    },
    "functional.mse_loss": lambda w: functional.mse_loss(w.x, w.y),
    "functional.hinge_loss": lambda w: functional.hinge_loss(w.x, w.y, reduction="none"),
    "gradcheck": lambda w: pygrad.gradcheck(lambda x: (x * w.v).sum(), X[0]),
    "custom_vjp": lambda w: pygrad.custom_vjp(lambda x: x),
    "custom_vjp.defvjp": lambda w: pygrad.custom_vjp(lambda x: x).defvjp(None, None),
    "custom_vjp.__call__": lambda w: (w.clipped(w.x).sum().backward(), w.clipped(w.v).backward()),
    "compile of a custom_vjp": lambda w: pygrad.compile(w.clipped, X[0]).vjp((X[0],), X[1]),
    "compile": lambda w: w.compile(),
    "compile of lookups": lambda w: w.compile_vector()(1, X[0]),
    "Program": lambda w: w.compile()(X[0], 0.5),
    "Program.__call__": lambda w: (w.program(X[0], 0.5), w.program(X[0], BATCH)),
    "Program.__call__ for the first time": lambda w: w.compile()(X[0], BATCH),
    "Program.value_and_grad": lambda w: w.program.value_and_grad(X[0], BATCH, cotangent=BATCH),
    "Program.value_and_grad for the first time": lambda w: w.compile().value_and_grad(X[0], BATCH),
    "Program.value_and_grad at a pole for the first time": lambda w: w.compile_pole().value_and_grad(BATCH - 0.1),
    "Program.jvp": lambda w: w.compile().jvp((X[0], BATCH), (X[1], 1.0)),
    "Program.vjp": lambda w: w.compile().vjp((X[0], BATCH), BATCH),
    "Program.jacobian": lambda w: (w.vector.jacobian(1, X[0]), w.compile_vector().jacobian([1, 2], X[0])),
    "Program.hvp": lambda w: w.compile().hvp((X[0], BATCH), (X[1], 1.0)),
    "Program.hessian": lambda w: w.compile().hessian(X[0], 0.5),
    "Program.pure": lambda w: w.program.pure()(w.program.parameters.data, X[0], BATCH),
    "Program.objective": lambda w: w.program.pure().objective(None, X[0], BATCH)(w.program.parameters.data),
    "Program.__reduce__": lambda w: pickle.loads(pickle.dumps(w.program))(X[0], BATCH),
    "Program.save": lambda w: w.program.save(w.program_path),
    "Program.load": lambda w: pygrad.Program.load(w.program_path)(X[0], BATCH),
    "Program.to_c": lambda w: w.program.to_c(w.path.with_suffix(".c")),
    "Program.__copy__": lambda w: copy.copy(w.program)(X[0], 0.5),
    "Program.__deepcopy__": lambda w: copy.deepcopy(w.program)(X[0], 0.5),
    "Program.backend": lambda w: w.program.backend,
    "Program.__str__": lambda w: str(w.program),
    "Program.__repr__": lambda w: repr(w.program),
    "Program.parameters": lambda w: w.program.parameters * 2,
    "Program.threads": lambda w: w.program.threads,
    "Program.check_finite": lambda w: w.program.check_finite,
    "index": lambda w: pygrad.index([0, 2]),
    "Index.__array__": lambda w: np.asarray(w.index),
    "Index.__eq__": lambda w: w.index == [0, 2],
    "Index.__getitem__": lambda w: w.index[0],
    "Index.__index__": lambda w: X[pygrad.index(1)],
    "Index.__iter__": lambda w: list(w.index),
    "Index.__len__": lambda w: len(w.index),
    "Index.__repr__": lambda w: repr(w.index),
    "Index.ravel": lambda w: w.index.ravel(),
    "Index.reshape": lambda w: w.index.reshape(2, 1),
    **{f"Index.{name}": lambda w, name=name: getattr(w.index, name) for name in ["data", "ndim", "shape", "size"]},
    "Index.is_traced": lambda w: w.index.is_traced,
    "nn.Module": lambda w: nn.Module(),
    "nn.Module.__call__": lambda w: (w.dropout(w.x), w.layer_norm(w.x)),
    "nn.Module.forward": lambda w: [layer.forward(w.x) for layer in (w.dropout, w.layer_norm, *w.activations)],
    "nn.Module.train": lambda w: w.sequential.train(),
    "nn.Module.training": lambda w: w.sequential.training,
    "nn.Module.eval": lambda w: w.linear.eval(),
    "nn.Module.requires_grad_": lambda w: w.sequential.requires_grad_(),
    "nn.Module.requires_grad": lambda w: w.sequential.requires_grad,
    "nn.Module.named_parameters": lambda w: (list(w.mlp.named_parameters()), list(w.sequential.named_parameters())),
    "nn.Module.parameters": lambda w: (w.mlp.parameters(), w.sequential.parameters()),
    "nn.Module.zero_grad": lambda w: w.mlp.zero_grad(),
    "nn.Module.state_dict": lambda w: (w.mlp.state_dict(), w.linear.state_dict()),
    "nn.Module.load_state_dict": lambda w: w.mlp.load_state_dict(w.mlp.state_dict()),
    "nn.Module.__getstate__": lambda w: pickle.loads(pickle.dumps([w.mlp, w.sequential])),
    "nn.Module copied": lambda w: (copy.deepcopy(w.mlp), copy.deepcopy(w.linear)),
    "nn.Module.__setattr__": lambda w: _edit(w.neuron, "b", w.leaf),
    "nn.Module.__delattr__": lambda w: (setattr(w.norm, "extra", w.leaf), delattr(w.norm, "extra")),
    "nn.Neuron": lambda w: (nn.Neuron(3), repr(w.neuron)),
    "nn.Neuron.__call__": lambda w: w.neuron([1.0, w.v, 2.0]),
    "nn.Neuron.activation": lambda w: w.neuron.activation,
    "nn.Layer": lambda w: (nn.Layer(3, 2), repr(w.layer)),
    "nn.Layer.__call__": lambda w: w.layer([1.0, w.v, 2.0]),
    "nn.MLP": lambda w: (nn.MLP(3, [4, 1]), repr(w.mlp)),
    "nn.MLP.__call__": lambda w: w.mlp([1.0, w.v, 2.0]),
    "nn.MLP of an Array": lambda w: w.mlp(w.x[0]),
    "nn.Linear": lambda w: (nn.Linear(3, 2), repr(w.linear)),
    "nn.Linear.__call__": lambda w: w.linear(w.x),
    "nn.Embedding": lambda w: (nn.Embedding(3, 2), repr(w.embedding)),
    "nn.Embedding.__call__": lambda w: w.embedding([1, 1, 4]),
    "nn.RMSNorm": lambda w: (nn.RMSNorm(3), repr(w.norm)),
    "nn.RMSNorm.__call__": lambda w: w.norm(w.x),
    "nn.LayerNorm": lambda w: (nn.LayerNorm(3), repr(w.layer_norm)),
    "nn.Dropout": lambda w: (nn.Dropout(), repr(w.dropout)),
    "nn.Dropout.mask": lambda w: w.dropout.mask((4, 3)),
    **{f"nn.{name}": lambda w, name=name: getattr(nn, name)() for name in ACTIVATIONS},
    "nn.ModuleList": lambda w: (nn.ModuleList([w.linear, w.norm]).parameters(), repr(nn.ModuleList([w.linear]))),
    "nn.Sequential": lambda w: (nn.Sequential(w.linear), repr(w.sequential)),
    "nn.Sequential.__call__": lambda w: w.sequential(w.x),
    "nn.Sequential.__getitem__": lambda w: w.sequential[0],
    "nn.Sequential.__len__": lambda w: len(w.sequential),
    "optim.linear": lambda w: optim.linear(1.0, 10)(3),
    "optim.cosine": lambda w: optim.cosine(1.0, 10)(3),
    "optim.Optimizer": lambda w: optim.Optimizer([w.leaf], 0.1),
    "optim.Optimizer.zero_grad": lambda w: w.sgd.zero_grad(),
    "optim.Optimizer.step": _train,
    "optim.Optimizer.state_dict": lambda w: (w.sgd.state_dict(), w.adam.state_dict()),
    "optim.Optimizer.load_state_dict": lambda w: w.adam.load_state_dict(w.adam.state_dict()),
    "optim.Optimizer.__getstate__": lambda w: pickle.dumps([w.sgd, w.adam]),
    "optim.Optimizer.__setstate__": lambda w: pickle.loads(pickle.dumps([w.sgd, w.adam])),
    "optim.Optimizer.lr": lambda w: _edit(w.sgd, "lr", 0.1),
    "optim.Optimizer.add_param_group": lambda w: optim.SGD([w.leaf]).add_param_group({"params": [w.table], "lr": 1.0}),
    "optim.Optimizer.steps": lambda w: _edit(w.adam, "steps", 3),
    "optim.Optimizer.params": lambda w: w.sgd.params,
    "optim.SGD": lambda w: optim.SGD([w.leaf], momentum=0.5),
    "optim.SGD.step": lambda w: optim.SGD([w.leaf], momentum=0.5).step(),
    "optim.SGD.momentum": lambda w: _edit(w.sgd, "momentum", 0.5),
    "optim.SGD.nesterov": lambda w: _edit(w.sgd, "nesterov", True),
    "optim.SGD.dampening": lambda w: _edit(w.sgd, "dampening", 0.5),
    "optim.SGD.weight_decay": lambda w: _edit(w.sgd, "weight_decay", 0.5),
    **{
        f"optim.{name}.maximize": lambda w, name=name: _edit(getattr(w, name.lower()), "maximize", True)
        for name in ["SGD", "Adam", "RMSprop"]
    },
    "optim.RMSprop": lambda w: optim.RMSprop([w.leaf], momentum=0.5, centered=True).step(),
    **{f"optim.RMSprop.{name}": lambda w, name=name, x=x: _edit(w.rmsprop, name, x) for name, x in RMSPROP.items()},
    "optim.Adam.amsgrad": lambda w: _edit(optim.Adam([w.leaf]), "amsgrad", True),
    "optim.Adam": lambda w: optim.Adam([w.leaf]),
    "optim.Adam.step": lambda w: optim.Adam([w.leaf]).step(),
    "optim.Adam.betas": lambda w: _edit(w.adam, "betas", (0.5, 0.9)),
    "optim.Adam.eps": lambda w: _edit(w.adam, "eps", 1e-6),
    "optim.Adam.weight_decay": lambda w: _edit(w.adam, "weight_decay", 0.5),
    "optim.AdamW": lambda w: optim.AdamW([w.leaf]).step(),
    "optim.clip_grad_norm_": lambda w: optim.clip_grad_norm_(w.trained.parameters(), 1.0),
    "save": lambda w: pygrad.save(w.path, w.mlp.state_dict()),
    "load": lambda w: pygrad.load(w.path),
    "memory_stats": lambda w: pygrad.memory_stats(),
    "viz.to_dot": lambda w: viz.to_dot(w.product),
    "viz.draw_dot": lambda w: viz.draw_dot(w.product),
    "viz.graph_html": lambda w: str(viz.graph_html(w.mean)),
}

# Makes no node and calls nothing of the core, or is tested elsewhere.
OF_ONE_FACADE = {
    "Value.__del__": "of the class in Python: follows every operation",
    "Value.__array_priority__": "of the class in Python: a number",
    "Value.__trunc__": "of the class in Python: gives an int",
    "Value.__divmod__": "of the class in Python: refuses, in words",
    "Value.__rdivmod__": "of the class in Python: refuses, in words",
    "Value.__floordiv__": "of the class in Python: refuses, in words",
    "Value.__rfloordiv__": "of the class in Python: refuses, in words",
    "Value.__mod__": "of the class in Python: refuses, in words",
    "Value.__rmod__": "of the class in Python: refuses, in words",
    "Value.__ne__": "of the C type: follows from __eq__",
    "Value.__new__": "of the C type: __init__ calls it",
    "Value.__setattr__": "of the C type: assigns data and grad",
    "Value.__delattr__": "likewise",
}
NOT_CALLED = {
    **OF_ONE_FACADE,
    "as_micrograd": "edits sys.modules",
    "MemoryStats": "a tuple",
    "TraceWarning": "a class of warnings",
    "GradcheckError": "a class of exceptions",
    **{f"nn.ModuleList.{name}": "of a list" for name in ["__abstractmethods__", "__hash__", "__orig_bases__"]},
    "GradientCutWarning": "a class of warnings",
    **{
        f"Array.{name}": "raises TypeError"
        for name in [
            "__init__",
            "__setitem__",
            "__delitem__",
            *(f"__{prefix}{op}__" for op in ("floordiv", "mod", "divmod") for prefix in ("", "r")),
        ]
    },
    "Index.__hash__": "None",
    "Index.__init__": "index() calls it",
    "viz.GraphPage": "what graph_html returns",
    "viz.plot_decision_boundary": "compile, and matplotlib, whose objects stay",
}


class _Plain:
    """Has what the running Python puts into every class."""

    annotated: int


def _members(cls):
    """The public attributes that a class defines, constructor and operators included; Array has its parts', too.

    An attribute that a program has given to Values is none of them, although the C type lists it.
    """
    made_by_python = {"__annotations__", "__annotations_cache__", "__slotnames__", "__slots__", *vars(_Plain)}
    owners = cls.__mro__[:-1] if cls is Array else [cls]
    names = (name for owner in owners for name in vars(owner) if name[0] != "_" or name[:2] == "__")
    return {name for name in names if name not in made_by_python and (hasattr(cls, name) or name[:2] == "__")}


def public_names():
    """All public names, as in OPERATIONS."""
    modules = {"": pygrad, "functional.": functional, "nn.": nn, "optim.": optim, "viz.": viz}
    for prefix, module in modules.items():
        names = getattr(module, "__all__", None) or [n for n, x in vars(module).items() if _is_of(x, module)]
        for name in names:
            thing = getattr(module, name)
            if (
                isinstance(thing, type(pygrad))
                or (prefix and thing is Value)
                or (f"nn.{name}" in OPERATIONS and prefix == "")
            ):
                continue
            if thing not in (Array, Index):  # made by functions
                yield prefix + name
            if thing in (Array, Index, Program, Value) or module in (nn, optim):
                yield from (f"{prefix}{name}.{member}" for member in _members(thing) if isinstance(thing, type))


def _is_of(x, module):
    return getattr(x, "__module__", "") == module.__name__ and not getattr(x, "__name__", "_").startswith("_")


def is_covered(name):
    """Whether OPERATIONS has the name, the same name in a base class, or the whole class."""
    *outer, member = name.split(".")
    inherited = {f"nn.Module.{member}", f"optim.Optimizer.{member}"} if outer and outer[0] in ("nn", "optim") else set()
    if member in ("__init__", "__repr__"):
        inherited.add(".".join(outer))
    called = {operation.partition(" ")[0] for operation in OPERATIONS}
    return name in NOT_CALLED or bool(({name} | inherited) & called)
