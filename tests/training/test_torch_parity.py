"""The same weights, data and order give the losses that PyTorch computes, step by step (see torch_losses.py)."""
from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

import dlcompile as keras
from dlcompile import layers
from tests.training import torch_losses


def mlp():
    return keras.Sequential([layers.Input((10,)), layers.Dense(16, activation="relu"), layers.Dense(3)]), keras.optimizers.SGD(0.05, momentum=0.9)


def cnn():
    return keras.Sequential([
        layers.Input((8, 8, 2)), layers.Conv2D(6, 3, padding="same", use_bias=False), layers.BatchNormalization(momentum=0.9),
        layers.Activation("relu"), layers.MaxPooling2D(), layers.Conv2D(8, 3, padding="same", activation="relu"), layers.Flatten(), layers.Dense(3),
    ]), keras.optimizers.Adam(0.01)


def lstm():
    return keras.Sequential([layers.Input((9, 4)), layers.LSTM(8), layers.Dense(1)]), keras.optimizers.RMSprop(0.01, clipnorm=0.1)


def transformer():
    inputs = x = layers.Input((6, 8))
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(y, y)])
    y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(8)(y)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))), keras.optimizers.AdamW(0.01, weight_decay=0.05)


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer}


@pytest.fixture(scope="module")
def record():
    return json.loads(torch_losses.RECORD.read_text(encoding="utf-8"))


def compiled(name):
    """The model with the weights that PyTorch's has."""
    model, optimizer = MODELS[name]()
    loss = "mse" if name == "lstm" else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    assert [tuple(v.shape) for v in model.trainable_variables] == torch_losses.SHAPES[name]
    for variable, value in zip(model.trainable_variables, torch_losses.weights(name)):
        variable.assign(value)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_those_of_torch(name, backend, record):
    model, batches = compiled(name), torch_losses.batches(name)
    found = []
    for x, y in batches:
        model.reset_metrics()
        found.append(model.train_on_batch(x, y))
    model.reset_metrics()
    np.testing.assert_allclose(found, record[name]["training"], rtol=0, atol=1e-4)
    assert abs(model.test_on_batch(*batches[-1]) - record[name]["evaluation"]) <= 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_the_models_learn(name, record):
    """Losses that agree say little where nothing has changed."""
    losses = record[name]["training"]
    assert len(losses) == torch_losses.STEPS and np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", MODELS)
def test_the_record_is_what_torch_computes(name, record):
    found = torch_losses.losses(name)
    np.testing.assert_allclose(found["training"], record[name]["training"], rtol=0, atol=1e-5)
    assert abs(found["evaluation"] - record[name]["evaluation"]) <= 1e-5
