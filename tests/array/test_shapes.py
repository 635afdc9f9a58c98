"""reshape, transpose and the like work as in NumPy."""

import pytest

from pygrad import array
from support.arrays import CUBE, check, raises_as

RESHAPED = [
    lambda x: x.reshape(24),
    lambda x: x.reshape(-1),
    lambda x: x.reshape(6, -1),
    lambda x: x.reshape((6, 4)),
    lambda x: x.reshape([2, 3, 2, 2]),
    lambda x: x[0, 0, 0, :1].reshape(()),
    lambda x: x[:0].reshape(0, 5),
    lambda x: x.T.reshape(4, 6),
    lambda x: x.T,
    lambda x: x.transpose(),
    lambda x: x.transpose(None),
    lambda x: x.transpose(1, 0, 3, 2),
    lambda x: x.transpose((3, 0, 1, 2)),
    lambda x: x.transpose(0, -1, 1, -2),
    lambda x: x.swapaxes(0, 3),
    lambda x: x.swapaxes(-1, 1),
    lambda x: x.ravel(),
    lambda x: x.T.ravel(),
    lambda x: x.flatten(),
    lambda x: x.squeeze(),
    lambda x: x.squeeze(1),
    lambda x: x.squeeze(axis=(1,)),
    lambda x: x[:1].squeeze((0, -3)),
    lambda x: x[0, 0, 0, 0, ...].T,
    lambda x: x[0, 0, 0].T,
]


@pytest.mark.parametrize("f", RESHAPED)
def test_shapes_change_as_in_numpy(f):
    check(lambda x: f(x) * 1, f, CUBE)
    a = array(CUBE)
    assert [v.data for v in f(a).ravel()] == f(CUBE).ravel().tolist()
    assert f(a).shape == f(CUBE).shape
    assert f(a).size == f(CUBE).size
    assert f(a).ndim == f(CUBE).ndim


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.reshape(5),
        lambda x: x.reshape(-1, -1),
        lambda x: x.reshape(5, -1),
        lambda x: x.reshape("a"),
        lambda x: x.reshape(2.0, 12),
        lambda x: x.transpose(0, 1),
        lambda x: x.transpose(0, 0, 1, 2),
        lambda x: x.transpose(0, 1, 2, 9),
        lambda x: x.swapaxes(0, 4),
        lambda x: x.squeeze(0),
        lambda x: x.squeeze(7),
    ],
)
def test_a_wrong_shape_raises_what_numpy_raises(f):
    with raises_as(f, CUBE):
        f(array(CUBE))
