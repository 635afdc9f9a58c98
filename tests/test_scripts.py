"""Scripts for micrograd print the same, byte for byte, under `pygrad run`.

A new script is a row of the table. It should round floats that are sums of many terms: micrograd adds gradients in the
order of a set, and their last digits vary from run to run.
"""

import subprocess
import sys

import pytest

from support.effort import long

SCRIPTS = {
    "micrograd's README": """
        from micrograd.engine import Value

        a = Value(-4.0)
        b = Value(2.0)
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        print(f'{g.data:.4f}')
        g.backward()
        print(f'{a.grad:.4f}')
        print(f'{b.grad:.4f}')
    """,
    "micrograd's test_sanity_check": """
        from micrograd.engine import Value

        x = Value(-4.0)
        z = 2 * x + 2 + x
        q = z.relu() + z * x
        h = (z * z).relu()
        y = h + q + q * x
        y.backward()
        print(x, z, q, h, y, sep="\\n")
    """,
    "numbers of either type": """
        from micrograd.engine import Value

        for number in [2, -2, 0, 2.0, -2.5, -0.0, 1e3, 10**6, 2**53 - 1, float("inf"), float("nan")]:
            print(Value(number), Value(number).data, f"{Value(number).data}", "%s" % Value(number).grad)
    """,
    "ops on ints and floats": """
        from micrograd.engine import Value

        for x in [3, -3, 3.0, -0.5]:
            for y in [2, -2, 2.0, 0.5]:
                a, b = Value(x), Value(y)
                print(a + b, a - b, a * b, a / b, -a, a.relu(), b.relu())
                print(a + y, y + a, a - y, y - a, a * y, y * a, a / y, y / a)
        for x in [3, -3, 3.0, -0.5]:
            for n in [0, 1, 2, 3, -1, -2, 2.0, 1.0]:
                print(Value(x) ** n, end=" ")
        print(sum([Value(1), Value(2), Value(3)]), sum([Value(1), Value(2.0)]))
    """,
    "gradients of ints and floats": """
        from micrograd.engine import Value

        for x in [3, -3, 3.0, -0.5]:
            for y in [2, -2, 2.0, 0.5]:
                for f in [
                    lambda a, b: a,
                    lambda a, b: a + b,
                    lambda a, b: a * b,
                    lambda a, b: a - b,
                    lambda a, b: a / b,
                    lambda a, b: a * b + a,
                    lambda a, b: a * a + b * 2,
                    lambda a, b: (a + b).relu() + a,
                    lambda a, b: (a * b).relu() * b,
                    lambda a, b: a**2 + b**3,
                    lambda a, b: a**1 + b**0,
                    lambda a, b: a**2.0 + b,
                    lambda a, b: (a + 1) * (b + 1.0),
                ]:
                    a, b = Value(x), Value(y)
                    out = f(a, b)
                    print(a, b, end=" ")
                    out.backward()
                    print(out, a, b)
                    a.grad = 0
                    out.backward()
                    print(out, a, b)
    """,
    "what is assigned": """
        from micrograd.engine import Value

        v = Value(2)
        for number in [3, 3.5, -1, 0, 0.0]:
            v.data = number
            v.grad = number
            print(v, v.data, v.grad, v * 2, v + 1)
        p = Value(1)
        (p * 3).backward()
        print(p)
        p.data -= 0.1 * p.grad
        print(f"{p.data:.2f}", p.grad)
        p.data += 1
        p.grad = 0
        print(f"{p.data:.2f}", p.grad)
        p.data, p.grad = 5, 1
        p.data -= p.grad
        print(p)
    """,
    "an op of its own": """
        import math
        from micrograd.engine import Value

        def tanh(x):
            t = (math.exp(2 * x.data) - 1) / (math.exp(2 * x.data) + 1)
            out = Value(t, (x,), "tanh")
            def _backward():
                x.grad += (1 - t**2) * out.grad
            out._backward = _backward
            return out

        def twice(x):
            out = Value(2 * x.data, (x,), "twice")
            def _backward():
                x.grad += 2 * out.grad
            out._backward = _backward
            return out

        x1, x2, w1, w2, b = Value(2), Value(0), Value(-3), Value(1), Value(7)
        n = x1 * w1 + x2 * w2 + b
        o = tanh(n)
        print(n, f"{o.data:.4f}")
        o.backward()
        print([f"{v.grad:.4f}" for v in (x1, w1, x2, w2, b)])
        a = Value(3)
        out = twice(twice(a) + 1)
        out.backward()
        print(out, a, out._op, [child.data for child in out._prev])
    """,
    "labels of 1 and -1": """
        import random
        from micrograd.engine import Value
        from micrograd.nn import MLP

        random.seed(1337)
        model = MLP(2, [4, 4, 1])
        print(model)
        print("number of parameters", len(model.parameters()))
        print(model.parameters()[2], [p.grad for p in model.parameters()])
        X = [(random.randint(-2, 2), random.uniform(-1, 1)) for _ in range(12)]
        y = [1 if a * b > 0 else -1 for a, b in X]

        def loss():
            inputs = [list(map(Value, xrow)) for xrow in X]
            scores = list(map(model, inputs))
            losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores)]
            data_loss = sum(losses) * (1.0 / len(losses))
            reg_loss = 1e-4 * sum((p * p for p in model.parameters()))
            accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores)]
            return data_loss + reg_loss, sum(accuracy) / len(accuracy)

        for k in range(5):
            total_loss, acc = loss()
            model.zero_grad()
            total_loss.backward()
            learning_rate = 1.0 - 0.9 * k / 100
            for p in model.parameters():
                p.data -= learning_rate * p.grad
            print(f"step {k} loss {total_loss.data:.6f}, accuracy {acc * 100}%")
        model.zero_grad()
        print([p.grad for p in model.parameters()])
    """,
    "targets that are ints": """
        import random
        from micrograd.nn import MLP

        random.seed(7)
        n = MLP(3, [4, 4, 1])
        xs = [[2, 3, -1], [3.0, -1.0, 0.5], [0.5, 1, 1.0], [1, 1, -1]]
        ys = [1, -1, -1, 1]
        for k in range(10):
            ypred = [n(x) for x in xs]
            loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred))
            for p in n.parameters():
                p.grad = 0
            loss.backward()
            for p in n.parameters():
                p.data += -0.05 * p.grad
            print(k, round(loss.data, 6), loss.grad)
        print([round(y.data, 6) for y in ypred])
    """,
    "a perceptron of ints": """
        from micrograd.engine import Value

        data = [((0, 0), 0), ((0, 1), 0), ((1, 0), 0), ((1, 1), 1)]
        w, b = [Value(0), Value(0)], Value(0)
        for epoch in range(6):
            wrong = 0
            for x, target in data:
                out = sum((wi * xi for wi, xi in zip(w, x)), b)
                error = target - (1 if out.data > 0 else 0)
                wrong += error != 0
                out.backward()
                for p in [*w, b]:
                    p.data += error * p.grad
                    p.grad = 0
            print(epoch, wrong, w, b)
    """,
    "linear regression by hand": """
        from micrograd.engine import Value

        w, b = Value(0), Value(0)
        for step in range(20):
            loss = Value(0)
            for x in range(-3, 4):
                loss = loss + (w * x + b - (2 * x + 1)) ** 2
            loss = loss / 7
            if step == 0:
                print(loss, w, b)
            w.grad, b.grad = 0, 0
            loss.backward()
            if step == 0:
                print(loss.grad, round(w.grad, 9), round(b.grad, 9))
            w.data -= 0.1 * w.grad
            b.data -= 0.1 * b.grad
        print(f"{w.data:.4f} {b.data:.4f} {loss.data:.6f}")
    """,
    "micrograd's README on ints": """
        from micrograd.engine import Value

        a, b = Value(-4), Value(2)
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        print(a, b, c, d, e, f)
        f.backward()
        print(a, b, c, d, e, f)
        g = f / 2.0
        g += 10.0 / f
        g.backward()
        print(f"{g.data:.4f} {a.grad:.4f} {b.grad:.4f}", g.grad)
    """,
    "XOR": """
        import random
        from micrograd.engine import Value
        from micrograd.nn import MLP

        random.seed(42)
        xs = [(0, 0), (0, 1), (1, 0), (1, 1)]
        ys = [0, 1, 1, 0]
        model = MLP(2, [8, 1])
        for epoch in range(30):
            loss = Value(0)
            for x, y in zip(xs, ys):
                error = model(x) - y
                loss += error**2
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.data -= 0.05 * p.grad
            if epoch % 10 == 0:
                print(f"epoch {epoch} loss {loss.data:.6f}", loss.grad)
        for x, y in zip(xs, ys):
            print(x, y, round(model(x).data, 4), model(x).data > 0.5)
        print(model(xs[0]).grad, len(model.parameters()), model.parameters()[-1]._prev)
    """,
    "moons in NumPy arrays, in batches": """
        import random
        import numpy as np
        from micrograd.engine import Value
        from micrograd.nn import MLP

        np.random.seed(1337)
        random.seed(1337)
        t = np.random.uniform(0, np.pi, 20)
        y = np.arange(20) % 2
        X = np.stack([np.cos(t) + y, np.sin(t) * (1 - 2 * y) + 0.5 * y], axis=1)
        y = y * 2 - 1
        model = MLP(2, [6, 1])

        def loss(batch_size=10):
            ri = np.random.permutation(X.shape[0])[:batch_size]
            Xb, yb = X[ri], y[ri]
            inputs = [list(map(Value, xrow)) for xrow in Xb]
            scores = list(map(model, inputs))
            losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(yb, scores)]
            data_loss = sum(losses) * (1.0 / len(losses))
            alpha = 1e-4
            reg_loss = alpha * sum((p * p for p in model.parameters()))
            total_loss = data_loss + reg_loss
            accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(yb, scores)]
            return total_loss, sum(accuracy) / len(accuracy)

        for k in range(8):
            total_loss, acc = loss()
            model.zero_grad()
            total_loss.backward()
            learning_rate = 1.0 - 0.9 * k / 100
            for p in model.parameters():
                p.data -= learning_rate * p.grad
            print(f"step {k} loss {total_loss.data:.6f}, accuracy {acc * 100}%")
        print(Value(y[0]), (Value(y[1]) * 3).data, sum(losses := [Value(1), Value(2)]), losses)
    """,
    "softmax regression with exp and log of its own": """
        import math
        import random
        from micrograd.engine import Value

        def exp(self):
            out = Value(math.exp(self.data), (self,), "exp")
            def _backward():
                self.grad += out.data * out.grad
            out._backward = _backward
            return out

        def log(self):
            out = Value(math.log(self.data), (self,), "log")
            def _backward():
                self.grad += (1 / self.data) * out.grad
            out._backward = _backward
            return out

        Value.exp, Value.log = exp, log
        random.seed(3)
        data = [([random.gauss(2 * k, 1), random.gauss(-k, 1), 1], k) for k in range(3) for _ in range(4)]
        W = [[Value(0) for _ in range(3)] for _ in range(3)]
        for step in range(10):
            loss = 0
            for x, target in data:
                logits = [sum(w * xi for w, xi in zip(row, x)) for row in W]
                counts = [z.exp() for z in logits]
                total = sum(counts)
                probs = [c / total for c in counts]
                loss += -probs[target].log()
            loss = loss / len(data)
            for row in W:
                for w in row:
                    w.grad = 0
            loss.backward()
            for row in W:
                for w in row:
                    w.data -= 0.5 * w.grad
            print(step, round(loss.data, 6), loss.grad, [round(p.data, 4) for p in probs])
        print([[round(w.data, 4) for w in row] for row in W])
    """,
    "closures that add ints, floats or nothing": """
        from micrograd.engine import Value

        def square(x):
            out = Value(x.data * x.data, (x,), "square")
            def backward():
                x.grad += 2 * x.data * out.grad
            out._backward = backward
            return out

        def biggest(*xs):
            at = max(range(len(xs)), key=lambda i: xs[i].data)
            out = Value(xs[at].data, xs, "max")
            def backward():
                xs[at].grad += out.grad
            out._backward = backward
            return out

        def magnitude(x):
            out = Value(abs(x.data), (x,), "abs")
            out._backward = lambda: setattr(x, "grad", x.grad + (1 if x.data > 0 else -1) * out.grad)
            return out

        def average(xs):
            out = Value(sum(x.data for x in xs) / len(xs), tuple(xs), "mean")
            def backward():
                for x in xs:
                    x.grad += out.grad / len(xs)
            out._backward = backward
            return out

        for numbers in [(1, -2, 3), (1.0, -2, 0.5), (4, 4, -4)]:
            a, b, c = map(Value, numbers)
            doubled = b * 2
            for out in [square(a) + b, biggest(a, doubled, c) * 2, magnitude(doubled) + a + doubled, average([a, b]),
                        square(biggest(a + 1, c)) - magnitude(b) * 3, average([doubled, c]) + doubled]:
                for v in (a, b, c, doubled):
                    v.grad = 0
                out.backward()
                print(out, a, b, c, doubled)
    """,
    "all names of the engine": """
        text = op = check = labels = register = symbol_of = fast = lib = "mine"
        before = set(dir())
        from micrograd.engine import *
        print(sorted(set(dir()) - before), text, op, check, labels, register, symbol_of, fast, lib)
    """,
    "a walk that orders nodes by their numbers": """
        from micrograd.engine import Value

        a, b = Value(1.5), Value(2)
        c = (a + b) * (b - a) / (a * a + 1)
        order, visited = [], set()

        def visit(v):
            if id(v) not in visited:
                visited.add(id(v))
                for child in sorted(v._prev, key=lambda x: (x.data, x._op)):
                    visit(child)
                order.append(v)

        visit(c)
        c.grad = 1.0
        for v in reversed(order):
            v._backward()
        print([(v, v._op) for v in order])
    """,
}


def output_of(*command):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@long
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_what_it_prints_with_micrograd(name, tmp_path):
    (tmp_path / "script.py").write_text("if True:" + SCRIPTS[name])
    expected = output_of(tmp_path / "script.py")
    assert expected
    assert output_of("-m", "pygrad", "run", tmp_path / "script.py").splitlines() == expected.splitlines()
