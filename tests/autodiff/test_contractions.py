"""Convolutions of every kind, and products, against differences."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.graph import Graph, make_input, symbol, verify
from tests.autodiff.helpers import check, derivative, graph_of, normal

FEW = settings(max_examples=40, deadline=None)


@FEW
@given(st.data(), st.integers(1, 2), st.booleans())
def test_convolution(data, axes, last):
    """Strides, padding on either side (negative too, and more than the kernel reaches), both dilations, groups, both layouts."""
    def draw(low, high):
        return [data.draw(st.integers(low, high)) for _ in range(axes)]

    batch, groups, channels, out = (data.draw(st.integers(1, high)) for high in (2, 2, 2, 2))
    extents, kernel, strides, spread, dilation = draw(1, 6), draw(1, 3), draw(1, 3), draw(1, 2), draw(1, 2)
    padding = list(zip(draw(-2, 4), draw(-2, 4)))
    for n, k, (low, high), s, d in zip(extents, kernel, padding, spread, dilation):
        inside = (n - 1) * s + 1
        assume(inside + min(low, 0) + min(high, 0) >= 0 and inside + low + high >= (k - 1) * d + 1)
    x = normal(batch, *extents, channels * groups) if last else normal(batch, channels * groups, *extents)
    w = normal(*kernel, channels, out * groups) if last else normal(out * groups, channels, *kernel)
    check(lambda x, w: ops.conv_general(x, w, strides=strides, padding=padding, lhs_dilation=spread, rhs_dilation=dilation, groups=groups,
                                        layout="channels_last" if last else "channels_first"), x, w)


@pytest.mark.parametrize("x, w", [((0, 2, 5), (3, 2, 3)), ((2, 0, 5), (3, 0, 3)), ((2, 3, 5), (0, 3, 2))])
def test_convolution_of_nothing(x, w):
    first, second = derivative(ops.conv_general, normal(*x), normal(*w))
    np.testing.assert_array_equal(first, np.zeros(x))
    np.testing.assert_array_equal(second, np.zeros(w))


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [((1, 1), (0, 2)), ((0, 0), (0, 0)), ((3, 4), (-1, 5))])
def test_convolution_of_images_of_any_size(strides, padding):
    n, h, w = symbol("n"), symbol("h"), symbol("w")
    check(lambda x, w: ops.conv_general(x, w, strides=strides, padding=padding), normal(2, 2, 7, 6), normal(3, 2, 3, 2), dims={0: (n, 2, h, w)})


def test_padding_is_not_negative():
    """What kernels are made for."""
    x, w = make_input("x", np.float32, (1, 2, 9, 9)), make_input("w", np.float32, (3, 2, 2, 2))
    y = ops.conv_general(x, w, strides=(2, 2), padding=((2, 3), (1, 0)))
    graph = verify(graph_of("g", [x, w], *gradients(y, [x, w])))
    found = [node.attributes["padding"] for node in graph.nodes if node.op == "conv_general"]
    assert len(found) == 2 and all(side >= 0 for padding in found for pair in padding for side in pair)


@pytest.mark.parametrize("groups, last", [(1, False), (2, False), (2, True)])
def test_transposed_convolution(groups, last):
    x, w = (normal(2, 5, 4), normal(3, 3, 4)) if last else (normal(2, 4, 5), normal(4, 3, 3))
    check(lambda x, w: ops.conv_transpose(x, w, strides=(2,), padding=((1, 0),), output_padding=(1,), dilations=(2,), groups=groups,
                                          layout="channels_last" if last else "channels_first"), x, w)


@FEW
@given(st.data())
def test_products(data):
    """Axes of each kind in any order."""
    kinds = data.draw(st.permutations(["batch", "contracted", "left", "right", "contracted"]))
    extents = [data.draw(st.integers(0, 3)) for _ in kinds]
    left = data.draw(st.permutations([i for i, k in enumerate(kinds) if k != "right"]))
    right = data.draw(st.permutations([i for i, k in enumerate(kinds) if k != "left"]))
    both = {what: [i for i, k in enumerate(kinds) if k == what] for what in ("batch", "contracted")}
    contracting, batch = ([[side.index(i) for i in both[what]] for side in (left, right)] for what in ("contracted", "batch"))
    check(lambda a, b: ops.dot_general(a, b, contracting=contracting, batch=batch), normal(*(extents[i] for i in left)),
          normal(*(extents[i] for i in right)))


def test_einsum():
    check(lambda a, b: ops.einsum("bij,bkj->bik", a, b), normal(2, 3, 4), normal(2, 5, 4), symbolic=True)
    check(lambda a: ops.einsum("ii->i", a), normal(3, 3))


def test_the_derivative_by_weights_needs_no_derivative_by_images():
    x, w = make_input("x", np.float32, (1, 2, 9, 9)), make_input("w", np.float32, (3, 2, 2, 2))
    graph = Graph("g", [x, w], gradients(ops.conv_general(x, w), [w]))
    assert [node.op for node in graph.nodes].count("conv_general") == 1
