"""Nested structures."""
from __future__ import annotations

from collections import namedtuple

import pytest

from dlcompile import tree
from dlcompile.errors import ArgumentError

Pair = namedtuple("Pair", "left right")
NESTED = {"b": [1, (2, {"z": 3})], "a": Pair(4, [])}


def test_leaves_go_by_keys_in_order_and_come_back_to_their_places():
    assert tree.flatten(NESTED) == [4, 1, 2, 3]
    made = tree.pack_sequence_as(NESTED, "pqrs")
    assert made == {"b": ["q", ("r", {"z": "s"})], "a": Pair("p", [])}
    assert list(made) == ["b", "a"] and type(made["a"]) is Pair and type(made["b"][1]) is tuple


def test_a_leaf_is_a_structure():
    assert tree.flatten(5) == [5] and tree.pack_sequence_as(None, [7]) == 7 and tree.map_structure(str, 5) == "5"


def test_paths():
    assert tree.flatten_with_path(NESTED) == [(("a", 0), 4), (("b", 0), 1), (("b", 1, 0), 2), (("b", 1, 1, "z"), 3)]


def test_keys_without_an_order_keep_theirs():
    assert tree.flatten({"a": 1, 2: 2}) == [1, 2]


def test_dictionaries_are_alike_whatever_their_order():
    assert tree.map_structure(lambda a, b: (a, b), {"x": 1, "y": 2}, {"y": 20, "x": 10}) == {"x": (1, 10), "y": (2, 20)}


@pytest.mark.parametrize(("a", "b", "says"), [
    ([1, 2], [1], "2 and 1 items"), ({"a": {"b": 1}}, {"a": {"c": 1}}, r"at \['a'\]: keys b and c"), ([1, [2]], [1, 2], r"at \[1\]: list and int"),
    ([1], {"a": 1}, "list and dict")])
def test_structures_that_differ(a, b, says):
    with pytest.raises(ArgumentError, match=says):
        tree.assert_same_structure(a, b)


def test_too_few_leaves():
    with pytest.raises(ArgumentError, match="4 leaves cannot be made of 2"):
        tree.pack_sequence_as(NESTED, [1, 2])
