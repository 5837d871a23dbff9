"""What all layers have in common: variables, names, calls in three ways, training, losses, configurations."""
from __future__ import annotations

import gc

import numpy as np
import pytest

from dlcompile import layers, models, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Graph, make_input, symbol, verify
from dlcompile.layers import Layer, mask_of, set_mask
from dlcompile.operators import evaluate
from dlcompile.variables import Variable, tracing
from tests.layers.helpers import again, normal


class Scaled(Layer):
    """A layer as a user writes one."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.count = self.add_weight(shape=(), initializer="zeros", dtype="int64", trainable=False, name="count")

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1],), initializer="ones", regularizer="l1", name="kernel")

    def call(self, x, training=False):
        if training:
            self.count.assign_add(1)
        return x * self.kernel * self.factor


class Block(Layer):
    """Layers among attributes, in lists and dictionaries, built where they are called."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(3)
        self.more = [layers.Dense(4), {"last": layers.Dense(2)}]
        self.offset = Variable(np.zeros(2, np.float32), name="offset")
        self.more.append(self.first)  # once only, though it is there twice

    def call(self, x):
        return self.more[1]["last"](self.more[0](self.first(x))) + self.offset


def test_variables_and_their_order() -> None:
    layer = Scaled(name="scaled")
    assert not layer.built and [w.name for w in layer.weights] == ["count"]
    layer(normal(2, 3))
    assert layer.built and [w.path for w in layer.weights] == ["scaled/kernel", "scaled/count"]  # the trainable ones first
    assert layer.trainable_weights == [layer.kernel] and layer.non_trainable_weights == [layer.count] and layer.count_params() == 4
    layer.trainable = False
    assert layer.trainable_variables == [] and layer.non_trainable_variables == [layer.kernel, layer.count]
    assert not layer.kernel.trainable and layer.weights == [layer.kernel, layer.count]
    layer.trainable = True
    assert layer.kernel.trainable and not layer.count.trainable
    frozen = Scaled(trainable=False)
    frozen(normal(2, 3))
    assert not frozen.kernel.trainable and frozen.weights == [frozen.kernel, frozen.count]


def test_layers_inside() -> None:
    block = Block()
    block(normal(2, 5))
    assert [w.shape for w in block.weights] == [(2,), (5, 3), (3,), (3, 4), (4,), (4, 2), (2,)]
    assert [w.path for w in block.weights[1:3]] == [f"{block.name}/{block.first.name}/kernel", f"{block.name}/{block.first.name}/bias"]
    assert block.flatten_layers()[1:] == block.layers_inside == [block.first, block.more[0], block.more[1]["last"]]
    block.trainable = False
    assert not block.first.trainable and block.trainable_variables == []
    block.trainable = True
    block.first.trainable = False
    assert len(block.trainable_variables) == 5


def test_weights_are_taken_and_given() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    values = [normal(3, 2), normal(2)]
    layer.set_weights(values)
    np.testing.assert_array_equal(layer.get_weights()[0], values[0])
    layer.get_weights()[0][:] = 0  # a copy
    np.testing.assert_array_equal(layer.kernel.numpy(), values[0])
    with pytest.raises(ArgumentError, match="has 2 weights, 1 are given"):
        layer.set_weights(values[:1])
    with pytest.raises(ShapeError, match=r"kernel has shape \(3, 2\), a value of shape \(2,\)"):
        layer.set_weights(values[::-1])
    with pytest.raises(ArgumentError, match="no weights yet"):
        layers.Dense(2).count_params()
    assert layers.Flatten().count_params() == 0


def test_the_three_ways_to_call() -> None:
    layer = Scaled(2.0)
    x = normal(4, 3)
    np.testing.assert_allclose(layer(x), 2 * x)
    y = layer(layers.Input((3,)))
    assert y.shape == (None, 3) and y.history[0].operation is layer
    tensor = make_input("x", np.float32, (symbol("n"), 3))
    with tracing() as trace:
        result = layer(tensor)
    assert set(trace.read) == {layer.kernel} and not trace.written
    graph = verify(Graph("g", [tensor, *trace.read.values()], [result]))
    np.testing.assert_allclose(evaluate(graph, [x, layer.kernel.numpy()])[0], 2 * x)
    assert {node.origin for node in graph.nodes} == {(layer.path,)}


def test_variables_are_assigned_where_arrays_are_given_and_only_there() -> None:
    layer = Scaled()
    layer(normal(2, 3), training=True)
    assert int(layer.count) == 1
    layer(layers.Input((3,)), training=True)  # only the shape of the result is asked for
    assert int(layer.count) == 1


def test_symbolic_tensors_inside_of_a_trace_leave_it_alone() -> None:
    layer, inner = Scaled(), Scaled()
    tensor = make_input("x", np.float32, (2, 3))
    with tracing() as trace:
        inner(layers.Input((3,)), training=True)
        layer(tensor, training=True)
    assert set(trace.read) == {layer.kernel, layer.count} and set(trace.written) == {layer.count}


def test_training() -> None:
    seen = []

    class Tells(Layer):
        def call(self, x, training=None):
            seen.append(training)
            return x

    class Outer(Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner, self.other = Tells(), Tells()

        def call(self, x):
            return self.other(self.inner(x), training=False)

    x = normal(1, 2)
    Outer()(x)
    Outer()(x, training=True)  # handed down, though `call` does not take it itself
    Tells()(x, training=False)
    Tells()(x)
    assert seen == [None, False, True, False, False, None]


def test_masks_go_from_layer_to_layer() -> None:
    class Sum(Layer):
        def call(self, x, mask=None):
            return x.sum(axis=1) if mask is None else (x * ops.cast(ops.expand_dims(mask, -1), x.dtype)).sum(axis=1)

    ids = np.array([[1, 2, 0], [3, 0, 0]])
    embedding = layers.Embedding(4, 2, mask_zero=True)
    x = embedding(ids)
    expected = (x * (ids != 0)[..., None]).sum(1)
    np.testing.assert_allclose(Sum()(layers.Activation("linear")(x)), expected, rtol=1e-6)
    inputs = layers.Input((3,), dtype="int64")
    model = models.Model(inputs, Sum()(layers.Activation("linear")(embedding(inputs))))
    np.testing.assert_allclose(model(ids), expected, rtol=1e-6)
    np.testing.assert_allclose(Sum()(x, mask=np.ones((2, 3), bool)), x.sum(1), rtol=1e-6)  # one that is given goes before
    with pytest.warns(UserWarning, match="does not support masks"):
        y = layers.Flatten()(x)
    assert mask_of(y) is None


def test_a_mask_goes_with_its_tensor() -> None:
    value, mask = np.ones(3), np.ones(3, bool)
    set_mask(value, mask)
    assert mask_of(value) is mask and mask_of(value.copy()) is None and mask_of(1.5) is None
    from dlcompile import masks

    gc.collect()
    before = len(masks._masks)
    del value
    gc.collect()
    assert len(masks._masks) == before - 1
    other = np.ones(3)
    set_mask(other, mask)
    set_mask(other, None)
    assert mask_of(other) is None


def test_losses() -> None:
    class Penalized(Layer):
        def __init__(self):
            super().__init__()
            self.inner = Scaled()

        def call(self, x):
            self.add_loss(ops.reduce_sum(x))
            return self.inner(x)

    layer = Penalized()
    layer(np.full((1, 2), 3.0))
    layer(np.full((1, 2), 2.0))  # losses are those of the last call
    assert layer.losses == [4.0, pytest.approx(0.02)]
    tensor = make_input("x", np.float32, (1, 2))
    with tracing() as trace:
        layer(tensor)
        losses = layer.losses
        assert len(losses) == 2
    values = evaluate(Graph("g", [tensor, *trace.read.values()], losses), [np.ones((1, 2), np.float32), *(v.numpy() for v in trace.read)])
    assert [float(v) for v in values] == [2.0, pytest.approx(0.02)]
    with pytest.raises(ShapeError, match="a loss is a scalar"):
        layer.add_loss(np.ones(2))
    with pytest.raises(ArgumentError, match="not a function"):
        layer.add_loss(lambda: 1.0)


def test_activity_regularizer() -> None:
    layer = layers.Dense(2, activity_regularizer="l2", kernel_initializer="ones", use_bias=False)
    y = layer(normal(3, 4))
    assert layer.losses == [pytest.approx(0.01 * (y**2).sum() / 3, rel=1e-5)]
    assert again(layer).activity_regularizer.l2 == layer.activity_regularizer.l2


def test_names() -> None:
    layers.clear_session()
    assert [layers.Dense(1).name, layers.Dense(1).name, layers.PReLU().name, Scaled().name] == ["dense", "dense_1", "p_re_lu", "scaled"]
    for name in ("", "a/b", 3):
        with pytest.raises(ArgumentError, match="name"):
            layers.Dense(1, name=name)


class Unregistered(Layer):
    def __init__(self, width, kinds=("a", "b"), **kwargs):
        super().__init__(**kwargs)
        self.width, self.kinds = width, kinds

    def call(self, x):
        return x


def test_configuration_of_a_class_of_ones_own() -> None:
    layer = Unregistered(3, kinds=["c"], name="mine", trainable=False)
    config = layer.get_config()
    assert config == {"name": "mine", "trainable": False, "dtype": "float32", "width": 3, "kinds": ["c"]}
    copy = Unregistered.from_config(config)
    assert copy.width == 3 and copy.kinds == ["c"] and copy.name == "mine" and not copy.trainable
    with pytest.raises(ArgumentError, match=r"Unregistered has to define get_config\(\)"):
        Unregistered(object()).get_config()

    class Bare(Layer):  # does not hand on what all layers have
        def __init__(self, width):
            super().__init__()
            self.width = width

    bare = Bare.from_config({**Bare(5).get_config(), "name": "given"})
    assert bare.width == 5 and bare.name == "given"


def test_compute_output_shape_leaves_the_layer_unbuilt() -> None:
    layer = layers.Dense(7)
    assert layer.compute_output_shape((None, 3)) == (None, 7) and not layer.built
    assert layer.compute_output_shape((2, 5, 4)) == (2, 5, 7)
    assert layers.Flatten().compute_output_shape((None, 3, 4)) == (None, 12)


def test_build_configuration() -> None:
    layer = layers.Dense(2)
    assert layer.get_build_config() is None
    layer(normal(4, 3))
    config = layer.get_build_config()
    assert config == {"input_shape": (4, 3)}
    copy = again(layer)
    copy.build_from_config({"input_shape": [None, 3]})
    assert [w.shape for w in copy.weights] == [(3, 2), (2,)]


def test_several_arguments() -> None:
    class Pair(Layer):
        def build(self, a_shape, b_shape):
            self.kernel = self.add_weight(shape=(a_shape[-1], b_shape[-1]), initializer="ones")

        def call(self, a, b, scale=1.0):
            return ops.matmul(a, self.kernel) * b * scale

    x, y = normal(2, 3), normal(2, 4)
    layer = Pair()
    np.testing.assert_allclose(layer(x, b=y, scale=2.0), np.repeat(x.sum(1, keepdims=True), 4, 1) * y * 2, rtol=1e-5)
    assert layer(layers.Input((3,)), layers.Input((4,))).shape == (None, 4)
    with pytest.raises(ArgumentError, match=r"Pair.build takes b_shape, but 'pair_\d' is called with a"):
        Pair(name="pair_5")(x, None)
    with pytest.raises(ArgumentError, match="missing a required argument: 'b'"):
        layer(x)
    with pytest.raises(ArgumentError, match=r"unexpected keyword argument 'c'; it is called with \(a, b, scale\)"):
        layer(x, y, c=1)


def test_arguments_in_every_form() -> None:
    class Many(Layer):
        def call(self, first, *rest, training=False, scale=1.0, **more):
            return first + sum(rest) * scale + (100.0 if training else 0.0) + more.get("extra", 0.0)

    class Optional(Layer):
        def call(self, x, mask=None, training=None):
            return x * 1.0 if mask is None else x * ops.cast(ops.expand_dims(mask, -1), x.dtype)

    x = np.ones((1, 2), np.float32)
    layer = Many()
    np.testing.assert_array_equal(layer(x, x, x, x, training=True, scale=2.0, extra=x), [[108, 108]])
    assert layer(*[layers.Input((2,))] * 3, extra=layers.Input((2,))).shape == (None, 2)
    steps = layers.Embedding(3, 2, mask_zero=True)(np.array([[1, 0]]))
    for given in ((steps,), (steps, None), (steps, None, None)):
        assert not Optional()(*given)[0, 1].any()


def test_a_layer_that_forgets_its_base() -> None:
    class Forgetful(Layer):
        def __init__(self):
            self.inner = layers.Dense(1)

    with pytest.raises(ArgumentError, match=r"Forgetful.__init__ does not call super\(\).__init__\(\)"):
        Forgetful()(normal(1, 2))
    with pytest.raises(NotImplementedError, match="does not define call"):
        Layer()(normal(1, 2))


def test_what_is_no_variables_shape() -> None:
    layer = Layer()
    with pytest.raises(ShapeError, match="all extents of a variable are known"):
        layer.add_weight(shape=(None, 3), name="kernel")
    assert layer.add_weight("mask", (2,), dtype="bool").numpy().tolist() == [False, False]
