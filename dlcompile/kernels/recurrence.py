"""The recurrence form: LSTM, GRU and RNN, the input products of all steps at once and the recurrent ones in a kernel that keeps its weights.

`split_recurrent` (graph → graph, once the machine is known) turns a recurrent composite into a product of matrices, which the contraction
form compiles, and a *sequence* operator, which runs the steps:

    y, h, c = lstm(x, w, r, b)  →  y, h, c = lstm_sequence(x·W + b, R, …)

W and R are w and r packed for the kernel (csrc/dlc_recurrent.h): hidden units in blocks of a vector's lanes, the gates of a block side by
side, R's in panels of as many as a tile has. Both are functions of the weights alone, so they fold into constants.
"""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Graph, Node, Operator, Tensor, TensorType, apply, ceildiv, make_constant, register
from dlcompile.graph.graph import topological_order
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, finish
from dlcompile.kernels.ir import Address, Invoke, InvokeArgument, Number, Record
from dlcompile.kernels.target import Target
from dlcompile.operators.interpreter import evaluate_node
from dlcompile.operators.recurrent import GATES, gate_activations, optional_operands

STATES = {"rnn": 1, "gru": 1, "lstm": 2}


def split_recurrent(graph: Graph, target: Target) -> Graph:
    """Every float32 recurrent composite as a product and a sequence operator."""
    def replace(node: Node, inputs: tuple[Tensor, ...]):
        if node.op not in GATES or inputs[0].dtype != np.float32:
            return None
        return _split(node.op, node.attributes, inputs, target.lanes)

    return graph.rebuild(replace)


def _split(kind: str, attributes, inputs: tuple[Tensor, ...], lanes: int) -> tuple[Tensor, ...]:
    directions = 2 if attributes["direction"] == "bidirectional" else 1
    x, *rest = inputs
    w, r, *optional_inputs = (_of_directions(t, directions) if t.rank > 1 else t for t in rest)
    given = optional_operands(attributes, optional_inputs)
    gates, hidden = GATES[kind], r.shape[-1]
    padded = ceildiv(hidden, lanes) * lanes
    weights = _blocked(w, gates, lanes)  # [D, Hp/U, G, U, I]
    columns = directions * gates * padded
    product = ops.dot_general(x, _now(ops.transpose(ops.reshape(weights, (columns, w.shape[-1])), (1, 0))), contracting=((2,), (0,)))
    recurrent_bias = None
    if "b" in given:
        halves = [ops.slice(given["b"], (0, i * gates * hidden), (directions, (i + 1) * gates * hidden)) for i in range(2)]
        separate = kind == "gru" and attributes["linear_before_reset"]  # the recurrent bias of the candidate is inside the reset
        if separate:
            inside = np.zeros((gates * hidden,), np.float32)
            inside[2 * hidden:] = 1
            recurrent_bias = ops.mul(halves[1], inside)
            halves[1] = ops.sub(halves[1], recurrent_bias)
        bias = _now(ops.reshape(_blocked(ops.expand_dims(ops.add(*halves), 2), gates, lanes), (columns,)))
        product = ops.add(product, bias)
        if recurrent_bias is not None:
            recurrent_bias = _now(ops.reshape(_blocked(ops.expand_dims(recurrent_bias, 2), gates, lanes), (directions, gates * padded)))
    packed = _now(_in_panels(_blocked(r, gates, lanes), 3 if kind == "gru" and attributes["linear_before_reset"] else 2))
    optional = {"recurrent_bias": recurrent_bias, "sequence_lens": given.get("sequence_lens"), "initial_h": given.get("initial_h"),
                "initial_c": given.get("initial_c"), "p": given.get("p")}
    present = tuple(name for name, tensor in optional.items() if tensor is not None)
    activations = tuple(tuple(gate_activations(kind, attributes, d)) for d in range(directions))
    return apply(f"{kind}_sequence", product, packed, *(optional[n] for n in present), present=present, hidden=hidden, lanes=lanes,
                 direction=attributes["direction"], activations=activations, clip=attributes["clip"],
                 linear_before_reset=bool(attributes.get("linear_before_reset")), input_forget=bool(attributes.get("input_forget")))


def _of_directions(operand: Tensor, directions: int) -> Tensor:
    """An operand [D, ...] where D may be a symbolic dimension, which has been checked to be the number of directions."""
    return operand if operand.shape[0] == directions else ops.slice(operand, (0,) * operand.rank, (directions, *operand.shape[1:]))


def _blocked(w: Tensor, gates: int, lanes: int) -> Tensor:
    """[D, G*H, K] → [D, Hp/U, G, U, K], units padded with zeros to a multiple of U = lanes."""
    directions, rows, depth = w.shape
    hidden = rows // gates
    padded = ceildiv(hidden, lanes) * lanes
    y = ops.reshape(w, (directions, gates, hidden, depth))
    if padded != hidden:
        y = ops.pad(y, np.float32(0), (0, 0, 0, 0), (0, 0, padded - hidden, 0))
    y = ops.reshape(y, (directions, gates, padded // lanes, lanes, depth))
    return ops.transpose(y, (0, 2, 1, 3, 4))


def _in_panels(blocked: Tensor, width: int) -> Tensor:
    """[D, Hp/U, G, U, H] → [D, Hp/U, H, G*U]: the gates in panels of `width`, [H, gates of a panel, U] one panel after the other."""
    directions, blocks, gates, lanes, hidden = blocked.shape
    panels = []
    for gate in range(0, gates, width):
        end = min(gate + width, gates)
        part = ops.slice(blocked, (0, 0, gate, 0, 0), (directions, blocks, end, lanes, hidden))
        panels.append(ops.reshape(ops.transpose(part, (0, 1, 4, 2, 3)), (directions, blocks, hidden * (end - gate) * lanes)))
    return ops.reshape(ops.concatenate(panels, 2), (directions, blocks, hidden, gates * lanes))


def _now(tensor: Tensor) -> Tensor:
    """The tensor as a constant where it depends on constants only."""
    values: dict[Tensor, np.ndarray] = {}
    for node in topological_order((tensor,)):
        if any(t.producer is None and not t.is_constant for t in node.inputs):
            return tensor
        results = evaluate_node(node, *(t.value if t.is_constant else values[t] for t in node.inputs))
        values.update(zip(node.outputs, results))
    return make_constant(values[tensor]) if tensor in values else tensor


def _infer(kind: str):
    def infer(types, attributes):
        length, batch = types[0].shape[:2]
        directions = types[1].shape[0]
        state = TensorType(types[0].dtype, (directions, batch, attributes["hidden"]))
        return (TensorType(types[0].dtype, (length, directions, batch, attributes["hidden"])), *[state] * STATES[kind])

    return infer


for _kind in GATES:
    register(Operator(
        f"{_kind}_sequence", "control", infer=_infer(_kind), accuracy="sum", multiple_outputs=True,
        flops=lambda i, o, a: 2 * o[0].size * i[1].shape[-2] * (i[1].shape[-1] // a["lanes"])))


# -- the kernel -------------------------------------------------------------------------------------------------------------
FIELDS = {"recurrent_bias": "recurrent_bias", "sequence_lens": "lengths", "initial_h": "initial_h", "initial_c": "initial_c", "p": "peepholes"}
"""optional operand → the field of `dlc_recurrence` that takes it"""


def lower_sequence(group: Group, context: Context) -> Lowered:
    """A call of the kernel library with everything it needs in one record; the team shares out the work itself."""
    (node,) = group.anchors
    attributes, (x, packed, *optional) = node.attributes, node.inputs
    kind = node.op.removesuffix("_sequence")
    parameters = Parameters()
    y, *last = node.outputs
    length, directions, batch, hidden = y.shape
    padded = ceildiv(hidden, attributes["lanes"]) * attributes["lanes"]

    def read(tensor: Tensor) -> Address:
        storage = context.stored(tensor)
        return Address(parameters.read(storage.argument, tensor.dtype), storage.offset)

    def write(tensor: Tensor) -> Address:
        storage = context.stored(tensor)
        return Address(parameters.write(storage.argument, tensor.dtype), storage.offset)

    backwards = {"forward": "{0}", "reverse": "{1}", "bidirectional": "{0, 1}"}[attributes["direction"]]
    state = context.workspace(4 * 4 * directions * batch * padded)
    step, row, _ = context.stored(x).strides
    y_step, y_direction, y_row, _ = context.stored(y).strides
    fields: list[tuple[str, InvokeArgument]] = [
        ("T", length), ("N", batch), ("H", hidden), ("D", directions), ("reverse", backwards),
        ("activation", _activation_table(attributes["activations"])), ("clip", Number(attributes["clip"], np.dtype(np.float32))),
        ("linear_before_reset", int(attributes["linear_before_reset"])), ("input_forget", int(attributes["input_forget"])),
        ("x", read(x)), ("x_step", step), ("x_row", row), ("r", read(packed))]
    fields += [(FIELDS[name], read(tensor)) for name, tensor in zip(attributes["present"], optional, strict=True)]
    fields += [("y", write(y)), ("y_step", y_step), ("y_direction", y_direction), ("y_row", y_row)]
    fields += [(name, write(tensor)) for name, tensor in zip(("last_h", "last_c"), last)]
    workspace = parameters.write(state.argument, np.dtype(np.uint8))
    fields.append(("state", f"(float *){workspace}"))
    call = Invoke(f"dlc_{kind}_f32", ("team", Record("dlc_recurrence", tuple(fields))), "dlc_recurrent.h")
    return finish(parameters, (call,), "recurrence", True)


def _activation_table(activations) -> str:
    """C's initialiser of the activations: [direction][gate] of {kind, alpha, beta}."""
    def number(value: float) -> str:
        return f"{float(np.float32(value))!r}f"

    rows = ("{" + ", ".join(f"{{DLC_{name.upper()}, {number(alpha)}, {number(beta)}}}" for name, alpha, beta in gates) + "}" for gates in activations)
    return "{" + ", ".join(rows) + "}"
