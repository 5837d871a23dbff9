"""Padding, cropping and enlarging, against NumPy and the ONNX reference evaluator."""
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from dlcompile import layers
from dlcompile.errors import ArgumentError, ShapeError
from tests.layers.helpers import check, normal
from tests.layers.windows import first

X = {1: normal(2, 9, 3), 2: normal(2, 7, 6, 3), 3: normal(2, 5, 6, 7, 3)}
BORDERS = {1: [(1, ((1, 1),)), ((2, 0), ((2, 0),))],
           2: [(1, ((1, 1),) * 2), ((1, 2), ((1, 1), (2, 2))), (((1, 0), (0, 2)), ((1, 0), (0, 2)))],
           3: [(1, ((1, 1),) * 3), ((1, 2, 0), ((1, 1), (2, 2), (0, 0))), (((1, 0), (0, 2), (1, 1)), ((1, 0), (0, 2), (1, 1)))]}


@pytest.mark.parametrize("rank, given, pairs", [(rank, given, pairs) for rank, cases in BORDERS.items() for given, pairs in cases])
def test_padding_and_cropping(rank, given, pairs) -> None:
    x = X[rank]
    padded = np.pad(x, [(0, 0), *pairs, (0, 0)])
    cut = x[(slice(None), *(slice(a, n - b) for n, (a, b) in zip(x.shape[1:], pairs)))]
    check(getattr(layers, f"ZeroPadding{rank}D")(given), x, padded)
    check(getattr(layers, f"ZeroPadding{rank}D")(given, data_format="channels_first"), first(x), first(padded))
    check(getattr(layers, f"Cropping{rank}D")(given), x, cut)
    if rank > 1:
        check(getattr(layers, f"Cropping{rank}D")(given, data_format="channels_first"), first(x), first(cut))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_repeating(rank: int) -> None:
    x = X[rank]
    for size in (2, 3) if rank == 1 else (2, (1, 2, 3)[:rank]):
        y = x
        for axis in range(rank):
            y = np.repeat(y, size if isinstance(size, int) else size[axis], axis + 1)
        check(getattr(layers, f"UpSampling{rank}D")(size), x, y)
        if rank > 1:
            check(getattr(layers, f"UpSampling{rank}D")(size, data_format="channels_first"), first(x), first(y))


@pytest.mark.parametrize("interpolation, attributes", [("bilinear", {"mode": "linear"}), ("bicubic", {"mode": "cubic",
                                                                                                      "cubic_coeff_a": -0.5,
                                                                                                      "exclude_outside": 1})])
def test_interpolation(interpolation, attributes) -> None:
    node = onnx.helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    graph = onnx.helper.make_graph([node], "g", [onnx.helper.make_tensor_value_info(n, 1, None) for n in ("x", "scales")],
                                   [onnx.helper.make_tensor_value_info("y", 1, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    x = first(X[2])
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x, "scales": np.float32([1, 1, 2, 3])})
    check(layers.UpSampling2D((2, 3), data_format="channels_first", interpolation=interpolation), x, expected, rtol=1e-4, atol=1e-4)
    check(layers.UpSampling2D((2, 3), interpolation=interpolation), X[2], np.moveaxis(expected, 1, -1), rtol=1e-4, atol=1e-4)


def test_shapes_that_are_not_known() -> None:
    x = layers.Input((None, None, 3))
    assert layers.ZeroPadding2D()(x).shape == layers.Cropping2D(1)(x).shape == layers.UpSampling2D()(x).shape == (None, None, None, 3)
    assert str(layers.Cropping2D(1)(layers.ZeroPadding2D()(x)).type) == str(x.type)


def test_errors() -> None:
    for given in (-1, (1, 2, 3), ((1, 2), (3,)), "one", 1.5, ((1, 2), (3, -4))):
        with pytest.raises(ArgumentError, match="padding is an integer that is not negative"):
            layers.ZeroPadding2D(given)
    with pytest.raises(ShapeError, match=r"of an input of shape \(2, 7, 6, 3\) nothing is left"):
        layers.Cropping2D(3)(X[2])
    with pytest.raises(ArgumentError, match="interpolation is 'nearest' or 'bilinear' or 'bicubic', not 'lanczos3'"):
        layers.UpSampling2D(interpolation="lanczos3")
    with pytest.raises(ArgumentError, match="size is an integer >= 1"):
        layers.UpSampling1D(0)
