"""Attributes that programs add to Values, as they may to any object of Python."""

import copy
import gc
import pickle
import weakref

import pytest
from micrograd.engine import Value as Theirs

from pygrad import Value
from support import frees_at_once, live_nodes


class Sub(Value):
    """A subclass."""


class Slotted(Value):
    """A subclass without a dict of its own."""

    __slots__ = ("slot",)


CLASSES = pytest.mark.parametrize("cls", [Value, Sub, Slotted])


@CLASSES
def test_an_attribute_is_set_read_and_deleted(cls):
    v, other = cls(2.0), cls(3.0)
    v.color, v.m = "red", 0
    v.color += "dish"
    assert (v.color, v.m, hasattr(other, "color"), hasattr(cls, "color")) == ("reddish", 0, False, False)
    del v.color
    for missing in (lambda: v.color, lambda: delattr(v, "color"), lambda: other.color, lambda: cls.color):
        with pytest.raises(AttributeError, match="'color'"):
            missing()


@CLASSES
def test_results_start_without_the_attributes_of_their_operands(cls):
    v = cls(2.0)
    v.tag = "x"
    assert not hasattr(v * 2, "tag")
    assert not hasattr(cls(1.0), "tag")


def test_a_value_that_takes_the_place_of_another_starts_without_attributes():
    for i in range(1000):
        v = Value(i)
        assert not hasattr(v, "step")
        v.step = i


def test_vars_shows_what_micrograd_s_shows_in_its_order():
    ours, theirs = Value(2.0) * 3, Theirs(2.0) * 3
    ours.color = theirs.color = "red"
    assert list(vars(ours)) == list(vars(theirs))
    assert isinstance(vars(ours), dict)
    assert vars(ours)["data"] == vars(theirs)["data"]
    assert vars(ours)["_prev"] is ours._prev
    assert (vars(ours)["_op"], vars(ours)["color"]) == ("*", "red")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("data", 5.0),
        lambda d: d.update(data=5.0),
        lambda d: d.__ior__({"data": 5.0}),
        lambda d: d.pop("color"),
        lambda d: d.__delitem__("color"),
        lambda d: d.setdefault("m", 1),
        lambda d: d.setdefault("color", 1),
    ],
)
def test_the_dict_of_a_value_changes_the_value(change):
    ours, theirs = Value(2.0), Theirs(2.0)
    for v in (ours, theirs):
        v.color = "red"
        change(v.__dict__)
    assert ours.data == theirs.data
    assert [getattr(ours, name, None) for name in ("color", "m")] == [
        getattr(theirs, name, None) for name in ("color", "m")
    ]


@CLASSES
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_attributes_are_copied_and_pickled_with_a_leaf(cls, copied):
    v = cls(2.0)
    v.m, v.history = 0.5, [1, 2]
    w = copied(v)
    assert (w.data, w.m, w.history) == (2.0, 0.5, [1, 2])
    w.m = 1
    assert v.m == 0.5


def test_a_deepcopy_of_attributes_follows_cycles():
    v, w = Value(1.0), Value(2.0)
    v.friend, w.friend = w, v
    other = copy.deepcopy(v)
    assert other.friend.friend is other
    assert (other is not v, other.friend is not w) == (True, True)


def test_a_method_may_be_replaced_on_one_value():
    v, w = Value(-1.0), Value(-2.0)
    v.relu = lambda: "mine"
    assert v.relu() == "mine"
    assert w.relu().data == Value.relu(v).data == 0
    del v.relu
    assert v.relu().data == 0


def test_an_attribute_of_the_class_is_read_where_a_value_has_none():
    class Counted(Value):
        count = 0

    v, w = Counted(1.0), Counted(1.0)
    v.count += 1
    assert (v.count, w.count, Counted.count) == (1, 0, 0)


def test_a_property_without_a_setter_refuses():
    class Fixed(Value):
        @property
        def fixed(self):
            return 1

    with pytest.raises(AttributeError, match="fixed"):
        Fixed(1.0).fixed = 2


@CLASSES
def test_a_cycle_through_attributes_is_collected(cls):
    gc.collect()
    before = live_nodes()
    for _ in range(100):
        v, w = cls(1.0), cls(2.0)
        v.friend, w.friend, v.self = w, v, v
        v.out = v * w
    del v, w
    gc.collect()
    assert live_nodes() == before


@frees_at_once
def test_attributes_are_freed_with_their_value():
    v = Value(1.0)
    v.thing = Sub(2.0)
    seen = weakref.ref(v.thing)
    del v
    assert seen() is None


def test_memory_stays_flat_where_values_with_attributes_come_and_go(tracemalloc):
    def work(n):
        for i in range(n):
            v = Value(i)
            v.m = v.v = 0.0
            v.name = "weight"
            assert v.m + v.v == 0

    work(1000)
    nodes = live_nodes()
    tracemalloc.start()
    work(1000)
    before = tracemalloc.get_traced_memory()[0]
    work(50_000)
    assert tracemalloc.get_traced_memory()[0] < before + 10_000
    assert live_nodes() == nodes


@CLASSES
def test_the_op_that_is_shown_can_be_assigned(cls):
    a = cls(2.0)
    b = a * 3 + 1
    b._op = "affine"
    b.backward()
    assert (b._op, a._op, a.grad, len(b._prev)) == ("affine", "", 3, 2)


@CLASSES
def test_a_grad_of_none_is_0_to_which_the_next_pass_adds(cls):
    v = cls(2.0)
    v.grad = 5.0
    v.grad = None
    assert v.grad == 0
    (v * 3).backward()
    assert v.grad == 3


@CLASSES
@pytest.mark.parametrize("found", [False, True])
def test_a_second_init_leaks_nothing(cls, found):
    before = live_nodes()
    v = cls(1.0)
    if found:
        assert v in (v * 2)._prev
    v.__init__(2.0)
    assert (v.data, live_nodes()) == (2.0, before + 1)
    assert [w.data for w in (v * 3)._prev if w is v] == [2.0]
    v.__init__(4.0, (), "input")
    assert (v.data, v._op, live_nodes()) == (4.0, "input", before + 1)
    del v
    assert live_nodes() == before
