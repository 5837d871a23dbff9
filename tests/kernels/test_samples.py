"""The beginning of a model computed sample by sample: the same values, in any number of threads, and only where it pays."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.codegen import generate
from dlcompile.graph import Graph, Tensor, make_input, symbol
from dlcompile.kernels import samples
from dlcompile.kernels.prepare import prepare
from dlcompile.kernels.samples import split_samples
from dlcompile.kernels.schedule import schedule
from dlcompile.kernels.steps import Loop
from dlcompile.kernels.target import TARGETS, Target
from dlcompile.operators import evaluate
from dlcompile.runtime import load
from dlcompile.toolchain import build
from tests.kernels.build import RUNNABLE, close

RNG = np.random.default_rng(7)
TARGET = TARGETS["x86-64-v3"]


def weights(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)


def convolution(x: Tensor, out: int, kernel: int = 3, strides: int = 1, groups: int = 1) -> Tensor:
    pads = [(kernel // 2, kernel // 2)] * 2
    return ops.conv_general(x, weights(kernel, kernel, x.shape[-1] // groups, out), padding=pads, strides=(strides, strides), groups=groups,
                            layout="channels_last")


def network(count, size: int = 12, channels: int = 8) -> Graph:
    """Everything that a convolutional network is made of, and an end for all samples together."""
    x = make_input("x", np.float32, (count, 3, size, size))
    h = ops.maximum(0.0, ops.add(convolution(ops.transpose(x, (0, 2, 3, 1)), channels), weights(channels)))
    low = ops.reduce_window(h, kind="max", window=(1, 2, 2, 1), strides=(1, 2, 2, 1), padding=((0, 0),) * 4)
    low = ops.maximum(0.0, convolution(low, channels, groups=channels))
    scale = ops.tanh(ops.matmul(ops.reduce_mean(low, (1, 2)), weights(channels, channels)))
    low = ops.mul(low, ops.reshape(scale, (count, 1, 1, channels)))
    joined = ops.concatenate([low, convolution(h, 5, strides=2)], axis=3)
    return Graph("network", [x], [joined, ops.sub(ops.reduce_mean(joined, (1, 2)), ops.reduce_mean(joined, (0, 1, 2), keepdims=False))],
                 output_names=["joined", "centred"])


def loops(graph: Graph, target: Target = TARGET) -> list[Loop]:
    return [s for s in schedule(graph, target).steps if isinstance(s, Loop)]


@pytest.fixture
def everything(monkeypatch):
    """All that can be computed sample by sample is, whatever it costs."""
    monkeypatch.setattr(samples, "_best_length", lambda graph, *_: len(graph.nodes))


N = 4
X = make_input("x", np.float32, (N, 6, 5))
IMAGE = make_input("image", np.float32, (N, 6, 5, 3))
APART = {
    "elementwise": lambda x, _: ops.add(ops.mul(x, 2.0), weights(6, 5)),
    "with one row for all": lambda x, _: ops.sub(x, weights(1, 6, 5)),
    "where": lambda x, _: ops.select(ops.lt(x, 0.0), x, ops.exp(x)),
    "product": lambda x, _: ops.matmul(x, weights(5, 7)),
    "product of both": lambda x, _: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
    "reduction": lambda x, _: ops.div(x, ops.reduce_sum(ops.exp(x), (1,), keepdims=True)),
    "reshaped": lambda x, _: ops.reshape(x, (N, 30)),
    "sliced": lambda x, _: ops.slice(x, (0, 1, 0), (N, 6, 4), (1, 2, 1)),
    "reversed": lambda x, _: ops.reverse(x, (2,)),
    "broadcast": lambda x, _: ops.broadcast_to(ops.reshape(x, (N, 6, 1, 5)), (N, 6, 2, 5)),
    "padded": lambda x, _: ops.pad(x, np.float32(3), (0, 1, 0), (0, 0, 2)),
    "joined": lambda x, _: ops.concatenate([x, ops.exp(x)], axis=1),
    "window": lambda _, y: ops.reduce_window(y, kind="sum", window=(1, 3, 2, 1), strides=(1, 1, 2, 1), padding=((0, 0), (1, 1), (0, 1), (0, 0))),
    "convolution": lambda _, y: convolution(y, 4),
}
TOGETHER = {
    "rows of their own": lambda x, _: ops.add(x, weights(N, 6, 5)),
    "reduced": lambda x, _: ops.reduce_max(x, (0,), keepdims=True),
    "moved": lambda x, _: ops.transpose(x, (1, 0, 2)),
    "merged": lambda x, _: ops.reshape(x, (N * 6, 5)),
    "split": lambda x, _: ops.reshape(x, (2, 2, 6, 5)),
    "some of them": lambda x, _: ops.slice(x, (0, 0, 0), (2, 6, 5), (1, 1, 1)),
    "the other way round": lambda x, _: ops.reverse(x, (0,)),
    "padded": lambda x, _: ops.pad(x, np.float32(0), (1, 0, 0), (0, 0, 0)),
    "joined": lambda x, _: ops.concatenate([x, x], axis=0),
    "product with all": lambda x, _: ops.dot_general(x, x, contracting=((0,), (0,)), batch=((), ())),
    "window over neighbours": lambda x, _: ops.reduce_window(x, kind="max", window=(2, 1, 1), strides=(1, 1, 1), padding=((0, 1), (0, 0), (0, 0))),
}


@pytest.mark.parametrize("name", APART)
def test_what_is_computed_sample_by_sample_is_the_same(name, everything):
    graph = Graph("g", [X, IMAGE], [APART[name](X, IMAGE)])
    split = split_samples(prepare(graph, TARGET), TARGET)
    (scan,) = (n for n in split.nodes if n.op == "scan")
    assert {n.op for n in split.nodes} <= {"scan", "reshape"} and scan.attributes["length"] == N
    arrays = [RNG.standard_normal(t.shape).astype(np.float32) for t in (X, IMAGE)]
    close(evaluate(split, arrays)[0], evaluate(graph, arrays)[0], 1e-6, name)


@pytest.mark.parametrize("name", TOGETHER)
def test_where_samples_meet_they_stay_together(name, everything):
    graph = Graph("g", [X, IMAGE], [TOGETHER[name](X, IMAGE)])
    assert all(n.op != "scan" for n in split_samples(graph, TARGET).nodes)


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda t: t.name)
@pytest.mark.parametrize("count", [2, 3, 5, symbol("batch")], ids=str)
def test_threads_share_whole_samples_and_what_is_left_over(count, target, everything, tmp_path):
    graph = network(count, 40)
    program = schedule(graph, target)
    (loop,) = (s for s in program.steps if isinstance(s, Loop))
    assert loop.private
    library = build(generate(program, target), tmp_path / "network.so")
    for n in ([count] if isinstance(count, int) else [1, 2, 7, 4, 0]):
        x = RNG.standard_normal((n, 3, 40, 40)).astype(np.float32)
        for threads in (1, 2, 3, 4):
            got = load(library, threads=threads).run({"x": x})
            with np.errstate(all="ignore"):
                expected = evaluate(graph, [x])
            for name, array in zip(graph.output_names, expected):
                close(got[name], array, 3e-5, f"{name}, {n} samples, {threads} threads")


def test_small_weights_and_large_activations_are_worth_it():
    (loop,) = loops(network(8, 96, 32))
    assert loop.length == 8 and loop.private is not None and len(loop.body) >= 8


def test_large_weights_and_small_activations_are_not():
    x = make_input("x", np.float32, (256, 784))
    hidden = ops.maximum(0.0, ops.matmul(x, weights(784, 512)))
    assert not loops(Graph("dense", [x], [ops.matmul(hidden, weights(512, 10))]))
    assert not loops(network(8, 8, 16)), "everything stays in the cache anyway"
    assert not loops(network(1, 96, 32)), "a single sample"


def test_the_work_of_all_turns_is_counted():
    several, one = (sum(c.flops for c in schedule(network(n, 96, 32), TARGET).calls) for n in (8, 1))
    assert several == pytest.approx(8 * one, rel=0.01)


def test_nothing_carried_means_whole_turns_in_any_scan():
    """What the ONNX operator Scan says without states, say."""
    row = make_input("row", np.float32, (64, 64))
    body = Graph("body", [row], [ops.matmul(row, weights(64, 64))])
    x = make_input("x", np.float32, (5, 64, 64))
    stacked, = ops.scan(body, x, num_carry=0, num_scanned=1, length=5, reverse=True)
    (loop,) = loops(Graph("g", [x], [ops.exp(stacked)]))
    assert loop.private is not None and loop.reverse
