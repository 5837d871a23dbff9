"""Normalisations that are written as others are found, and pools larger than what they pool are cut down: the value stays."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import make_constant, symbol
from dlcompile.transforms import optimize, rewrite
from dlcompile.transforms.algebra import ALGEBRA
from dlcompile.transforms.normalization import NORMALIZATION
from tests.transforms.helpers import assert_same, graph_of, operators, variable


@pytest.mark.parametrize("groups, shape", [(1, (2, 6, 3, 5)), (3, (2, 6, 3, 5)), (6, (1, 6, 7)), (2, (symbol("n"), 4, symbol("h"), 3))])
def test_groups_written_as_instances(groups, shape):
    x = variable("x", shape)
    inside = ops.instance_normalization(ops.reshape(x, (shape[0], groups, -1)), np.linspace(1, 2, groups, dtype=np.float32),
                                        np.linspace(-1, 1, groups, dtype=np.float32), epsilon=1e-3)
    graph = graph_of(ops.reshape(inside, shape), x)
    after = rewrite(graph, NORMALIZATION)
    assert set(operators(after)) == {"group_normalization"}
    for other in (after, optimize(graph)):
        assert_same(graph, other, rtol=1e-4, atol=1e-5, n=2, h=5)


@pytest.mark.parametrize("case", ["other channels", "moved between", "a scale that is no constant"])
def test_what_is_no_group_normalization_stays(case):
    x, scale = variable("x", (2, 6, 4)), variable("s", (3,))
    ones, zeros = make_constant(np.ones(3, np.float32)), make_constant(np.zeros(3, np.float32))
    instances = ops.instance_normalization(ops.reshape(x, (2, 3, 8)), scale if case.startswith("a scale") else ones, zeros)
    if case == "moved between":
        instances = ops.reshape(ops.transpose(ops.reshape(instances, (2, 3, 2, 4)), (0, 2, 1, 3)), (2, 3, 8))
    graph = graph_of(ops.reshape(instances, (2, 3, 8, 1) if case == "other channels" else (2, 6, 4)), x, *([scale] if case.startswith("a scale") else []))
    assert "group_normalization" not in operators(rewrite(graph, NORMALIZATION))


@pytest.mark.parametrize("kind", ["max", "min", "sum"])
def test_windows_within_reach(kind):
    """Of windows of many sizes only the taps stay that meet an element from somewhere."""
    cut = 0
    for window, stride, low, high, dilation in itertools.product((1, 3, 9, 40), (1, 2, 7), (0, 2, 8, 39), (0, 3, 39), (1, 3)):
        if (window - 1) * dilation + 1 > 5 + low + high:
            continue
        x = variable("x", (1, 5, 2))
        graph = graph_of(ops.reduce_window(x, kind, (1, window, 1), (1, stride, 1), ((0, 0), (low, high), (0, 0)), (1, dilation, 1)), x)
        after = rewrite(graph, ALGEBRA)
        assert_same(graph, after, rtol=1e-6)
        (node,) = after.nodes
        assert node.attributes["window"][1] <= window
        cut += node.attributes["window"][1] < window
    assert cut > 20


def test_a_window_of_a_dimension_stays():
    x = variable("x", (1, symbol("n"), 2))
    graph = graph_of(ops.reduce_window(x, "max", (1, 9, 1), (1, 1, 1), ((0, 0), (8, 8), (0, 0)), (1, 1, 1)), x)
    assert rewrite(graph, ALGEBRA).nodes[0].attributes["window"] == (1, 9, 1)
