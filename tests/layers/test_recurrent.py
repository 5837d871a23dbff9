"""Recurrent layers, against the same written out step by step in NumPy."""
from __future__ import annotations

import functools

import numpy as np
import pytest

from dlcompile import layers, models, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Graph, verify
from dlcompile.layers import Input, Layer, mask_of, set_mask
from tests.layers import recurrences
from tests.layers.helpers import again, check, normal, randomized

KINDS = {"SimpleRNN": (recurrences.simple, 1, 1), "LSTM": (recurrences.lstm, 2, 4), "GRU": (recurrences.gru, 1, 3)}
X = normal(3, 6, 4)
MASK = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0]], bool)


def step_of(name: str, layer, **more):
    """The NumPy step with the layer's weights."""
    weights = dict(zip(("kernel", "recurrent", "bias"), layer.get_weights()))
    return functools.partial(KINDS[name][0], **weights, **more)


def zero_states(name: str, batch: int = 3, units: int = 5):
    return [np.zeros((batch, units), np.float32) for _ in range(KINDS[name][1])]


@pytest.mark.parametrize("options", [{}, {"return_sequences": True}, {"go_backwards": True},
                                     {"go_backwards": True, "return_sequences": True}, {"use_bias": False}, {"unroll": True}], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_one_operator_for_all_steps(name: str, options: dict) -> None:
    layer = randomized(getattr(layers, name)(5, **options), (None, 6, 4))
    gates = KINDS[name][2]
    names = ["kernel", "recurrent_kernel", "bias"][:2 if options.get("use_bias") is False else 3]
    assert [w.name for w in layer.weights] == names
    bias = (2, 15) if name == "GRU" else (gates * 5,)
    assert [w.shape for w in layer.weights] == [(4, gates * 5), (5, gates * 5), bias][:len(names)]
    outputs, states = recurrences.run(step_of(name, layer), X, zero_states(name), backwards=layer.go_backwards)
    check(layer, X, outputs if layer.return_sequences else outputs[:, -1], rtol=1e-4, atol=1e-5)
    x = Input((6, 4))
    operators = [node.op for node in models.Model(x, layer(x)).graph().nodes]
    assert {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru"}[name] in operators and "scan" not in operators


@pytest.mark.parametrize("options", [{"return_sequences": True}, {"return_sequences": True, "go_backwards": True}, {},
                                     {"return_sequences": True, "zero_output_for_mask": True}], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_masks(name: str, options: dict) -> None:
    layer = randomized(getattr(layers, name)(5, return_state=True, **options), (None, 6, 4))
    outputs, states = recurrences.run(step_of(name, layer), X, zero_states(name), MASK, layer.go_backwards, layer.zero_output_for_mask)
    y, *found = layer(X, mask=MASK)
    np.testing.assert_allclose(y, outputs if layer.return_sequences else outputs[:, -1], rtol=1e-4, atol=1e-5)
    for a, b in zip(found, states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    x = X.copy()
    set_mask(x, MASK)
    y, *_ = layer(x)
    if layer.return_sequences:
        np.testing.assert_array_equal(mask_of(y), MASK)
    else:
        assert mask_of(y) is None


@pytest.mark.parametrize("name, options, more", [
    ("SimpleRNN", {"activation": "relu"}, {"activation": lambda x: np.maximum(x, 0)}),
    ("LSTM", {"activation": "softsign"}, {"activation": lambda x: x / (1 + np.abs(x))}),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}, {"gate": lambda x: np.clip(x / 6 + 0.5, 0, 1)}),
    ("GRU", {"activation": "linear", "recurrent_activation": "hard_sigmoid"},
     {"activation": lambda x: x, "gate": lambda x: np.clip(x / 6 + 0.5, 0, 1)}),
    ("GRU", {"reset_after": False}, {"reset_after": False}), ("GRU", {"reset_after": False, "activation": "softsign"},
                                                               {"reset_after": False, "activation": lambda x: x / (1 + np.abs(x))})])
def test_other_activations_and_forms(name, options, more) -> None:
    layer = randomized(getattr(layers, name)(5, return_sequences=True, **options), (None, 6, 4))
    outputs, _ = recurrences.run(step_of(name, layer, **more), X, zero_states(name))
    check(layer, X, outputs, rtol=1e-4, atol=1e-5)
    masked, _ = recurrences.run(step_of(name, layer, **more), X, zero_states(name), MASK)
    np.testing.assert_allclose(layer(X, mask=MASK), masked, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_states(name: str) -> None:
    layer = randomized(getattr(layers, name)(5, return_state=True, return_sequences=True), (None, 6, 4))
    begin = [normal(3, 5, seed=7 + i) for i in range(KINDS[name][1])]
    outputs, states = recurrences.run(step_of(name, layer), X, begin)
    y, *found = layer(X, initial_state=begin)
    np.testing.assert_allclose(y, outputs, rtol=1e-4, atol=1e-5)
    for a, b in zip(found, states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    x, symbols = Input((6, 4)), [Input((5,)) for _ in begin]
    model = models.Model([x, *symbols], layer(x, initial_state=symbols))
    np.testing.assert_allclose(model([X, *begin])[0], outputs, rtol=1e-4, atol=1e-5)
    copy = models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy([X, *begin])[0], model([X, *begin])[0])
    with pytest.raises(ArgumentError, match=f"has {len(begin)} states, {len(begin) + 1} are given"):
        layer(X, initial_state=[*begin, begin[0]])


@pytest.mark.parametrize("name", KINDS)
def test_states_that_are_kept(name: str) -> None:
    layer = randomized(getattr(layers, name)(5, stateful=True), (3, 6, 4))
    assert len(layer.weights) == 3 and len(layer.states) == KINDS[name][1]
    outputs, _ = recurrences.run(step_of(name, layer), np.concatenate([X, X], 1), zero_states(name))
    np.testing.assert_allclose(layer(X), outputs[:, 5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(X), outputs[:, 11], rtol=1e-4, atol=1e-5)
    layer.reset_state()
    np.testing.assert_allclose(layer(X), outputs[:, 5], rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match="keeps the states of 3 samples, 2 are given"):
        layer(X[:2])
    with pytest.raises(ArgumentError, match="the number of samples must be known"):
        getattr(layers, name)(5, stateful=True)(Input((6, 4)))


@pytest.mark.parametrize("name", KINDS)
def test_dropout_leaves_out_the_same_at_each_step(name: str) -> None:
    x = np.ones((4, 6, 8), np.float32)
    layer = again(getattr(layers, name)(5, dropout=0.5, seed=3, kernel_initializer="ones", use_bias=False, recurrent_initializer="zeros",
                                        return_sequences=True))
    y = layer(x, training=True)
    np.testing.assert_array_equal(layer(x), layer(x))
    if name == "SimpleRNN":  # the states count for nothing, so all steps have the same output
        assert (np.ptp(y, axis=1) == 0).all() and len(np.unique(y[:, 0, 0])) > 1
    assert not np.array_equal(layer(x, training=True), y)
    np.testing.assert_array_equal(again(layer)(x, training=True), y)
    recurrent = getattr(layers, name)(5, recurrent_dropout=0.5, seed=3, return_sequences=True)
    assert not np.array_equal(recurrent(x, training=True), recurrent(x, training=True))
    np.testing.assert_array_equal(recurrent(x, training=True)[:, 0], recurrent(x)[:, 0])  # at the first step the state is 0
    assert [v.name for v in recurrent.variables][-1] == "seed_generator_state"


def test_unit_forget_bias() -> None:
    layer = layers.LSTM(2, bias_initializer="zeros")
    layer.build((None, None, 3))
    np.testing.assert_array_equal(layer.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    layer = layers.LSTM(2, unit_forget_bias=False)
    layer.build((None, None, 3))
    assert not layer.get_weights()[2].any()
    assert layer.units == 2 and layer.cell.recurrent_activation is layers.LSTM(1).recurrent_activation


def test_lengths_that_are_not_known() -> None:
    x = Input((None, 4))
    model = models.Model(x, layers.LSTM(3)(layers.GRU(5, return_sequences=True)(layers.Masking()(x))))
    assert model.output_shape == (None, 3)
    graph = verify(model.graph())
    from dlcompile.operators import evaluate

    for steps in (1, 6):
        np.testing.assert_allclose(evaluate(graph, [X[:, :steps]])[0], model(X[:, :steps]), rtol=1e-6)


def test_padding_changes_nothing() -> None:
    """What stands behind the end of a sentence is the same whatever it is long."""
    model = models.Sequential([Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.GRU(5, return_sequences=True),
                               layers.LSTM(3)])
    ids = np.array([[3, 1, 4, 1], [5, 8, 0, 0]])
    np.testing.assert_allclose(model(np.pad(ids, ((0, 0), (0, 3)))), model(ids), rtol=1e-5)
    np.testing.assert_allclose(model(ids)[1:], model(ids[1:, :2]), rtol=1e-5)


class Minimal(Layer):
    """A cell of one's own, as Keras's pages have it."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, inputs, states):
        output = ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent_kernel)
        return output, [output]


class Counting(Layer):
    """A cell whose output is not its state, and that keeps count of its steps in a variable."""

    state_size, output_size = [2], 3

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="steps")

    def call(self, inputs, states, training=False):
        self.steps.assign_add(1)
        return inputs[:, :1] * np.ones((1, 3), np.float32), [states[0] + inputs[:, :2]]


def test_cells_of_ones_own() -> None:
    layer = randomized(layers.RNN(Minimal(5), return_sequences=True), (None, 6, 4))
    kernel, recurrent = layer.get_weights()
    step = functools.partial(recurrences.simple, kernel=kernel, recurrent=recurrent, activation=lambda x: x)
    outputs, _ = recurrences.run(step, X, [np.zeros((3, 5), np.float32)])
    np.testing.assert_allclose(layer(X), outputs, rtol=1e-3, atol=1e-3)
    counting = layers.RNN(Counting(), return_sequences=True, return_state=True)
    y, state = counting(X)
    np.testing.assert_array_equal(y, np.repeat(X[..., :1], 3, -1))
    np.testing.assert_allclose(state, X[..., :2].sum(1), rtol=1e-5, atol=1e-6)
    assert int(counting.cell.steps) == 6
    counting(X, mask=MASK)
    assert int(counting.cell.steps) == 12
    with pytest.raises(ArgumentError, match="has a `state_size`"):
        layers.RNN(layers.Dense(3))
    with pytest.raises(ArgumentError, match="a method `call`"):
        layers.RNN("cell")


def test_stacked_cells() -> None:
    layer = randomized(layers.RNN([layers.LSTMCell(5), layers.GRUCell(3), layers.SimpleRNNCell(2)], return_sequences=True, return_state=True), (None, 6, 4))
    weights = layer.get_weights()
    states = [np.zeros((3, n), np.float32) for n in (5, 5, 3, 2)]

    def step(x, states):
        x, first = recurrences.lstm(x, states[:2], *weights[:3])
        x, second = recurrences.gru(x, states[2:3], *weights[3:6])
        x, third = recurrences.simple(x, states[3:], *weights[6:])
        return x, [*first, *second, *third]

    for mask in (None, MASK):
        outputs, last = recurrences.run(step, X, states, mask)
        y, *found = layer(X, mask=mask) if mask is not None else layer(X)
        np.testing.assert_allclose(y, outputs, rtol=1e-4, atol=1e-5)
        for a, b in zip([*found[0], *found[1], *found[2]], last, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    copy = again(layer)
    copy.build((None, 6, 4))
    copy.set_weights(weights)
    np.testing.assert_array_equal(copy(X)[0], layer(X)[0])
    assert layer.cell.state_size == [[5, 5], 3, 2] and layer.cell.output_size == 2
    dropping = layers.RNN([layers.GRUCell(3, dropout=0.5, seed=1), layers.GRUCell(3, recurrent_dropout=0.5, seed=2)])
    assert not np.array_equal(dropping(X, training=True), dropping(X, training=True))
    with pytest.raises(ArgumentError, match="at least one cell"):
        layers.StackedRNNCells([])


@pytest.mark.parametrize("name", KINDS)
def test_a_cell_by_itself(name: str) -> None:
    cell = randomized(getattr(layers, f"{name}Cell")(5), (None, 4))
    states = [normal(3, 5, seed=i) for i in range(KINDS[name][1])]
    y, new = cell(X[:, 0], states)
    wanted, wanted_states = step_of(name, cell)(X[:, 0], states)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    for a, b in zip(new, wanted_states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert [s.shape for s in cell.get_initial_state(batch_size=7)] == [(7, 5)] * len(states)


def test_in_a_graph_the_body_reads_what_it_is_handed() -> None:
    x = Input((6, 4))
    layer = layers.LSTM(3, activation="softsign")
    graph = verify(models.Model(x, layer(x)).graph())
    (scan,) = [node for node in graph.nodes if node.op == "scan"]
    assert not any(node.op == "dot_general" and node.inputs[0].shape[-1] == 4 for node in scan.attributes["body"].nodes)  # products of inputs are outside
    assert isinstance(graph, Graph)


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="units is a positive integer"):
        layers.LSTM(0)
    with pytest.raises(ShapeError, match="at least 3 axes"):
        layers.LSTM(3)(normal(2, 3))
    with pytest.raises(ArgumentError, match="axis -1 of its input .* must be known"):
        layers.GRU(3)(Input((5, None)))
    with pytest.raises(ShapeError, match="a mask is"):
        layers.GRU(3)(X, mask=MASK[..., None])
    with pytest.raises(AttributeError, match="'LSTM' object has no attribute 'nothing'"):
        layers.LSTM(3).nothing  # noqa: B018
