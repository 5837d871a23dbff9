"""Convolutions, against sums over windows written out in NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers
from dlcompile.errors import ArgumentError, ShapeError
from tests.layers.helpers import check, normal, randomized
from tests.layers.windows import convolution, depthwise, first, transposed

SHAPES = {1: (2, 9, 4), 2: (2, 7, 6, 4), 3: (2, 5, 4, 6, 4)}
OPTIONS = [{}, {"padding": "same"}, {"strides": 2}, {"padding": "same", "strides": 2}, {"padding": "same", "strides": 3, "kernel_size": 2},
           {"dilation_rate": 2, "padding": "same"}, {"groups": 2}, {"kernel_size": 1, "strides": 2}]


def checked(layer, x, expected) -> None:
    """The same with channels last and channels first."""
    rank = x.ndim - 2
    check(layer, x if layer.data_format == "channels_last" else first(x),
          expected if layer.data_format == "channels_last" else first(expected), rtol=1e-4, atol=1e-4)
    assert layer.rank == rank


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolution(rank: int, options: dict, data_format: str) -> None:
    options = {"kernel_size": 3, **options}
    x = normal(*SHAPES[rank])
    layer = getattr(layers, f"Conv{rank}D")(6, activation="relu", data_format=data_format, **options)
    randomized(layer, (x if data_format == "channels_last" else first(x)).shape)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*(options["kernel_size"],) * rank, 4 // options.get("groups", 1), 6) and bias.shape == (6,)
    expected = convolution(x, kernel, layer.strides, layer.padding, layer.dilation_rate, layer.groups) + bias
    checked(layer, x, np.maximum(expected, 0).astype(np.float32))


@pytest.mark.parametrize("make", [lambda **k: layers.Conv1D(3, 3, **k), lambda **k: layers.DepthwiseConv1D(3, depth_multiplier=2, **k),
                                  lambda **k: layers.SeparableConv1D(3, 3, **k)])
def test_causal_sees_nothing_that_comes_later(make) -> None:
    layer = randomized(make(padding="causal", dilation_rate=2), (None, 9, 4))
    x, y = normal(1, 9, 4), normal(1, 9, 4)
    y[:, 5:] += 1
    y[:, :5] = x[:, :5]
    a, b = layer(x), layer(y)
    assert a.shape[1] == 9
    np.testing.assert_array_equal(a[:, :5], b[:, :5])
    assert (a[:, 5:] != b[:, 5:]).any()


def test_causal() -> None:
    layer = randomized(layers.Conv1D(5, 3, padding="causal", dilation_rate=2), (None, 9, 4))
    x = normal(2, 9, 4)
    kernel, bias = layer.get_weights()
    check(layer, x, (convolution(x, kernel, (1,), "causal", (2,)) + bias).astype(np.float32), rtol=1e-4, atol=1e-4)
    with pytest.raises(ArgumentError, match="padding is 'valid' or 'same', not 'causal'"):
        layers.Conv2D(1, 1, padding="causal")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("options", [{}, {"padding": "same", "strides": 2}, {"dilation_rate": 2}, {"strides": 2}], ids=str)
@pytest.mark.parametrize("rank", [1, 2])
def test_depthwise_and_separable(rank: int, options: dict, data_format: str) -> None:
    x = normal(*SHAPES[rank])
    shape = (x if data_format == "channels_last" else first(x)).shape
    layer = randomized(getattr(layers, f"DepthwiseConv{rank}D")(3, depth_multiplier=2, data_format=data_format, **options), shape)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*(3,) * rank, 4, 2) and bias.shape == (8,) and [w.name for w in layer.weights] == ["kernel", "bias"]
    checked(layer, x, (depthwise(x, kernel, layer.strides, layer.padding, layer.dilation_rate) + bias).astype(np.float32))
    layer = randomized(getattr(layers, f"SeparableConv{rank}D")(5, 3, depth_multiplier=2, data_format=data_format, **options), shape)
    deep, point, bias = layer.get_weights()
    assert [w.name for w in layer.weights] == ["depthwise_kernel", "pointwise_kernel", "bias"] and point.shape == (*(1,) * rank, 8, 5)
    between = depthwise(x, deep, layer.strides, layer.padding, layer.dilation_rate)
    checked(layer, x, (between @ point.reshape(8, 5) + bias).astype(np.float32))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank, options", [(rank, o) for rank in (1, 2, 3) for o in (
    {}, {"strides": 2}, {"strides": 2, "padding": "same"}, {"strides": 3, "kernel_size": 2}, {"strides": 2, "kernel_size": 4,
                                                                                              "padding": "same"},
    {"dilation_rate": 2}, {"strides": 2, "output_padding": 1}, {"strides": 3, "output_padding": 1, "padding": "same"})], ids=str)
def test_transposed_convolution(rank: int, options: dict, data_format: str) -> None:
    options = {"kernel_size": 3, **options}
    x = normal(*(min(n, 5) for n in SHAPES[rank]))
    layer = randomized(getattr(layers, f"Conv{rank}DTranspose")(6, data_format=data_format, **options),
                       (x if data_format == "channels_last" else first(x)).shape)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*(options["kernel_size"],) * rank, 6, 4)
    whole = transposed(x, kernel, layer.strides, layer.dilation_rate)
    for axis in range(rank):
        n, stride = x.shape[axis + 1], layer.strides[axis]
        reach = (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1
        extra = options.get("output_padding")
        if layer.padding == "valid":  # from the beginning, as long as it says
            before, extent = 0, (n - 1) * stride + (max(reach, stride) if extra is None else reach + extra)
        else:  # as much of the kernel before as after; of an odd rest the smaller part
            extent = n * stride if extra is None else (n - 1) * stride + reach % 2 + extra
            before = max((reach - stride if extra is None else reach - reach % 2 - extra) // 2, 0)
        wide = np.concatenate([whole, np.zeros((*whole.shape[:axis + 1], stride, *whole.shape[axis + 2:]))], axis + 1)
        whole = np.take(wide, range(before, before + extent), axis + 1)
    checked(layer, x, (whole + bias).astype(np.float32))


def test_shapes_that_are_not_known() -> None:
    x = layers.Input((None, None, 3))
    assert layers.Conv2D(4, 3, padding="same", strides=2)(x).shape == (None, None, None, 4)
    layer = randomized(layers.Conv2D(4, 3, padding="same", strides=2), (None, None, None, 3))
    from dlcompile.models import Model

    model = Model(x, layer(x))
    image = normal(2, 7, 6, 3)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(model(image), convolution(image, kernel, (2, 2), "same") + bias, rtol=1e-4, atol=1e-4)
    graph = model.graph()
    from dlcompile.operators import evaluate

    np.testing.assert_array_equal(evaluate(graph, [image])[0], model(image))
    assert layers.Conv1DTranspose(2, 4, strides=2, padding="same")(layers.Input((None, 3))).shape == (None, None, 2)


def test_default_format(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlcompile import config

    monkeypatch.setattr(config, "image_data_format", lambda: "channels_first")
    assert layers.Conv2D(5, 3)(layers.Input((4, 8, 9))).shape == (None, 5, 6, 7)


def test_names_of_old() -> None:
    assert layers.Convolution2D is layers.Conv2D and layers.SeparableConvolution1D is layers.SeparableConv1D


def test_errors() -> None:
    for arguments, what in (({"filters": 0}, "filters is a positive integer"), ({"groups": 4}, "6 filters cannot be divided into 4 groups"),
                            ({"kernel_size": (3, 3, 3)}, "kernel_size is an integer >= 1, or 2"), ({"kernel_size": 0}, "kernel_size"),
                            ({"strides": (1, 0)}, "strides"), ({"dilation_rate": 1.5}, "dilation_rate"),
                            ({"padding": "full"}, "padding is 'valid'"), ({"data_format": "first"}, "data_format")):
        with pytest.raises(ArgumentError, match=what):
            layers.Conv2D(**{"filters": 6, "kernel_size": 3, **arguments})
    with pytest.raises(ArgumentError, match="4 channels of its input cannot be divided into 3 groups"):
        layers.Conv2D(6, 3, groups=3)(normal(1, 5, 5, 4))
    layer = layers.Conv2D(6, 3, name="conv")
    with pytest.raises(ShapeError, match="layer 'conv': the input must have 4 axes"):
        layer(normal(5, 5, 4))
    with pytest.raises(ShapeError, match=r"kernel is larger than the padded input \(node conv\)"):
        layer(normal(1, 2, 2, 4))
    with pytest.raises(ShapeError, match="extent 4 along axis -1"):
        layer(normal(1, 5, 5, 3))
    with pytest.raises(ArgumentError, match="output_padding"):
        layers.Conv2DTranspose(1, 3, strides=2, output_padding=2)
    with pytest.raises(ArgumentError, match="axis 1 of its input .* must be known"):
        layers.Conv2D(1, 1, data_format="channels_first")(layers.Input((None, 3, 3)))
