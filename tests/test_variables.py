"""Variables in a trace: what is read and written, and that a derivative ends at what was assigned."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.graph import Graph
from dlcompile.operators import evaluate
from dlcompile.variables import Variable, tracing, untraced


def value(trace, *tensors):
    inputs = list(trace.read.values())
    graph = Graph("g", inputs, tensors, input_names=[f"i{i}" for i in range(len(inputs))], output_names=[f"o{i}" for i in range(len(tensors))])
    return evaluate(graph, [v.numpy() for v in trace.read])


def test_a_derivative_by_a_variable_ends_where_it_was_assigned():
    a, b = Variable(3.0), Variable(2.0)
    with tracing() as trace:
        a.assign(a * b)
        y = a * b  # a is 6 now
        by_a, by_b = gradients(y, [a, b])
    found = value(trace, y, by_a, by_b, trace.written[a])
    assert [float(v) for v in found] == [12, 2, 6, 6]


def test_without_a_trace():
    v = Variable(np.ones(2, np.float32))
    with tracing() as trace:
        with untraced():
            v.assign([2, 2])
        v.assign_add(ops.as_tensor(np.float32(1)) * v)
    assert v.numpy().tolist() == [2, 2] and value(trace, trace.written[v])[0].tolist() == [4, 4]
