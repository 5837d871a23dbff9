"""Control flow: graphs in attributes become ONNX's nested graphs."""
from __future__ import annotations

import numpy as np
from onnx import GraphProto, TensorProto, helper

from dlcompile.frontends.onnx.writer import Writer, exporter, onnx_type
from dlcompile.graph import Dim, Graph, Node, Tensor


def nested(writer: Writer, graph: Graph, names: list[str], inputs: list[Tensor]) -> GraphProto:
    """A graph written inside another: `inputs` get names of their own, the rest of its inputs are values `names` of the
    outer one."""
    inner = Writer(graph, writer.opset, writer)
    formal = []
    for tensor in inputs:
        inner.names[tensor] = name = writer.fresh(tensor.name or "input")
        formal.append(helper.make_tensor_value_info(name, onnx_type(tensor.dtype), _loose(tensor)))
    rest = [tensor for tensor in graph.inputs if tensor not in inputs]
    inner.names.update(zip(rest, names, strict=True))
    inner.write(graph)
    outputs = []
    for tensor in graph.outputs:  # each by a name of its own, made inside
        name = inner.emit("Identity", [inner.find(tensor)])
        outputs.append(helper.make_tensor_value_info(name, onnx_type(tensor.dtype), _loose(tensor)))
    return helper.make_graph(inner.nodes, graph.name or "body", formal, outputs)


def _loose(tensor: Tensor) -> list[int | None]:
    """A shape with symbolic dimensions left open: names mean nothing in a nested graph."""
    return [None if isinstance(d, Dim) else d for d in tensor.shape]


@exporter("scan")
def scan(writer: Writer, node: Node, *names: str) -> list[str]:
    a = node.attributes
    body, carries, scanned = a["body"], a["num_carry"], a["num_scanned"]
    count = carries + scanned
    graph = nested(writer, body, list(names[count:]), list(body.inputs[:count]))
    outputs, flip = len(node.outputs), int(a["reverse"])
    return writer.emit(
        "Scan",
        names[:count],
        outputs,
        body=graph,
        num_scan_inputs=scanned,
        scan_input_directions=[flip] * scanned,
        scan_output_directions=[flip] * (outputs - carries) if outputs > carries else None,
    )


@exporter("cond")
def cond(writer: Writer, node: Node, predicate: str, *operands: str) -> list[str]:
    branches = {
        name: nested(writer, node.attributes[name], list(operands), []) for name in ("then_branch", "else_branch")
    }
    return writer.emit("If", [predicate], len(node.outputs), **branches)


@exporter("while")
def while_(writer: Writer, node: Node, *names: str) -> list[str]:
    """Loop asks for the condition after each turn; a first one is computed in front of it. The number of turns is the length of a stack."""
    a = node.attributes
    count, condition, body = a["num_carry"], a["condition"], a["body"]
    first = writer.emit("If", [writer.constant(np.True_)], 1, then_branch=nested(writer, condition, list(names), []),
                        else_branch=nested(writer, condition, list(names), []))
    inner = Writer(body, writer.opset, writer)
    step, going = writer.fresh("step"), writer.fresh("going")
    formal = [
        helper.make_tensor_value_info(step, TensorProto.INT64, []),
        helper.make_tensor_value_info(going, TensorProto.BOOL, []),
    ]
    states = []
    for tensor in body.inputs[:count]:
        states.append(writer.fresh(tensor.name or "carry"))
        formal.append(helper.make_tensor_value_info(states[-1], onnx_type(tensor.dtype), _loose(tensor)))
    inner.names.update(zip(body.inputs, (*states, *names[count:]), strict=True))
    inner.write(body)
    after = [inner.emit("Identity", [inner.find(t)]) for t in body.outputs[:count]]
    # numbers are stacked as vectors of one, which all runtimes stack alike: the onnx reference evaluator makes a matrix of numbers
    flat, numbers = writer.vector([-1]), {i for i, t in enumerate(body.outputs) if i >= count and t.rank == 0}
    after += [inner.emit("Reshape", [inner.find(t), flat]) if i in numbers else inner.emit("Identity", [inner.find(t)])
              for i, t in enumerate(body.outputs) if i >= count]
    # the next condition is asked of the next carries, whose dimensions are others than those of the body's inputs
    asked = Writer(condition, writer.opset, inner)
    asked.nodes = inner.nodes
    asked.names.update(zip(condition.inputs, (*after[:count], *names[count:]), strict=True))
    asked.write(condition)
    proceed = asked.emit("Identity", [asked.find(condition.outputs[0])])
    outputs = [helper.make_tensor_value_info(proceed, TensorProto.BOOL, [])]
    outputs += [helper.make_tensor_value_info(n, onnx_type(t.dtype), [1] if i in numbers else _loose(t))
                for i, (n, t) in enumerate(zip(after, body.outputs))]
    outputs.append(helper.make_tensor_value_info(inner.emit("Identity", [step]), TensorProto.INT64, []))
    graph = helper.make_graph(inner.nodes, "body", formal, outputs)
    *made, steps = writer.emit("Loop", ["", *first, *names[:count]], len(body.outputs) + 1, body=graph)
    made = [writer.emit("Reshape", [name, flat]) if i in numbers else name for i, name in enumerate(made)]
    return [*made, writer.emit("Size", [steps])]
