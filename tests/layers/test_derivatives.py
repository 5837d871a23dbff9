"""Layers in training can be differentiated, by their inputs and by their weights: against differences, in float64."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import config, layers, models, ops
from dlcompile.autodiff import gradients
from dlcompile.graph import Graph, make_input
from dlcompile.layers import Layer
from dlcompile.operators import evaluate
from dlcompile.variables import tracing

SEQUENCE, IMAGE = (2, 5, 4), (2, 6, 6, 4)


class OfItself(Layer):
    """Attention of a sequence to itself."""

    def __init__(self, layer, **arguments):
        super().__init__()
        self.layer, self.arguments = layer, arguments

    def call(self, x):
        pair = (x, x) if isinstance(self.layer, layers.MultiHeadAttention) else ([x, x],)
        result = self.layer(*pair, **self.arguments)
        return result[0] if isinstance(result, tuple) else result


CASES = {
    "Dense": (lambda: layers.Dense(3, activation="gelu"), SEQUENCE), "Embedding": (lambda: layers.Embedding(5, 3), (2, 3)),
    "PReLU": (lambda: layers.PReLU(), SEQUENCE), "EinsumDense": (lambda: layers.EinsumDense("abc,cde->aebd", (2, None, 3), bias_axes="d"),
                                                                 SEQUENCE),
    "Conv2D": (lambda: layers.Conv2D(3, 3, strides=2, padding="same"), IMAGE),
    "Conv2D groups": (lambda: layers.Conv2D(4, 3, groups=2, data_format="channels_first", dilation_rate=2), (2, 4, 6, 6)),
    "Conv1D causal": (lambda: layers.Conv1D(3, 3, padding="causal"), SEQUENCE), "Conv3D": (lambda: layers.Conv3D(2, 2), (2, 3, 3, 3, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same"), IMAGE),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), IMAGE), "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 3), IMAGE),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(3, 2, padding="same"), IMAGE),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2, padding="same", strides=1), IMAGE),
    "GlobalMaxPooling1D": (lambda: layers.GlobalMaxPooling1D(), SEQUENCE), "BatchNormalization": (lambda: layers.BatchNormalization(), IMAGE),
    "LayerNormalization": (lambda: layers.LayerNormalization(axis=1), SEQUENCE), "GroupNormalization": (lambda: layers.GroupNormalization(2), IMAGE),
    "RMSNormalization": (lambda: layers.RMSNormalization(), SEQUENCE), "UnitNormalization": (lambda: layers.UnitNormalization(), SEQUENCE),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True), SEQUENCE), "GRU": (lambda: layers.GRU(3), SEQUENCE),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), SEQUENCE), "LSTM as a scan": (lambda: layers.LSTM(3, activation="softsign"), SEQUENCE),
    "GRU with dropout": (lambda: layers.GRU(3, recurrent_dropout=0.5, dropout=0.5, seed=1), SEQUENCE),
    "StackedRNNCells": (lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]), SEQUENCE),
    "masks": (lambda: models.Sequential([layers.Masking(), layers.Bidirectional(layers.GRU(3, return_sequences=True)),
                                         layers.GlobalAveragePooling1D()]), SEQUENCE),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.BatchNormalization()), SEQUENCE),
    "UpSampling2D": (lambda: layers.UpSampling2D(2, interpolation="bilinear"), IMAGE), "ZeroPadding2D": (lambda: layers.ZeroPadding2D(1), IMAGE),
    "Cropping2D": (lambda: layers.Cropping2D(1), IMAGE), "Dropout": (lambda: layers.Dropout(0.5, seed=1), SEQUENCE),
    "Softmax": (lambda: layers.Softmax(axis=(1, 2)), SEQUENCE), "Flatten": (lambda: layers.Flatten(data_format="channels_first"), IMAGE),
    "MultiHeadAttention": (lambda: OfItself(layers.MultiHeadAttention(2, 3), use_causal_mask=True), SEQUENCE),
    "MultiHeadAttention scores": (lambda: OfItself(layers.MultiHeadAttention(2, 3), return_attention_scores=True), SEQUENCE),
    "AdditiveAttention": (lambda: OfItself(layers.AdditiveAttention()), SEQUENCE),
}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatx", lambda: "float64")


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    make, shape = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, shape) if name == "Embedding" else rng.normal(size=shape)
    if name == "masks":
        x[0, 3:] = x[1, 1] = 0
    layer = make()
    layer(x)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)
    symbolic = make_input("x", x.dtype, x.shape)
    with tracing() as trace:
        y = layer(symbolic, training=True)
        loss = ops.reduce_sum(y * rng.normal(size=y.shape))
        targets = [*([symbolic] if x.dtype.kind == "f" else []), *(trace.value(v) for v in layer.trainable_variables)]
        slopes = gradients(loss, targets)
    inputs, arrays = [symbolic, *trace.read.values()], [x, *(v.numpy() for v in trace.read)]
    names = [f"x{i}" for i in range(len(inputs))]
    found = evaluate(Graph("slopes", inputs, slopes, input_names=names, output_names=[f"y{i}" for i in range(len(slopes))]), arrays)
    value = Graph("value", inputs, [loss], input_names=names)
    for target, slope in zip(targets, found):
        place = inputs.index(target)
        for _ in range(4):
            index = tuple(rng.integers(n) for n in slope.shape)
            if name == "masks" and place == 0 and not x[index[:2]].any():
                continue  # a step that does not count would, if it were changed
            step = np.zeros_like(arrays[place])
            step[index] = 1e-5
            up, down = (evaluate(value, [a + s * step if i == place else a for i, a in enumerate(arrays)])[0] for s in (1, -1))
            assert slope[index] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7), (target, index)
