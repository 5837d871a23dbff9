"""Training libraries: in C a model becomes what it becomes in Python, or in NumPy; and what their functions refuse."""
from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import dlcompile
from dlcompile import config, layers, losses, ops, optimizers
from dlcompile.errors import ArgumentError, LibraryError
from dlcompile.models import Model, Sequential
from dlcompile.models.training_library import training_project
from dlcompile.random import set_random_seed
from tests.conftest import compiler, sanitizers_work
from tests.programs import COMPILERS

PROGRAM = Path(__file__).with_name("trainer.c")
OK, ARGUMENT = 0, 1
SAMPLES = (16, 16, 7, 1, 16)
RNG = np.random.default_rng(0)
BATCHES = [(RNG.normal(size=(n, 12)).astype(np.float32), RNG.integers(0, 5, n)) for n in SAMPLES]


def network():
    """Statistics, random numbers, a regularizer, an optimizer with moments and a clip: all kinds of variables."""
    set_random_seed(3)
    model = Sequential([
        layers.Input((12,)),
        layers.Dense(16, activation="relu", kernel_regularizer="l2", name="hidden"),
        layers.BatchNormalization(name="norm"),
        layers.Dropout(0.3),
        layers.Dense(5, activation="softmax", name="scores"),
    ], name="network")
    model.compile(optimizers.Adam(0.01, clipnorm=1.0, name="adam"), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def run(*command, **options):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, **options)
    assert result.returncode == 0, result.stderr[-4000:] + result.stdout[-2000:]
    return result.stdout


def values_of(model):
    """All variables that training touches, in no order that matters, by name."""
    every = [*model.variables, *model.optimizer.variables, *(v for metric in model.metrics for v in metric.variables)]
    return {v.path: v.numpy() for v in every}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The library for batches of any size, and what interpreted training comes to: the logs of each step, a prediction, variables."""
    directory = tmp_path_factory.mktemp("exported")
    model = network()
    library = model.export_training(directory / "net.so")
    project = training_project(model, name="net").write(directory / "project")
    config.set_backend("numpy")
    logs = []
    for number, (x, y) in enumerate(BATCHES):
        told = model.train_on_batch(x, y, return_dict=True)
        logs.append([told["accuracy"], told["loss"]])
        if number == 1:
            model.reset_metrics()
    with open(directory / "batches", "wb") as file:
        file.write(np.int64(len(BATCHES)).tobytes())
        for x, y in BATCHES:
            file.write(np.int64(len(x)).tobytes() + x.tobytes() + y.tobytes())
    scores = model.predict(BATCHES[-1][0], verbose=0)
    config._forget()
    return library, project, np.array(logs, np.float32), scores, values_of(model)


def bind(library, name):
    """The functions of a training library that take and return pointers, as Python can call them."""
    class Variable(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_char_p), ("rank", ctypes.c_int32), ("dims", ctypes.POINTER(ctypes.c_int64)),
                    ("bytes", ctypes.c_int64), ("trainable", ctypes.c_int32)]

    lib = ctypes.CDLL(str(library))
    types = {"create": ctypes.c_void_p, "error": ctypes.c_char_p, "variable_data": ctypes.c_void_p, "variable_info": ctypes.POINTER(Variable),
             "log_name": ctypes.c_char_p}

    class Functions:
        def __getattr__(self, function):
            found = getattr(lib, f"{name}_{function}")
            found.restype = types.get(function, ctypes.c_int)
            return lambda *arguments: found(*map(self._converted, arguments))

        @staticmethod
        def _converted(value):
            if isinstance(value, np.ndarray):
                assert value.flags.c_contiguous
                return ctypes.c_void_p(value.ctypes.data)
            return ctypes.c_int64(value) if isinstance(value, int) and abs(value) < 2**31 else ctypes.c_void_p(value)

        def array(self, context, number):
            """The variable's memory as an array."""
            info = self.variable_info(number).contents
            memory = (ctypes.c_uint8 * info.bytes).from_address(self.variable_data(context, number))
            return np.frombuffer(memory, info.dtype.decode()).reshape([info.dims[i] for i in range(info.rank)])

        def arrays(self, context):
            return {self.variable_info(i).contents.name.decode(): self.array(context, i) for i in range(self.variable_count())}

    return Functions()


def check_output(path, exported, functions):
    """What the program has written is what Python came to."""
    _, _, logs, scores, variables = exported
    data = path.read_bytes()
    took = np.frombuffer(data, np.float32, logs.size).reshape(logs.shape)
    np.testing.assert_allclose(took, logs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.frombuffer(data, np.float32, scores.size, logs.nbytes).reshape(scores.shape), scores, rtol=1e-5, atol=1e-6)
    at, seen = logs.nbytes + scores.nbytes, set()
    for number in range(functions.variable_count()):
        info = functions.variable_info(number).contents
        name, shape = info.name.decode(), tuple(info.dims[i] for i in range(info.rank))
        found = np.frombuffer(data, info.dtype.decode(), int(np.prod(shape)), at).reshape(shape)
        np.testing.assert_allclose(found, variables[name], rtol=1e-5, atol=1e-6, err_msg=name)
        at, seen = at + info.bytes, seen | {name}
    assert at == len(data) and seen == set(variables)


# -- from C -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", COMPILERS)
def test_five_steps_in_c_and_in_python(exported, tmp_path, command):
    library = exported[0]
    program = tmp_path / "program"
    run(command, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-DCOUNT", f"-I{library.parent}", PROGRAM, library, f"-Wl,-rpath,{library.parent}", "-o", program)
    assert run(program, library.parent / "batches", tmp_path / "out") == "done\n"
    check_output(tmp_path / "out", exported, bind(library, "net"))


@pytest.mark.parametrize("command", COMPILERS)
def test_clean_under_sanitizers(exported, tmp_path, command):
    """Kernels with those of gcc alone: clang takes minutes for the large ones."""
    library, project = exported[:2]
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    if not sanitizers_work(command, tmp_path, flags):
        pytest.skip(f"{command} has no sanitizers here")
    environment = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "CC", "MAKEFLAGS")}
    make = ("make", "-s", "-C", project, f"CC={command}", "net.a")
    run(*make, "-B", f"CFLAGS=-O1 -g {' '.join(flags if command == 'gcc' else ())}", env=environment)
    if command != "gcc":
        for name in ("net", "net_step_model", "net_predict_model"):
            (project / f"{name}.o").unlink()
        run(*make, f"CFLAGS=-O1 -g {' '.join(flags)}", env=environment)
    program = tmp_path / "program"
    run(command, "-std=c99", "-g", *flags, f"-I{project}", PROGRAM, project / "net.a", "-lgomp", "-lm", "-lpthread", "-o", program)
    assert run(program, library.parent / "batches", tmp_path / "out") == "done\n"
    check_output(tmp_path / "out", exported, bind(library, "net"))


def test_names(exported):
    compiler("nm")
    defined = {line.split()[-1] for line in run("nm", "-D", "--defined-only", exported[0]).splitlines()}
    assert defined == {f"net_{f}" for f in ("create", "step", "predict", "reset_metrics", "log_name", "variable_count", "variable_info", "variable_data",
                                            "find_variable", "error", "destroy")}


def test_is_no_model_to_load(exported):
    with pytest.raises(LibraryError, match="not a model"):
        dlcompile.load(exported[0])


@pytest.mark.parametrize("command, standard, suffix", [("gcc", "c99", ".c"), ("g++", "c++11", ".cc"), ("clang", "c99", ".c"), ("clang++", "c++11", ".cc")])
def test_headers_compile_without_a_warning(exported, two_heads, tmp_path, command, standard, suffix):
    compiler(command)
    source = tmp_path / f"both{suffix}"
    source.write_text('#include "net.h"\n#include "two.h"\n#include "net.h"\nint main(void) { return net_variable_count() + two_variable_count() == 0; }\n')
    libraries = (exported[0], two_heads[1])
    run(command, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *(f"-I{p.parent}" for p in libraries), source, *libraries,
        *(f"-Wl,-rpath,{p.parent}" for p in libraries), "-o", tmp_path / "both")
    run(tmp_path / "both")


# -- bad arguments ------------------------------------------------------------------------------------------------------------
def test_what_is_refused_changes_nothing(exported):
    net = bind(exported[0], "net")
    context = net.create(None)
    before = {name: array.copy() for name, array in net.arrays(context).items()}
    x, y = BATCHES[0]
    logs, scores = np.zeros(2, np.float32), np.zeros((16, 5), np.float32)
    for label in (5, -1, 2**40):
        wrong = y.copy()
        wrong[3] = label
        assert net.step(context, 16, x, wrong, logs) == ARGUMENT
        assert f"y has whole numbers from 0 to 4; y[3] is {label:g}" in net.error(context).decode()
    assert net.step(context, 0, x, y, logs) == ARGUMENT and b"at least 1" in net.error(context)
    assert net.step(context, -5, x, y, logs) == ARGUMENT
    assert net.step(context, 16, None, y, logs) == ARGUMENT and b"the pointer for x is null" in net.error(context)
    assert net.step(context, 16, x, None, logs) == ARGUMENT
    assert net.predict(context, 16, x, None) == ARGUMENT and net.predict(context, -1, x, scores) == ARGUMENT
    assert net.predict(context, 0, None, None) == OK
    assert net.step(None, 16, x, y, logs) == net.predict(None, 16, x, scores) == net.reset_metrics(None) == ARGUMENT
    assert not logs.any() and not scores.any()
    for name, array in net.arrays(context).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert net.step(context, 16, x, y, None) == OK  # nobody has to take the logs
    net.destroy(context)
    options = np.array([-3], np.int32)
    assert net.create(options) is None and b"threads" in net.error(None)


def test_variables_are_found_and_written(exported):
    net = bind(exported[0], "net")
    assert net.find_variable(ctypes.cast(b"sequential/nowhere\0", ctypes.c_void_p).value) == -1
    names = [net.variable_info(i).contents.name for i in range(net.variable_count())]
    for number, name in enumerate(names):
        assert net.find_variable(ctypes.cast(name, ctypes.c_void_p).value) == number
    for number in (-1, net.variable_count()):
        assert not net.variable_info(number) and net.variable_data(None, number) is None and net.log_name(number) is None
    assert [net.log_name(i) for i in range(2)] == [b"accuracy", b"loss"]
    trainable = {n for i, n in enumerate(names) if net.variable_info(i).contents.trainable}
    assert {n.decode().split("/", 1)[1] for n in trainable} == {"hidden/kernel", "hidden/bias", "norm/gamma", "norm/beta", "scores/kernel",
                                                               "scores/bias"}
    first, second = net.create(None), net.create(None)
    arrays, untouched = net.arrays(first), {name: array.copy() for name, array in net.arrays(second).items()}
    arrays["adam/learning_rate"][...] = 0
    assert net.step(first, 16, *BATCHES[0], None) == OK
    assert arrays["adam/iteration"] == 1 and arrays["loss/count"] == 16
    for name in trainable:
        np.testing.assert_array_equal(arrays[name.decode()], untouched[name.decode()])
    for name, array in net.arrays(second).items():  # contexts have variables of their own
        np.testing.assert_array_equal(array, untouched[name])
    net.destroy(first), net.destroy(second)


# -- against NumPy ------------------------------------------------------------------------------------------------------------
def test_a_line_by_gradient_descent(tmp_path):
    """A step of a known size, the weights of samples, and labels that are floats."""
    model = Sequential([layers.Input((3,)), layers.Dense(1, kernel_initializer="zeros", name="line")])
    model.compile(optimizers.SGD(0.1), losses.MeanSquaredError())
    x, y, weights = RNG.normal(size=(4, 8, 3)), RNG.normal(size=(4, 8, 1)), RNG.uniform(0.5, 2, (4, 8))
    library = model.export_training(tmp_path / "line.so", batch=8, like=(x[0], y[0], weights[0]))
    assert "int line_step(line *context, const float *x, const float *y, const float *sample_weight, float *logs);" in library.with_suffix(".h").read_text()
    lib = bind(library, "line")
    context, w, b = lib.create(None), np.zeros((3, 1)), 0.0
    for i in range(4):
        assert lib.step(context, *(a[i].astype(np.float32) for a in (x, y, weights)), None) == OK
        slope = 2 * weights[i][:, None] * (x[i] @ w + b - y[i]) / 8
        w, b = w - 0.1 * x[i].T @ slope, b - 0.1 * slope.sum()
    arrays = lib.arrays(context)
    np.testing.assert_allclose(arrays[model.layers[0].kernel.path], w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(arrays[model.layers[0].bias.path], [b], rtol=1e-4, atol=1e-6)
    for i in range(4):
        model.train_on_batch(*(a[i].astype(np.float32) for a in (x, y, weights)))
    assert {name: array.tobytes() for name, array in arrays.items()} == {name: array.tobytes() for name, array in values_of(model).items()}
    found = np.empty((5, 1), np.float32)
    assert lib.predict(context, 5, x[0][:5].astype(np.float32), found) == OK  # of any number of samples, though a step is not
    np.testing.assert_allclose(found, x[0][:5] @ w + b, rtol=1e-4, atol=1e-6)
    lib.destroy(context)


# -- several inputs and outputs -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def two_heads(tmp_path_factory):
    """A table, a loss for integers and one for numbers, and names that C does not take."""
    set_random_seed(5)
    words, more = layers.Input((3,), dtype="int32", name="int"), layers.Input((2,), name="context")
    both = layers.Concatenate()([layers.Flatten()(layers.Embedding(7, 2)(words)), more])
    kind = layers.Dense(4, name='"kind"; \\ ?? größe')(both)
    model = Model([words, more], [kind, layers.Dense(1, name="double")(both)])
    model.compile("sgd", {kind_name(model): losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1), "double": "mse"})
    return model, model.export_training(tmp_path_factory.mktemp("two") / "two.so")


def kind_name(model):
    return model.output_names[0]


def test_two_inputs_and_two_outputs(two_heads, interpreted):
    model, library = two_heads
    two = bind(library, "two")
    context = two.create(None)
    words, more = RNG.integers(0, 7, (6, 3)).astype(np.int32), RNG.normal(size=(6, 2)).astype(np.float32)
    kinds, numbers = RNG.integers(0, 4, 6), RNG.normal(size=(6, 1)).astype(np.float32)
    kinds[2] = -1  # ignored
    header = library.with_suffix(".h").read_text()
    assert "whole numbers from 0 to 3, or -1" in header and "whole numbers from 0 to 6" in header
    step = next(line for line in header.splitlines() if line.startswith("int two_step"))
    labels = [kinds, numbers] if step.index("int64_t *y") < step.index("float *y") else [numbers, kinds]
    logs = np.empty(3, np.float32)
    assert [two.log_name(i).decode() for i in range(3)] == sorted([f"{kind_name(model)}_loss", "double_loss", "loss"])
    for _ in range(3):
        assert two.step(context, 6, words, more, *labels, logs) == OK, two.error(context)
        told = model.train_on_batch([words, more], {kind_name(model): kinds, "double": numbers}, return_dict=True)
        np.testing.assert_allclose(logs, [told[name] for name in sorted(told)], rtol=1e-5)
    wrong = words.copy()
    wrong[1, 1] = 7
    assert two.step(context, 6, wrong, more, *labels, logs) == ARGUMENT and b"x_0[4] is 7" in two.error(context)
    found = np.empty((6, 4), np.float32), np.empty((6, 1), np.float32)
    assert two.predict(context, 6, wrong, more, *found) == ARGUMENT
    assert two.predict(context, 6, words, more, *found) == OK
    for array, expected in zip(found, model.predict([words, more], verbose=0)):
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6)
    two.destroy(context)


# -- what cannot be exported --------------------------------------------------------------------------------------------------
class Halves(Model):
    """A training step that needs to know the number of samples."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data[:2]
        half = int(x.shape[0]) // 2
        error = ops.reduce_mean(ops.square(self(x[:half]) - y[half:]))
        self.optimizer.apply(dlcompile.gradients(error, self.trainable_variables), self.trainable_variables)
        return {"error": error}


def test_a_step_for_one_number_of_samples(tmp_path):
    model = Halves()
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="not been called or built"):
        model.export_training(tmp_path / "halves.so")
    model.build((None, 2))
    with pytest.raises(ArgumentError, match="batch= gives one"):
        training_project(model)
    header = training_project(model, 8, "halves").header
    assert "halves_step(halves *context, const float *x, const float *y, float *logs);" in header and "batches of 8 samples" in header
    assert "halves_LOG_error = 0" in header


class EachLoss(Model):
    """A training step that tells the loss of each sample."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data[:2]
        each = ops.reduce_sum(ops.square(self(x) - y), (1,))
        self.optimizer.apply(dlcompile.gradients(ops.reduce_mean(each), self.trainable_variables), self.trainable_variables)
        return {"each": each, "whole": {"mean loss": ops.reduce_mean(each)}}


def test_logs_that_are_arrays(tmp_path):
    model = EachLoss()
    model.compile("sgd", "mse")
    model.build((None, 2))
    with pytest.raises(ArgumentError, match="log each is .* whose size is not known"):
        training_project(model)
    library = model.export_training(tmp_path / "each.so", 6)
    header = library.with_suffix(".h").read_text()
    assert "each_LOG_each = 0, /* 6 numbers from here on */" in header and 'each_LOG_whole_mean_loss = 6, /* "whole_mean loss" */' in header
    assert "each_LOG_COUNT = 7" in header
    each = bind(library, "each")
    context, x, y, logs = each.create(None), RNG.normal(size=(6, 2)).astype(np.float32), np.ones((6, 1), np.float32), np.empty(7, np.float32)
    assert each.step(context, x, y, logs) == OK
    expected = ((x @ model.dense.kernel.numpy() - 1) ** 2)[:, 0]
    np.testing.assert_allclose(logs, [*expected, expected.mean()], rtol=1e-5)
    assert [each.log_name(i) for i in (0, 5, 6)] == [b"each", b"each", b"whole_mean loss"]
    each.destroy(context)


def test_bad_arguments(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(ArgumentError, match="comes before export_training"):
        model.export_training(tmp_path / "a.so")
    model.compile("sgd", "ce")
    with pytest.raises(ArgumentError, match="labels of several forms"):
        training_project(model)
    model.compile("sgd", "mse")
    for batch in (0, True, 2.0):
        with pytest.raises(ArgumentError, match="positive integer"):
            training_project(model, batch)
    with pytest.raises(ArgumentError, match="prefix of C functions"):
        training_project(model, name="not a name")
    with pytest.raises(ArgumentError, match="different numbers of samples"):
        training_project(model, like=(np.zeros((2, 3)), np.zeros((3, 2))))
    with pytest.raises(ArgumentError, match="like is a tuple"):
        training_project(model, like=np.zeros((2, 3)))
    sequences = Sequential([layers.Input((None, 3)), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    sequences.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="sizes but the number of samples"):
        training_project(sequences)
