"""`pygrad.nn` is micrograd's nn: the same weights from one seed, the same graph, the same training."""

import copy
import pickle
import random

import micrograd.nn
import pytest
from programs import bits

from pygrad import nn, reference


def train(module, steps=20):
    """Losses and final parameters of a small net learning x * y."""
    random.seed(3)
    model = module.MLP(2, [6, 5, 1])
    samples = [(random.uniform(-1, 1), random.uniform(-1, 1)) for _ in range(8)]
    losses = []
    for _ in range(steps):
        loss = sum((model([x, y]) - x * y) ** 2 for x, y in samples)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.05 * p.grad
        losses.append(loss.data)
    return losses, [p.data for p in model.parameters()]


def test_training_gives_the_reference_s_bits():
    ours, theirs = train(nn), train(reference)
    assert [[bits(x) for x in xs] for xs in ours] == [[bits(x) for x in xs] for xs in theirs]


def test_training_gives_micrograd_s_losses():
    ours, theirs = train(nn), train(micrograd.nn)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-9)


@pytest.mark.parametrize("module", [nn, reference])
def test_modules_read_as_micrograd_s(module):
    random.seed(5)
    ours = module.MLP(3, [4, 1])
    random.seed(5)
    theirs = micrograd.nn.MLP(3, [4, 1])
    assert repr(ours) == repr(theirs)
    assert [p.data for p in ours.parameters()] == [p.data for p in theirs.parameters()]
    assert isinstance(module.Layer(3, 2)([1, 2, 3]), list)
    assert module.Module().parameters() == []


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("module", [nn, reference])
def test_modules_can_be_copied_and_pickled(module, copied):
    model = module.MLP(2, [3, 1])
    twin = copied(model)
    assert twin([1, 2]).data == model([1, 2]).data
    twin.parameters()[0].data += 1
    assert twin([1, 2]).data != model([1, 2]).data
