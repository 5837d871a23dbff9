"""Trees taken apart and put together."""
from __future__ import annotations

from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcompile.functional import tree

Pair = namedtuple("Pair", "left right")
TREES = st.recursive(st.one_of(st.integers(), st.none(), st.text(max_size=2)),
                     lambda inner: st.one_of(st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple),
                                             st.dictionaries(st.text(max_size=3), inner, max_size=3), st.tuples(inner, inner).map(lambda p: Pair(*p))),
                     max_leaves=12)


@given(TREES)
def test_there_and_back(value):
    leaves, structure = tree.flatten(value)
    back = tree.unflatten(structure, leaves)
    assert back == value and type(back) is type(value)
    assert structure.size == len(leaves) == len(tree.paths(structure))
    assert tree.flatten(tree.unflatten(structure, range(len(leaves))))[1] == structure


@given(TREES)
def test_paths_lead_to_the_leaves(value):
    leaves, structure = tree.flatten(value)
    for leaf, path in zip(leaves, tree.paths(structure)):
        found = value
        for key in path:
            found = getattr(found, key) if isinstance(found, Pair) else found[key]
        assert found is leaf


def test_the_order_of_keys_does_not_matter():
    a, b = tree.flatten({"x": 1, "a": 2}), tree.flatten({"a": 2, "x": 1})
    assert a == b and a[0] == [2, 1] and hash(a[1]) == hash(b[1])


def test_forms_that_differ():
    forms = [tree.flatten(t)[1] for t in ((1,), [1], {"a": 1}, {"b": 1}, Pair(1, 2), (1, 2), None, 1, (), [], (None,), ((1,),))]
    assert len(set(forms)) == len(forms)
    assert [str(f) for f in forms[:5]] == ["(*,)", "[*]", "{'a': *}", "{'b': *}", "Pair(left=*, right=*)"]


def test_map():
    assert tree.map(lambda a, b: a + b, {"a": (1, None), "b": [2]}, {"b": [20], "a": (10, None)}) == {"a": (11, None), "b": [22]}
    with pytest.raises(ValueError, match=r"different structures: \(\*, \*\) and \(\*,\)"):
        tree.map(lambda a, b: a, (1, 2), (1,))


def test_refusals():
    with pytest.raises(ValueError, match="1 leaves for a tree of 2"):
        tree.unflatten(tree.flatten((1, 2))[1], [1])
    with pytest.raises(TypeError, match="'<' not supported"):
        tree.flatten({1: 0, "a": 0})


def test_names():
    structure = tree.flatten({"w": [0, {"b-c": 1}]})[1]
    assert [tree.spelled(p) for p in tree.paths(structure)] == ["['w'][0]", "['w'][1]['b-c']"]
    assert [tree.name(p, "output") for p in tree.paths(structure)] == ["w_0", "w_1_b_c"]
    assert tree.name((1, "w"), "output") == "output_1_w" and tree.name((), "output") == "output"
