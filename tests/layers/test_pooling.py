"""Pooling, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.layers import mask_of, set_mask
from tests.layers.helpers import check, normal
from tests.layers.windows import first, gathered, windows

SHAPES = {1: (2, 9, 4), 2: (2, 7, 6, 4), 3: (2, 5, 4, 6, 4)}
OPTIONS = [{}, {"padding": "same"}, {"pool_size": 3, "strides": 2}, {"pool_size": 3, "strides": 1, "padding": "same"},
           {"strides": 3, "padding": "same"}]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_windows(rank: int, options: dict, data_format: str) -> None:
    x = normal(*SHAPES[rank])
    axes = tuple(range(1, rank + 1))
    for name, reduce, fill in (("Max", np.max, -np.inf), ("Average", np.nanmean, np.nan)):
        layer = getattr(layers, f"{name}Pooling{rank}D")(**{"pool_size": 2, **options}, data_format=data_format)
        expected = gathered({place: reduce(window, axis=axes) for place, window in windows(x, layer.pool_size, layer.strides, layer.padding,
                                                                                           fill=fill)})
        if data_format == "channels_first":
            check(layer, first(x), first(expected))
        else:
            check(layer, x, expected)


def test_sizes_of_their_own() -> None:
    layer = layers.MaxPooling2D((3, 1), strides=(2, 3))
    x = normal(1, 7, 6, 2)
    check(layer, x, gathered({place: w.max((1, 2)) for place, w in windows(x, (3, 1), (2, 3), "valid")}))
    assert layers.MaxPooling2D().pool_size == (2, 2) and layers.MaxPool2D is layers.MaxPooling2D and layers.AvgPool3D is layers.AveragePooling3D
    assert layers.MaxPooling1D(2, padding="same")(layers.Input((None, 3))).shape == (None, None, 3)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global(rank: int) -> None:
    x = normal(*SHAPES[rank])
    axes = tuple(range(1, rank + 1))
    for name, reduce in (("Max", np.max), ("Average", np.mean)):
        make = getattr(layers, f"Global{name}Pooling{rank}D")
        check(make(), x, reduce(x, axis=axes))
        check(make(keepdims=True), x, reduce(x, axis=axes, keepdims=True))
        check(make(data_format="channels_first"), first(x), reduce(x, axis=axes))


def test_the_mean_of_the_steps_that_count() -> None:
    x, mask = normal(2, 4, 3), np.array([[1, 1, 0, 0], [1, 0, 1, 1]], bool)
    expected = (x * mask[..., None]).sum(1) / mask.sum(1)[:, None]
    np.testing.assert_allclose(layers.GlobalAveragePooling1D()(x, mask=mask), expected, rtol=1e-5)
    np.testing.assert_allclose(layers.GlobalAveragePooling1D(data_format="channels_first")(first(x), mask=mask), expected, rtol=1e-5)
    set_mask(x, mask)
    y = layers.GlobalAveragePooling1D()(x)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert mask_of(y) is None


def test_integers() -> None:
    x = np.arange(8).reshape(1, 8, 1)
    np.testing.assert_array_equal(layers.MaxPooling1D(2)(x)[0, :, 0], [1, 3, 5, 7])
    np.testing.assert_array_equal(layers.AveragePooling1D(2)(x)[0, :, 0], np.float32([0.5, 2.5, 4.5, 6.5]))


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="pool_size is an integer >= 1, or 2 of them, not 0"):
        layers.MaxPooling2D(0)
    with pytest.raises(ArgumentError, match="padding is 'valid' or 'same'"):
        layers.AveragePooling1D(2, padding="causal")
    with pytest.raises(ShapeError, match="must have 4 axes"):
        layers.GlobalMaxPooling2D()(normal(2, 3, 4))
    with pytest.raises(ShapeError, match=r"window of 5 is larger .*\(node pool\)"):
        layers.MaxPooling1D(5, name="pool")(normal(2, 3, 4))
