"""Layers around layers, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.layers import Input, mask_of, set_mask
from tests.layers import recurrences
from tests.layers.helpers import again, check, normal, randomized

X = normal(3, 6, 4)
MASK = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0]], bool)
MERGED = {"concat": lambda a, b: np.concatenate([a, b], -1), "sum": np.add, "mul": np.multiply, "ave": lambda a, b: (a + b) / 2}


def both_directions(layer, mask=None):
    """Outputs and states of both directions; outputs in the order of the steps."""
    weights = layer.get_weights()
    zero = [np.zeros((3, 5), np.float32)] * 2
    found = []
    for own, backwards in ((weights[:3], False), (weights[3:], True)):
        outputs, states = recurrences.run(lambda x, s, own=own: recurrences.lstm(x, s, *own), X, zero, mask, backwards,
                                          layer.forward_layer.zero_output_for_mask)
        found.append((outputs[:, ::-1] if backwards else outputs, outputs[:, -1], states))
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("merge_mode", [*MERGED, None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_bidirectional(return_sequences, merge_mode, masked) -> None:
    layer = layers.Bidirectional(layers.LSTM(5, return_sequences=return_sequences, return_state=True), merge_mode=merge_mode)
    randomized(layer, (None, 6, 4))
    assert [w.shape for w in layer.weights] == [(4, 20), (5, 20), (20,)] * 2
    forward, backward = both_directions(layer, MASK if masked else None)
    found = layer(X, mask=MASK) if masked else layer(X)
    a, b = (side[0] if return_sequences else side[1] for side in (forward, backward))
    outputs = [MERGED[merge_mode](a, b)] if merge_mode else [a, b]
    for value, expected in zip(found, [*outputs, *forward[2], *backward[2]], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_bidirectional_of_other_layers() -> None:
    layer = layers.Bidirectional(layers.GRU(5, name="inner"), name="both")
    randomized(layer, (None, 6, 4))
    assert layer.forward_layer.name == "forward_inner" and layer.backward_layer.name == "backward_inner" and layer.backward_layer.go_backwards
    weights = layer.get_weights()
    expected = [recurrences.run(lambda x, s, own=own: recurrences.gru(x, s, *own), X, [np.zeros((3, 5))], None, back)[0][:, -1]
                for own, back in ((weights[:3], False), (weights[3:], True))]
    check(layer, X, np.concatenate(expected, -1).astype(np.float32), rtol=1e-4)
    own = layers.Bidirectional(layers.GRU(5), backward_layer=layers.SimpleRNN(2, go_backwards=True))
    assert own(X).shape == (3, 7) and again(own).backward_layer.units == 2
    given = layers.Bidirectional(layers.GRU(5), weights=weights)
    np.testing.assert_array_equal(given(X), layer(X))


def test_states_of_both_directions() -> None:
    layer = randomized(layers.Bidirectional(layers.LSTM(5)), (None, 6, 4))
    states = [normal(3, 5, seed=i) for i in range(4)]
    weights = layer.get_weights()
    ends = [recurrences.run(lambda x, s, own=own: recurrences.lstm(x, s, *own), X, begin, None, back)[0][:, -1]
            for own, begin, back in ((weights[:3], states[:2], False), (weights[3:], states[2:], True))]
    np.testing.assert_allclose(layer(X, initial_state=states), np.concatenate(ends, -1), rtol=1e-4, atol=1e-5)
    with pytest.raises(ArgumentError, match="states of both layers, 3 are given"):
        layer(X, initial_state=states[:3])
    kept = layers.Bidirectional(layers.GRU(2, stateful=True))
    first = kept(X)
    assert not np.array_equal(kept(X), first)
    kept.reset_state()
    np.testing.assert_array_equal(kept(X), first)


def test_bidirectional_masks_and_errors() -> None:
    x = X.copy()
    set_mask(x, MASK)
    np.testing.assert_array_equal(mask_of(layers.Bidirectional(layers.GRU(2, return_sequences=True))(x)), MASK)
    assert mask_of(layers.Bidirectional(layers.GRU(2))(x)) is None
    with pytest.raises(ArgumentError, match="merge_mode is 'sum' or 'mul'"):
        layers.Bidirectional(layers.GRU(2), merge_mode="max")
    with pytest.raises(ArgumentError, match="goes over sequences by a recurrent layer, not by Dense"):
        layers.Bidirectional(layers.Dense(2))
    with pytest.raises(ArgumentError, match="same direction"):
        layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2))
    with pytest.raises(ArgumentError, match="return_sequences is True in the first layer and False"):
        layers.Bidirectional(layers.GRU(2, return_sequences=True), backward_layer=layers.GRU(2, go_backwards=True))


def test_time_distributed() -> None:
    inner = layers.Dense(5, activation="tanh")
    layer = randomized(layers.TimeDistributed(inner), (None, 6, 4))
    kernel, bias = layer.get_weights()
    check(layer, X, np.tanh(X @ kernel + bias))
    images = normal(2, 3, 6, 5, 2)
    convolution = layers.Conv2D(4, 3)
    layer = layers.TimeDistributed(convolution)
    y = layer(images)
    np.testing.assert_allclose(y, np.stack([convolution(images[:, t]) for t in range(3)], 1), rtol=1e-5, atol=1e-6)
    nested = layers.TimeDistributed(layers.TimeDistributed(layers.Dense(2)))
    assert nested(normal(2, 3, 4, 5)).shape == (2, 3, 4, 2)
    assert layers.TimeDistributed(layers.Dense(2))(Input((None, 4))).shape == (None, None, 2)
    model = models.Sequential([Input((3, 4)), layers.Dense(2)])
    assert layers.TimeDistributed(model)(normal(2, 5, 3, 4)).shape == (2, 5, 3, 2)


def test_statistics_are_taken_step_by_step() -> None:
    inner = layers.BatchNormalization(momentum=0.5)
    layer = layers.TimeDistributed(inner)
    y = layer(X, training=True)
    mean = np.zeros(4)
    for t in range(6):
        step = X[:, t]
        np.testing.assert_allclose(y[:, t], (step - step.mean(0)) / np.sqrt(step.var(0) + 1e-3), rtol=1e-3, atol=1e-4)
        mean = mean / 2 + step.mean(0) / 2
    np.testing.assert_allclose(inner.moving_mean.numpy(), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer(X), (X - mean) / np.sqrt(inner.moving_variance.numpy() + 1e-3), rtol=1e-4, atol=1e-5)


def test_time_distributed_masks_and_errors() -> None:
    x = X.copy()
    set_mask(x, MASK)
    np.testing.assert_array_equal(mask_of(layers.TimeDistributed(layers.Dense(2))(x)), MASK)
    words, mask = normal(2, 3, 5, 4), np.random.default_rng(0).random((2, 3, 5)) < 0.6
    mask[..., 0] = True
    layer = layers.TimeDistributed(layers.GlobalAveragePooling1D())
    np.testing.assert_allclose(layer(words, mask=mask), (words * mask[..., None]).sum(2) / mask.sum(2)[..., None], rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match=r"a mask is \[batch, steps, …\]"):
        layer(words, mask=mask[:, :2])
    with pytest.raises(ArgumentError, match="put around a layer, not around str"):
        layers.TimeDistributed("dense")
    with pytest.raises(ShapeError, match="at least 3 axes"):
        layers.TimeDistributed(layers.Dense(2))(normal(2, 3))
