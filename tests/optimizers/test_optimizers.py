"""What all optimizers have in common."""
from __future__ import annotations

import json

import numpy as np
import pytest

from dlcompile import constraints, optimizers
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, make_input
from dlcompile.optimizers import schedules
from dlcompile.registry import custom_object_scope
from dlcompile.variables import Variable, tracing

G = [np.array([3.0, 4.0], np.float32), np.array([[1.0, -2.0]], np.float32)]
W = [np.array([1.0, -1.0], np.float32), np.array([[0.5, 2.0]], np.float32)]


def variables():
    return [Variable(w, name=name) for w, name in zip(W, ("kernel", "bias"))]


def after(optimizer, grads=G, steps=1):
    made = variables()
    for _ in range(steps):
        optimizer.apply(grads, made)
    return [v.numpy() for v in made]


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_clipping():
    close(after(optimizers.SGD(1.0, clipvalue=1.5)), [w - np.clip(g, -1.5, 1.5) for w, g in zip(W, G)])
    norms = [np.linalg.norm(g) for g in G]
    close(after(optimizers.SGD(1.0, clipnorm=3.0)), [w - g * min(1, 3 / n) for w, g, n in zip(W, G, norms)])
    total = np.sqrt(sum(n**2 for n in norms))
    close(after(optimizers.SGD(1.0, global_clipnorm=2.0)), [w - g * 2 / total for w, g in zip(W, G)])
    close(after(optimizers.SGD(1.0, global_clipnorm=100.0)), [w - g for w, g in zip(W, G)])
    close(after(optimizers.SGD(1.0, clipnorm=3.0), [np.zeros_like(g) for g in G]), W)


def test_weight_decay_comes_before_the_step_and_can_leave_variables_out():
    close(after(optimizers.SGD(0.1, weight_decay=0.5)), [w * (1 - 0.05) - 0.1 * g for w, g in zip(W, G)])
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["^bi"])
    close(after(optimizer), [W[0] * 0.95 - 0.1 * G[0], W[1] - 0.1 * G[1]])
    made, optimizer = variables(), optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[made[0]])
    optimizer.apply(G, made)
    close([v.numpy() for v in made], [W[0] - 0.1 * G[0], W[1] * 0.95 - 0.1 * G[1]])
    with pytest.raises(ArgumentError, match="before it is built"):
        optimizer.exclude_from_weight_decay(var_list=made)


def test_constraints_come_after_the_step():
    made = variables()
    made[0].constraint = constraints.NonNeg()
    made[1].constraint = constraints.MaxNorm(1.0, axis=1)
    optimizers.SGD(0.1).apply(G, made)
    moved = W[1] - 0.1 * G[1]
    close([v.numpy() for v in made], [np.maximum(W[0] - 0.1 * G[0], 0), moved / np.linalg.norm(moved)])


def test_moving_averages():
    optimizer = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75)
    made = variables()
    optimizer.build(made)
    average = None
    for t in range(4):
        optimizer.apply(G, made)
        weights = [w - 0.1 * (t + 1) * g for w, g in zip(W, G)]
        average = weights if average is None else [0.75 * a + 0.25 * w for a, w in zip(average, weights)]
    close([v.numpy() for v in made], weights)
    optimizer.finalize_variable_values(made)
    close([v.numpy() for v in made], average)


def test_moving_averages_that_take_over_every_few_steps():
    optimizer = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    first = [w - 0.1 * g for w, g in zip(W, G)]
    second = [0.75 * a + 0.25 * (a - 0.1 * g) for a, g in zip(first, G)]
    close(after(optimizer, steps=2), second)


def test_gradients_that_are_collected():
    optimizer = optimizers.Adam(0.1, gradient_accumulation_steps=3, weight_decay=0.1)
    plain = optimizers.Adam(0.1, weight_decay=0.1)
    made, others = variables(), variables()
    rng = np.random.default_rng(0)
    for _ in range(2):
        parts = [[rng.normal(size=g.shape).astype(np.float32) for g in G] for _ in range(3)]
        before = [v.numpy() for v in made]
        for i, grads in enumerate(parts):
            optimizer.apply(grads, made)
            if i < 2:
                close([v.numpy() for v in made], before)
        plain.apply([np.mean(column, axis=0) for column in zip(*parts)], others)
        close([v.numpy() for v in made], [v.numpy() for v in others])
    assert int(optimizer.iterations) == int(plain.iterations) == 2


def test_scaled_losses():
    optimizer = optimizers.SGD(0.1, loss_scale_factor=8.0)
    assert optimizer.scale_loss(2.0) == 16.0 and optimizers.SGD().scale_loss(2.0) == 2.0
    close(after(optimizer, [8 * g for g in G]), [w - 0.1 * g for w, g in zip(W, G)])


def test_the_learning_rate_is_a_variable():
    optimizer = optimizers.SGD(0.1)
    made = variables()
    optimizer.apply(G, made)
    optimizer.learning_rate = 0.5
    optimizer.apply(G, made)
    close([v.numpy() for v in made], [w - 0.6 * g for w, g in zip(W, G)])
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate.assign(0.25)
    assert optimizer.get_config()["learning_rate"] == 0.25
    close(after(optimizers.SGD(lambda: 0.3)), [w - 0.3 * g for w, g in zip(W, G)])


def test_a_schedule_as_learning_rate():
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([1, 2], [1.0, 0.1, 0.01]))
    close(after(optimizer, steps=4), [w - 2.11 * g for w, g in zip(W, G)])
    assert len(optimizer.variables) == 1
    np.testing.assert_allclose(optimizer.learning_rate, 0.01)
    with pytest.raises(ArgumentError, match="cannot be set to 0.1"):
        optimizer.learning_rate = 0.1
    optimizer = optimizers.SGD(0.1)
    optimizer.learning_rate = schedules.ExponentialDecay(1.0, 1, 0.5)
    close(after(optimizer, steps=3), [w - 1.75 * g for w, g in zip(W, G)])


def test_variables_without_a_gradient_stay():
    with pytest.warns(UserWarning, match="no gradients for bias"):
        close(after(optimizers.Adam(0.1, weight_decay=0.1), [G[0], None])[1:], W[1:])
    with pytest.raises(ArgumentError, match="no gradient for any variable"):
        after(optimizers.SGD(), [None, None])


def test_a_step_in_a_trace_changes_nothing_outside():
    made = variables()
    optimizer = optimizers.Adam()
    grads = [make_input(f"g{i}", np.float32, g.shape) for i, g in enumerate(G)]
    with tracing() as trace:
        optimizer.apply(grads, made)
    assert {*made, *(v for v in optimizer.variables if v is not optimizer.learning_rate)} == set(trace.written)
    assert all(isinstance(t, Tensor) for t in trace.written.values())
    close([v.numpy() for v in made], W)
    assert int(optimizer.iterations) == 0


def test_types_of_variables():
    made = [Variable(W[0].astype(np.float16)), Variable(W[1].astype(np.float64))]
    optimizers.Adam(0.1).apply(G, made)  # gradients of another type are converted
    assert [v.dtype for v in made] == [np.float16, np.float64]
    close([v.numpy().astype(np.float32) for v in made][1:], after(optimizers.Adam(0.1))[1:])


# -- state and configurations -------------------------------------------------------------------------------------------------
def test_resuming_gives_the_same_bits():
    made, optimizer = variables(), optimizers.Nadam(0.1, use_ema=True)
    for _ in range(3):
        optimizer.apply(G, made)
    store: dict = {}
    optimizer.save_own_variables(store)
    weights = [v.numpy() for v in made]
    for _ in range(3):
        optimizer.apply(G, made)
    again, resumed = [Variable(w) for w in weights], optimizers.Nadam(0.1, use_ema=True)
    resumed.build(again)
    resumed.load_own_variables(store)
    for _ in range(3):
        resumed.apply(G, again)
    for a, b in zip([*made, *optimizer.variables], [*again, *resumed.variables]):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(ArgumentError, match="2 variables, not 9; it has not been built yet"):
        optimizers.Nadam().load_own_variables(store)


@pytest.mark.parametrize("made", [
    optimizers.SGD(0.25, 0.5, True, clipnorm=2.0), optimizers.RMSprop(0.5, 0.8, 0.1, 1e-3, True), optimizers.AdamW(weight_decay=0.1, use_ema=True),
    optimizers.Adam(schedules.CosineDecay(0.5, 10, 0.1, warmup_target=1.0, warmup_steps=3), amsgrad=True), optimizers.Lion(0.5, 0.8, 0.7, name="lion"),
    optimizers.Ftrl(0.5, -0.3, 0.2, 0.1, 0.1, 0.1, 0.2), optimizers.Adagrad(0.5, 0.3), optimizers.Adadelta(0.5, 0.3), optimizers.Nadam(0.5, 0.8, 0.9),
    optimizers.Adamax(0.5, gradient_accumulation_steps=3)], ids=lambda o: type(o).__name__)
def test_configurations(made):
    read = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(made))))
    assert type(read) is type(made)
    a, b = (json.dumps(optimizers.serialize(o)) for o in (read, made))
    assert a == b


def test_own_optimizers():
    class Simple(optimizers.Optimizer):
        """As with Keras: variables made in build."""

        def build(self, variables):
            super().build(variables)
            self.sums = self.add_optimizer_variables(variables, "sum")
            self.pairs = self.add_optimizer_variables(variables, ["a", "b"], ["zeros", "ones"])

        def update_step(self, gradient, variable, learning_rate):
            total = self.sums[self._get_variable_index(variable)]
            total.assign_add(gradient)
            variable.assign_sub(learning_rate * total)

    optimizer = Simple(0.1)
    close(after(optimizer, steps=2), [w - 0.3 * g for w, g in zip(W, G)])
    assert [v.name for v in optimizer.variables[2:4]] == ["kernel_sum", "bias_sum"] and len(optimizer.pairs[1]) == 2
    with custom_object_scope({"Simple": Simple}):
        assert type(optimizers.get("Simple")) is Simple


def test_names():
    for name in ("adam", "Adam", "ADAM", optimizers.Adam, {"class_name": "adam", "config": {"learning_rate": 0.5}}):
        assert type(optimizers.get(name)) is optimizers.Adam
    assert type(optimizers.get("RMSProp")) is optimizers.RMSprop and optimizers.get(None) is None


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: optimizers.get("adamm"), ArgumentError, "no optimizer 'adamm'; did you mean Adam"),
    (lambda: optimizers.get(lambda: 1), ArgumentError, "or one of the class Optimizer; not function"),
    (lambda: optimizers.SGD(lerning_rate=0.1), ArgumentError, "no argument 'lerning_rate'; did you mean learning_rate"),
    (lambda: optimizers.SGD("0.1"), ArgumentError, "a learning rate is a number"),
    (lambda: optimizers.SGD(0.1, momentum=1.5), ArgumentError, "momentum is a number from 0 to 1"),
    (lambda: optimizers.SGD(0.1, clipnorm=1.0, clipvalue=1.0), ArgumentError, "only one of"),
    (lambda: optimizers.SGD(0.1, clipnorm=-1.0), ArgumentError, "clipnorm is a number greater than 0"),
    (lambda: optimizers.Adam(gradient_accumulation_steps=1), ArgumentError, "from 2 on"),
    (lambda: optimizers.Adam(use_ema=True, ema_momentum=2), ArgumentError, "ema_momentum"),
    (lambda: optimizers.AdamW(weight_decay=None), ArgumentError, "weight_decay"),
    (lambda: optimizers.Ftrl(l1_regularization_strength=-1), ArgumentError, "l1_regularization_strength is at least 0"),
    (lambda: optimizers.Lion(beta_1=0), ArgumentError, "beta_1"),
    (lambda: optimizers.SGD().apply(G), ArgumentError, "does not know its variables yet"),
    (lambda: optimizers.SGD().apply(G[:1], variables()), ArgumentError, "1 gradients for 2 variables"),
    (lambda: optimizers.SGD().apply(G[::-1], variables()), ShapeError, r"the gradient of kernel is float32\[1, 2\], the variable float32\[2\]"),
    (lambda: optimizers.Optimizer(0.1).apply(G, variables()), NotImplementedError, "update_step")])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_other_variables_need_another_optimizer():
    optimizer = optimizers.SGD()
    optimizer.apply(G, variables())
    with pytest.raises(ArgumentError, match="built for other variables than kernel, bias"):
        optimizer.apply(G, variables())
