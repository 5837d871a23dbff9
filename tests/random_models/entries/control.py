"""Control flow, sequences and optional values."""
from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable, Value
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, ITERATED, SUM


def _info(name: str, value: Value):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)


def _step(b: Builder, names: list[str], result: str, prefix: str) -> list:
    """A few elementwise nodes that make `result` of what the names stand for, small where those are. All exact or sums: a difference inside
    the body would make more of another's error than the node as a whole is allowed."""
    nodes, last = [], b.choice(names)
    for i in range(b.integer(0, 2)):
        to = f"{prefix}_{i}"
        if b.chance(0.5):
            nodes.append(helper.make_node(b.choice(("Neg", "Abs", "Relu", "Identity")), [last], [to]))
        else:
            nodes.append(helper.make_node(b.choice(("Add", "Sub", "Max", "Min")), [last, b.choice(names)], [to]))
        last = to
    return [*nodes, helper.make_node("Identity", [last], [result])]


def _floats(b: Builder) -> Value:
    return b.pick((v.FLOAT32,), accept=lambda value: value.moderate)


@entry("If")
def if_(b: Builder, op: str) -> None:
    x = _floats(b)
    y = b.fresh(v.FLOAT32, x.shape, finite=True)
    condition = b.given(np.array(b.chance(0.5)), 0.2, reuse=False)
    names, out = [x.name, y.name], b.results()
    branches = {}
    for side in ("then_branch", "else_branch"):
        inner = f"{out[0]}_{side}"
        nodes = _step(b, names, f"{inner}_r", inner) if b.chance(0.7) else [helper.make_node("Transpose", [x.name], [f"{inner}_r"])]
        branches[side] = helper.make_graph(nodes, side, [], [_info(f"{inner}_r", x)])
    b.add_nodes([helper.make_node("If", [condition.name], out, **branches)], [condition, x, y], SUM)


@entry("Loop")
def loop(b: Builder, op: str) -> None:
    x = _floats(b)
    y = b.fresh(v.FLOAT32, x.shape, finite=True)
    trips = b.integer(0, 4)
    limit = b.given(np.array(trips, np.int64), 0.5, reuse=False) if b.chance(0.8) else None
    going = b.given(np.array(True), 0.5, reuse=False) if limit is None or b.chance(0.5) else None
    out = b.results(2)
    p = out[0]
    stop = b.constant(np.array(b.integer(0, 3), np.int64))
    nodes = [*_step(b, [f"{p}_state", y.name], f"{p}_next", f"{p}_s"), *_step(b, [f"{p}_state", f"{p}_next"], f"{p}_scan", f"{p}_t"),
             helper.make_node("Less", [f"{p}_i", stop.name], [f"{p}_more"])]
    body = helper.make_graph(nodes, "body", [
        helper.make_tensor_value_info(f"{p}_i", TensorProto.INT64, []), helper.make_tensor_value_info(f"{p}_going", TensorProto.BOOL, []),
        helper.make_tensor_value_info(f"{p}_state", TensorProto.FLOAT, x.shape)], [
        helper.make_tensor_value_info(f"{p}_more", TensorProto.BOOL, []), _info(f"{p}_next", x), helper.make_tensor_value_info(f"{p}_scan", TensorProto.FLOAT, x.shape)])
    if not x.array.size:
        raise Unsuitable("nothing")
    inputs = [limit, going, x]
    node = helper.make_node("Loop", [value.name if value else "" for value in inputs], out, body=body)
    b.add_nodes([node], [*inputs, y, stop], ITERATED)


@entry("Scan")
def scan(b: Builder, op: str) -> None:
    x = b.pick((v.FLOAT32,), low=1, high=3, accept=lambda value: value.moderate and value.array.size > 0)
    axis = b.integer(0, x.rank - 1)
    shape = tuple(e for i, e in enumerate(x.shape) if i != axis)
    state = b.fresh(v.FLOAT32, shape, finite=True)
    out = b.results(2)
    p = out[0]
    nodes = [*_step(b, [f"{p}_state", f"{p}_item"], f"{p}_next", f"{p}_s"), *_step(b, [f"{p}_state", f"{p}_next"], f"{p}_out", f"{p}_t")]
    body = helper.make_graph(nodes, "body", [helper.make_tensor_value_info(f"{p}_state", TensorProto.FLOAT, shape),
                                             helper.make_tensor_value_info(f"{p}_item", TensorProto.FLOAT, shape)],
                             [_info(f"{p}_next", x), _info(f"{p}_out", x)])
    given = {"scan_input_directions": [1]} if b.chance(0.3) else {}
    given |= {"scan_output_directions": [1]} if b.chance(0.3) else {}
    node = helper.make_node("Scan", [state.name, x.name], out, body=body, num_scan_inputs=1, scan_input_axes=[axis], **given)
    b.add_nodes([node], [state, x], ITERATED)


@entry("SequenceConstruct")
def sequence(b: Builder, op: str) -> None:
    """A sequence is put together and read again: what it holds are values, it is none."""
    x = b.pick(b.types("Transpose"), low=1, accept=lambda value: value.dtype != v.BFLOAT16)
    y = b.fresh(x.dtype, x.shape)
    items, (made, changed) = [x, y] + ([x] if b.chance(0.3) else []), b.results(2)
    nodes = [helper.make_node("SequenceConstruct", [i.name for i in items], [made])]
    count, name, inputs = len(items), made, [x, y]
    change = b.integer(0, 2)
    if change:
        place = b.constant(np.array(b.integer(-count, count - 1), np.int64))
        inputs.append(place)
        nodes.append(helper.make_node("SequenceInsert", [made, x.name, place.name], [changed]) if change == 1 else
                     helper.make_node("SequenceErase", [made, place.name], [changed]))
        count, name = count + (1 if change == 1 else -1), changed
    out, read = b.results(), b.integer(0, 2)
    if read == 0:
        at = b.constant(np.array(b.integer(-count, count - 1), np.int64))
        inputs.append(at)
        nodes.append(helper.make_node("SequenceAt", [name, at.name], out))
    elif read == 1:
        nodes.append(helper.make_node("SequenceLength", [name], out))
    else:
        new = b.integer(0, 1)
        nodes.append(helper.make_node("ConcatFromSequence", [name], out, axis=b.integer(-x.rank, x.rank - 1), new_axis=new))
    b.add_nodes(nodes, inputs, EXACT)


@entry("SplitToSequence")
def split_to_sequence(b: Builder, op: str) -> None:
    x = b.pick((v.FLOAT32, v.INT64), low=1, accept=lambda value: value.array.size > 0)
    axis = b.axis(x.rank)
    parts = b.results()[0]
    keep = {"keepdims": b.integer(0, 1)} if b.chance(0.5) else {}
    at = b.constant(np.array(b.choice((0, -1)), np.int64))
    b.add_nodes([helper.make_node("SplitToSequence", [x.name], [parts], axis=axis, **keep),
                 helper.make_node("SequenceAt", [parts, at.name], b.results())], [x, at], EXACT)


