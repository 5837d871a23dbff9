"""Memory of training: the arena is what lifetimes need, and nothing is allocated from step to step."""
from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import dlcompile as keras
from dlcompile import layers


def mlp():
    return [layers.Input((64,)), layers.Dense(256, activation="relu"), layers.Dense(128, activation="relu"), layers.Dense(10)]


def cnn():
    return [layers.Input((12, 12, 3)), layers.Conv2D(16, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.Activation("relu"),
            layers.MaxPooling2D(), layers.Conv2D(32, 3, padding="same", activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(10)]


def lstm():
    return [layers.Input((12, 8)), layers.LSTM(32), layers.Dense(10)]


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm}


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    """(model, batch) after a step."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(MODELS[request.param]())
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    batch = random.random((64, *model.input_shape[1:]), np.float32), random.integers(0, 10, 64)
    model.train_on_batch(*batch)
    return model, batch


def needed(model) -> int:
    """The most bytes that buffers of the training step, as it is scheduled, hold at one time."""
    (compiled,) = model.make_train_function()._compiled.values()
    traced = compiled.traced
    updates = dict(zip(traced.graph.output_names[len(traced.results):], (traced.input_names[v] for v in traced.written)))
    _, program, _ = keras.lower(traced.graph, updates=updates)
    changes = sorted({b.first for b in program.buffers})  # it is largest where one begins
    return max(sum(b.nbytes for b in program.buffers if b.first <= step <= b.last) for step in changes)


def test_the_arena_is_what_lifetimes_need(trained):
    model, _ = trained
    (compiled,) = model.make_train_function()._compiled.values()
    least = needed(model)
    assert least <= compiled.library.arena_bytes(threads=1) <= 1.1 * least
    assert model.memory_usage()["train"] == compiled.library.arena_bytes()


def test_nothing_is_allocated_after_the_first_steps(trained):
    """NumPy's arrays are traced: steps leave none behind, and none takes on its way the room of a single matrix of weights, of which the smallest that
    counts has 16 KiB."""
    model, batch = trained
    held = [*model.weights, *model.optimizer.variables]
    assert max(v._array.nbytes for v in held) >= 1 << 14
    for _ in range(3):
        model.train_on_batch(*batch)
    places = [v._array.ctypes.data for v in held]
    arrays, most = [], 0
    tracemalloc.start()
    seen = np.zeros(1000)  # what shows that arrays are traced
    try:
        for _ in range(20):
            model.train_on_batch(*batch)
            snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)])
            arrays.append(sum(trace.size for trace in snapshot.traces))
            del snapshot
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            model.train_on_batch(*batch)
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert len(set(arrays[1:])) == 1 and seen.nbytes <= arrays[-1] < seen.nbytes + (1 << 13)
    assert most < 1 << 13
    assert [v._array.ctypes.data for v in held] == places


def test_usage_by_what_it_is_for():
    model = keras.Sequential([layers.Input((8,)), layers.Dense(4), layers.BatchNormalization()])
    assert model.memory_usage() == {"variables": 4 * (8 * 4 + 4 + 4 * 4)}
    model.compile("adam", "mse")
    x, y = np.ones((6, 8), np.float32), np.ones((6, 4), np.float32)
    model.train_on_batch(x, y)
    usage = model.memory_usage()
    assert [*usage] == ["variables", "optimizer", "train"]
    assert usage["optimizer"] == 8 + 4 + 2 * 4 * (8 * 4 + 4 + 2 * 4)  # the count of steps, the rate, and two moments of what is trained
    for rows in (10, 40, 20):
        model.predict_on_batch(np.ones((rows, 8), np.float32))
    sizes = model.make_predict_function()._compiled.values()
    assert [c._most_samples for c in sizes] == [10, 40] and model.memory_usage()["predict"] == sum(c.arena_bytes for c in sizes)


def test_what_is_interpreted_has_no_arena(interpreted):
    model = keras.Sequential([layers.Input((8,)), layers.Dense(4)])
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((6, 8), np.float32), np.ones((6, 4), np.float32))
    assert model.memory_usage()["train"] == 0
