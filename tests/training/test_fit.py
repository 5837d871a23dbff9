"""Training against loops that are written out in NumPy, on both backends; what `fit`, `evaluate` and `predict` take and return."""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile
from dlcompile import callbacks, gradients, layers, losses, metrics, ops, optimizers
from dlcompile.errors import ArgumentError, Error, ShapeError
from dlcompile.models import Model, Sequential, load_model
from dlcompile.registry import custom_object_scope
from dlcompile.utils import PyDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5], [0.0]]) > 0).astype(np.float32)
CLASSES = (X[:, :3].argmax(-1)).astype(np.int64)
W = RNG.uniform(0.5, 2, 50).astype(np.float32)
QUIET = {"verbose": 0}


def logistic(units=1, activation="sigmoid", **kwargs):
    return Sequential([layers.Input((4,)), layers.Dense(units, activation=activation, kernel_initializer="zeros", **kwargs)])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_hand(epochs, batch, rate=0.5, weights=None, l2=0.0, until=50):
    """Logistic regression by gradient descent: the weights after it, and for each epoch the mean loss and accuracy of its batches."""
    w, b, told = np.zeros((4, 1)), 0.0, []
    for _ in range(epochs):
        total = hits = 0.0
        for i in range(0, until, batch):
            x, y = X[i:i + batch].astype(np.float64)[: until - i], Y[i:i + batch][: until - i]
            s = np.ones(len(x)) if weights is None else weights[i:i + batch][: until - i]
            p = sigmoid(x @ w + b)
            loss = np.mean(s[:, None] * -(y * np.log(p) + (1 - y) * np.log(1 - p))) + l2 * (w**2).sum()
            total, hits = total + loss * len(x), hits + ((p > 0.5) == y).sum()
            g = s[:, None] * (p - y) / len(x)
            w, b = w - rate * (x.T @ g + 2 * l2 * w), b - rate * g.sum()
        told.append((total / until, hits / until))
    return w, b, np.array(told)


# -- against NumPy ------------------------------------------------------------------------------------------------------------
def test_fit(backend):
    """The last batch of 16 is one of 2."""
    model = logistic()
    model.compile(optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, batch_size=16, epochs=4, shuffle=False, **QUIET)
    w, b, told = by_hand(4, 16)
    np.testing.assert_allclose(model.layers[0].kernel.numpy(), w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.layers[0].bias.numpy(), [b], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history.history["loss"], told[:, 0], rtol=1e-5)
    np.testing.assert_allclose(history.history["accuracy"], told[:, 1], rtol=1e-6)
    assert history.epoch == [0, 1, 2, 3] and model.history is history and int(model.optimizer.iterations) == 16
    p = sigmoid(X @ w + b)
    loss, accuracy = model.evaluate(X, Y, batch_size=20, **QUIET)
    np.testing.assert_allclose([loss, accuracy], [-(Y * np.log(p) + (1 - Y) * np.log(1 - p)).mean(), ((p > 0.5) == Y).mean()], rtol=1e-4)
    np.testing.assert_allclose(model.predict(X, batch_size=7, **QUIET), p, rtol=1e-4)
    assert model.evaluate(X, Y, return_dict=True, **QUIET).keys() == {"loss", "accuracy"}


@pytest.mark.usefixtures("interpreted")
class TestFit:
    def test_weights_of_samples_and_classes(self):
        for more, weights in (({"sample_weight": W}, W), ({"class_weight": {0: 2.0, 1: 0.5}}, np.where(Y[:, 0] == 1, 0.5, 2.0)),
                              ({"sample_weight": W, "class_weight": {1: 3.0}}, W * np.where(Y[:, 0] == 1, 3, 1))):
            model = logistic()
            model.compile(optimizers.SGD(0.5), "bce", metrics=["accuracy"], weighted_metrics=["accuracy"])
            history = model.fit(X, Y, batch_size=25, epochs=2, shuffle=False, **more, **QUIET).history
            w, b, told = by_hand(2, 25, weights=weights)
            np.testing.assert_allclose(model.layers[0].kernel.numpy(), w, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(history["loss"], told[:, 0], rtol=1e-5)
            np.testing.assert_allclose(history["accuracy"], told[:, 1], rtol=1e-5)
            assert history["weighted_accuracy"] != history["accuracy"]

    def test_regularizers_and_added_losses(self):
        class Added(layers.Layer):
            def call(self, x):
                self.add_loss(0.25)
                return x

        model = Sequential([layers.Input((4,)), layers.Dense(1, activation="sigmoid", kernel_initializer="zeros", kernel_regularizer="l2"), Added()])
        model.compile(optimizers.SGD(0.5), "bce")
        history = model.fit(X, Y, batch_size=25, epochs=3, shuffle=False, **QUIET).history
        w, _, told = by_hand(3, 25, l2=0.01)
        np.testing.assert_allclose(model.layers[0].kernel.numpy(), w, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(history["loss"], told[:, 0] + 0.25, rtol=1e-5)

    def test_validation(self):
        model = logistic()
        model.compile(optimizers.SGD(0.5), "bce", metrics=["accuracy"])
        history = model.fit(X, Y, batch_size=10, epochs=4, shuffle=False, validation_split=0.2, validation_freq=2, **QUIET).history
        w, b, told = by_hand(4, 10, until=40)
        np.testing.assert_allclose(history["loss"], told[:, 0], rtol=1e-5)  # the validation counts in metrics of its own
        assert len(history["val_loss"]) == 2
        p = sigmoid(X[40:] @ w + b)
        np.testing.assert_allclose(history["val_loss"][-1], -(Y[40:] * np.log(p) + (1 - Y[40:]) * np.log(1 - p)).mean(), rtol=1e-4)
        np.testing.assert_allclose(history["val_accuracy"][-1], ((p > 0.5) == Y[40:]).mean())
        for data in ((X[40:], Y[40:]), (X[40:], Y[40:], np.ones(10)), [(X[40:], Y[40:])]):
            again = logistic()
            again.compile(optimizers.SGD(0.5), "bce", metrics=["accuracy"])
            found = again.fit(X[:40], Y[:40], batch_size=10, epochs=4, shuffle=False, validation_data=data, validation_freq=[4], **QUIET).history
            np.testing.assert_allclose(found["val_loss"], history["val_loss"][-1:], rtol=1e-5)

    def test_where_batches_come_from_is_no_matter(self):
        class Data(PyDataset):
            def __len__(self):
                return 5

            def __getitem__(self, i):
                return X[10 * i:10 * i + 10], Y[10 * i:10 * i + 10]

        def forever():
            while True:
                yield from parts

        parts = [(X[i:i + 10], Y[i:i + 10]) for i in range(0, 50, 10)]
        w, _, told = by_hand(2, 10)
        for data, more in ((Data(), {"shuffle": False}), (parts, {}), (forever(), {"steps_per_epoch": 5}), (iter(parts * 2), {"steps_per_epoch": 5})):
            model = logistic()
            model.compile(optimizers.SGD(0.5), "bce")
            history = model.fit(data, epochs=2, **more, **QUIET).history
            np.testing.assert_allclose(model.layers[0].kernel.numpy(), w, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(history["loss"], told[:, 0], rtol=1e-5)
        assert model.evaluate(Data(), **QUIET) == pytest.approx(model.evaluate(X, Y, **QUIET), rel=1e-5)
        np.testing.assert_allclose(model.predict(Data(), **QUIET), model.predict(X, **QUIET), rtol=1e-5)
        np.testing.assert_allclose(model.predict(iter([X[:10], X[10:]]), **QUIET), model.predict(X, **QUIET), rtol=1e-5)
        assert len(model.predict(X, batch_size=10, steps=2, **QUIET)) == 20

    def test_shuffling_is_decided_by_the_seed(self):
        found = []
        for _ in range(2):
            dlcompile.utils.set_random_seed(3)
            model = Sequential([layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.3), layers.Dense(1)])
            model.compile("adam", "mse")
            model.fit(X, Y, batch_size=16, epochs=2, **QUIET)
            found.append(model.predict(X, **QUIET))
        np.testing.assert_array_equal(*found)

    def test_single_batches(self):
        model = logistic()
        model.compile(optimizers.SGD(0.5), "bce", metrics=["accuracy"])
        assert model.train_on_batch(X, Y)[0] == pytest.approx(np.log(2), rel=1e-5)
        w, b, told = by_hand(1, 50)
        np.testing.assert_allclose(model.layers[0].kernel.numpy(), w, rtol=1e-4, atol=1e-6)
        model.reset_metrics()
        p = sigmoid(X @ w + b)
        found = model.test_on_batch(X, Y, return_dict=True)
        np.testing.assert_allclose(found["loss"], -(Y * np.log(p) + (1 - Y) * np.log(1 - p)).mean(), rtol=1e-4)
        np.testing.assert_allclose(model.predict_on_batch(X), p, rtol=1e-4)
        before = model.layers[0].kernel.numpy()
        model.train_on_batch(X, Y, class_weight={0: 0.0, 1: 0.0})
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)

    def test_initial_epoch(self):
        model = logistic()
        model.compile("sgd", "bce")
        assert model.fit(X, Y, epochs=5, initial_epoch=3, **QUIET).epoch == [3, 4]

    def test_several_inputs_and_outputs(self):
        a, b = layers.Input((2,), name="left"), layers.Input((2,), name="right")
        together = layers.Concatenate()([a, b])
        model = Model([a, b], [layers.Dense(1, name="yes", activation="sigmoid", kernel_initializer="zeros")(together),
                               layers.Dense(3, name="kind", kernel_initializer="zeros")(together)])
        model.compile(optimizers.SGD(0.5), {"yes": "bce", "kind": losses.SparseCategoricalCrossentropy(from_logits=True)},
                      loss_weights={"kind": 0.5}, metrics={"yes": ["accuracy"], "kind": ["accuracy"]})
        history = model.fit([X[:, :2], X[:, 2:]], [Y, CLASSES], batch_size=25, epochs=2, shuffle=False, **QUIET).history
        assert set(history) == {"loss", "yes_loss", "kind_loss", "yes_accuracy", "kind_accuracy"}
        np.testing.assert_allclose(np.array(history["yes_loss"]) + 0.5 * np.array(history["kind_loss"]), history["loss"], rtol=1e-5)
        w, _, told = by_hand(2, 25)
        np.testing.assert_allclose(history["yes_loss"], told[:, 0], rtol=1e-5)
        np.testing.assert_allclose(model.get_layer("yes").kernel.numpy(), w, rtol=1e-4, atol=1e-5)
        named = model.evaluate({"left": X[:, :2], "right": X[:, 2:]}, {"yes": Y, "kind": CLASSES}, return_dict=True, **QUIET)
        listed = model.evaluate([X[:, :2], X[:, 2:]], [Y, CLASSES], **QUIET)
        np.testing.assert_allclose(listed, [named[n] for n in ("loss", "yes_accuracy", "kind_accuracy", "yes_loss", "kind_loss")], rtol=1e-6)
        assert [p.shape for p in model.predict([X[:, :2], X[:, 2:]], **QUIET)] == [(50, 1), (50, 3)]

    def test_layers_that_are_not_trained(self):
        model = Sequential([layers.Input((4,)), layers.Dense(4), layers.Dense(1)])
        model.layers[0].trainable = False
        before = model.layers[0].kernel.numpy()
        model.compile("adam", "mse")
        model.fit(X, Y, **QUIET)
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)
        assert len(model.optimizer.variables) == 2 + 2 * 2

    def test_layers_that_are_no_longer_trained(self):
        model = Sequential([layers.Input((4,)), layers.Dense(4), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(X, Y, **QUIET)
        model.layers[0].trainable = False
        with pytest.warns(UserWarning, match="takes effect with the next compile"):
            model.fit(X, Y, **QUIET)
        before = model.layers[0].kernel.numpy()
        model.compile("sgd", "mse")
        model.fit(X, Y, **QUIET)
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)

    def test_a_model_that_is_built_by_its_first_batch(self):
        model = Sequential([layers.Dense(3, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(X, CLASSES, epochs=1, **QUIET)
        assert model.built and model.layers[0].kernel.shape == (4, 3)


# -- a user's own steps -------------------------------------------------------------------------------------------------------
class Own(Model):
    """A training step written out, with a metric of its own."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")
        self.seen = metrics.Mean(name="own_loss")

    def call(self, x):
        return self.dense(x)

    @property
    def metrics(self):
        return [self.seen]

    def train_step(self, data):
        x, y = data[:2]
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        self.optimizer.apply(gradients(loss, self.trainable_variables), self.trainable_variables)
        self.seen.update_state(loss, x.shape[0])
        return {m.name: m.result() for m in self.metrics}


def test_own_train_step(backend):
    model = Own()
    model.compile(optimizers.SGD(0.5), "bce")
    history = model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, **QUIET).history
    w, _, told = by_hand(2, 16)
    np.testing.assert_allclose(model.dense.kernel.numpy(), w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history["own_loss"], told[:, 0], rtol=1e-5)
    assert set(history) == {"own_loss"}


@pytest.mark.usefixtures("interpreted")
class TestOwn:
    def test_two_optimizers_in_one_step(self):
        """Two models that pull at each other: the second sees what the first has become in the same step."""
        class Pair(Model):
            def __init__(self):
                super().__init__()
                self.a, self.b = layers.Dense(1, use_bias=False, kernel_initializer="ones"), layers.Dense(1, use_bias=False, kernel_initializer="ones")

            def compile(self, rate):
                super().compile()
                self.opt_a, self.opt_b = optimizers.SGD(rate), optimizers.SGD(rate)

            def call(self, x):
                return self.a(x) * self.b(x)

            def train_step(self, data):
                x = data[0]
                self.opt_a.apply(gradients(ops.reduce_mean(self(x)), self.a.trainable_variables), self.a.trainable_variables)
                loss = -ops.reduce_mean(self(x))
                self.opt_b.apply(gradients(loss, self.b.trainable_variables), self.b.trainable_variables)
                return {"loss": loss}

        model = Pair()
        model.compile(0.1)
        model.build((None, 4))
        a = b = np.ones(4)
        x = X[:8].astype(np.float64)
        for _ in range(3):
            model.train_on_batch(X[:8])
            a = a - 0.1 * ((x @ b)[:, None] * x).mean(0)
            b = b + 0.1 * ((x @ a)[:, None] * x).mean(0)
        np.testing.assert_allclose(model.a.kernel.numpy()[:, 0], a, rtol=1e-4)
        np.testing.assert_allclose(model.b.kernel.numpy()[:, 0], b, rtol=1e-4)

    def test_own_loss_metric_test_step_and_predict_step(self):
        class Doubled(Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(1, kernel_initializer="ones")

            def call(self, x):
                return self.dense(x)

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                return 2 * ops.reduce_mean(ops.abs(y - y_pred)) + (0.0 if training else 1.0)

            def compute_metrics(self, x, y, y_pred, sample_weight=None):
                return {**super().compute_metrics(x, y, y_pred, sample_weight), "mean": ops.reduce_mean(y_pred)}

            def predict_step(self, data):
                return {"raw": super().predict_step(data), "sign": ops.sign(super().predict_step(data))}

        model = Doubled()
        model.compile(optimizers.SGD(0.0))
        expected = 2 * np.abs(Y - X.sum(-1, keepdims=True)).mean()
        history = model.fit(X, Y, batch_size=50, shuffle=False, **QUIET).history
        np.testing.assert_allclose([history["loss"][0], history["mean"][0]], [expected, X.sum(-1).mean()], rtol=1e-4)
        np.testing.assert_allclose(model.evaluate(X, Y, batch_size=50, return_dict=True, **QUIET)["loss"], expected + 1, rtol=1e-5)
        found = model.predict(X, **QUIET)
        np.testing.assert_array_equal(found["sign"], np.sign(found["raw"]))

    def test_gradients_outside_of_a_step(self):
        model = logistic()
        loss = ops.reduce_sum(ops.as_tensor(X))
        with pytest.raises(ArgumentError, match="while a function is traced"):
            dlcompile.gradients(loss, model.trainable_variables)


# -- stopping, resuming, files ------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("interpreted")
class TestState:
    def model(self):
        dlcompile.utils.set_random_seed(5)
        model = Sequential([layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(1)])
        model.compile(optimizers.Adam(0.01), "mse", metrics=["mae"])
        return model

    def test_a_model_that_was_saved_goes_on_with_the_same_bits(self, tmp_path):
        model = self.model()
        model.fit(X, Y, epochs=2, shuffle=False, **QUIET)
        model.save(tmp_path / "model.keras")
        first = model.fit(X, Y, epochs=4, initial_epoch=2, shuffle=False, **QUIET).history
        read = load_model(tmp_path / "model.keras")
        assert read.optimizer.get_config() == model.optimizer.get_config() and int(read.optimizer.iterations) == 4
        again = read.fit(X, Y, epochs=4, initial_epoch=2, shuffle=False, **QUIET).history
        assert first == again
        for a, b in zip([*model.variables, *model.optimizer.variables], [*read.variables, *read.optimizer.variables]):
            np.testing.assert_array_equal(a.numpy(), b.numpy())

    def test_a_model_without_its_training(self, tmp_path):
        model = self.model()
        model.fit(X, Y, **QUIET)
        model.save(tmp_path / "a.keras", include_optimizer=False)
        assert int(load_model(tmp_path / "a.keras").optimizer.iterations) == 0
        assert not load_model(tmp_path / "a.keras", compile=False).compiled
        model.compile("sgd", lambda y, p: ops.abs(y - p))
        with pytest.warns(UserWarning, match="saved without what compile\\(\\) was given"):
            model.save(tmp_path / "b.keras")
        assert not load_model(tmp_path / "b.keras").compiled

    def test_a_loss_of_ones_own_in_a_file(self, tmp_path):
        def absolute(y_true, y_pred):
            return ops.reduce_mean(ops.abs(y_true - y_pred), -1)

        model = self.model()
        model.compile("sgd", absolute)
        model.save(tmp_path / "a.keras")
        with pytest.raises(ArgumentError, match="absolute.*compile=False"):
            load_model(tmp_path / "a.keras")
        with custom_object_scope({"absolute": absolute}):
            assert load_model(tmp_path / "a.keras").evaluate(X, Y, **QUIET) == pytest.approx(model.evaluate(X, Y, **QUIET))

    def test_an_interrupt_between_two_batches(self):
        class Stop(callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch == 1:
                    raise KeyboardInterrupt

        model = self.model()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, batch_size=10, shuffle=False, callbacks=[Stop()], **QUIET)
        other = self.model()
        for i in (0, 10):
            other.train_on_batch(X[i:i + 10], Y[i:i + 10])
        for a, b in zip(model.variables, other.variables):
            np.testing.assert_array_equal(a.numpy(), b.numpy())

    def test_compiling_again_begins_anew(self):
        model = self.model()
        model.fit(X, Y, **QUIET)
        model.compile(optimizers.SGD(0.1), "mae")
        history = model.fit(X, Y, **QUIET).history
        assert set(history) == {"loss"} and int(model.optimizer.iterations) == 2

    def test_moving_averages_are_taken_at_the_end(self):
        model = logistic()
        model.compile(optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5), "bce")
        model.fit(X, Y, batch_size=50, epochs=2, shuffle=False, **QUIET)
        first, second = by_hand(1, 50)[0], by_hand(2, 50)[0]
        np.testing.assert_allclose(model.layers[0].kernel.numpy(), 0.5 * first + 0.5 * second, rtol=1e-4, atol=1e-6)


# -- errors -------------------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda m: logistic().fit(X, Y), ArgumentError, "compile\\(optimizer, loss\\) comes before fit"),
    (lambda m: m.fit(X, Y[:40]), ArgumentError, "different numbers of samples: x 50, y 40"),
    (lambda m: m.fit(X[:, :3], Y), ShapeError, r"must have shape \(None, 4\), it has shape \(32, 3\)"),
    (lambda m: m.fit(X, np.zeros((50, 2))), ShapeError, r"y_true float32\[.*, 2\] and y_pred float32\[.*, 1\]"),
    (lambda m: m.fit(X, Y, verbose=3), ArgumentError, "verbose is 0, 1, 2"),
    (lambda m: m.fit(X, Y, validation_split=1.5), ArgumentError, "between 0 and 1"),
    (lambda m: m.fit(X, Y, validation_split=0.5, validation_freq=0, verbose=0), ArgumentError, "validation_freq"),
    (lambda m: m.fit(iter([]), verbose=0), ArgumentError, "x has no batches"),
    (lambda m: m.evaluate(X, Y, wrong=1), ArgumentError, "no argument 'wrong'"),
    (lambda m: m.evaluate(iter([]), verbose=0), ArgumentError, "no batches to evaluate"),
    (lambda m: m.predict(iter([]), verbose=0), ArgumentError, "no batches to predict"),
    (lambda m: m.fit(X, Y, callbacks=[callbacks.History]), ArgumentError, "a callback is an object of a class that extends Callback"),
    (lambda m: m.train_on_batch(X, Y, sample_weight=W, class_weight={0: 1}), ArgumentError, "not both"),
    (lambda m: m.compile("adamx", "mse"), ArgumentError, "no optimizer 'adamx'; did you mean"),
    (lambda m: m.compile("adam", "mean_square_error"), ArgumentError, "did you mean mean_squared_error"),
    (lambda m: m.compile("adam", "mse", metrics=["accurracy"]), ArgumentError, "no metric 'accurracy'; did you mean"),
    (lambda m: (m.compile("adam"), m.fit(X, Y, verbose=0)), ArgumentError, "has no loss")])
def test_errors(call, error, says):
    model = logistic()
    model.compile("sgd", "bce")
    with pytest.raises(error, match=says):
        call(model)


def test_labels_out_of_range(interpreted):
    model = logistic(3, "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ArgumentError, match=r"y has whole numbers from 0 to 2; y\[7\] is 3"):
        wrong = CLASSES.copy()
        wrong[7] = 3
        model.fit(X, wrong, shuffle=False, **QUIET)
    model.fit(X, CLASSES, **QUIET)


def test_words_that_have_no_effect():
    model = logistic()
    with pytest.warns(UserWarning, match="run_eagerly=True has no effect"):
        model.compile("sgd", "bce", run_eagerly=True, jit_compile=True, steps_per_execution=4)


def test_a_generator_that_runs_out(interpreted):
    model = logistic()
    model.compile("sgd", "bce")
    with pytest.warns(UserWarning, match="ran out before epoch 2"):
        assert model.fit(iter([(X, Y)]), epochs=3, **QUIET).epoch == [0]
    assert isinstance(Error(), Exception)
