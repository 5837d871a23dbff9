"""All there is in a model, wherever it lies: every graph, node, attribute, tensor, type and name."""
from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

Body = GraphProto | FunctionProto
"""what has nodes"""


def bodies(model: onnx.ModelProto) -> list[Body]:
    """The graph, those inside it, and the functions."""
    found: list[Body] = []
    waiting: list[Body] = [model.graph, *model.functions]
    while waiting:
        body = waiting.pop()
        found.append(body)
        for node in body.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else attribute.graphs
    return found


def graphs(model: onnx.ModelProto) -> list[GraphProto]:
    """The graph and those inside it."""
    return [body for body in bodies(model) if isinstance(body, GraphProto)]


def nodes(model: onnx.ModelProto) -> list[NodeProto]:
    """The nodes of all bodies."""
    return [node for body in bodies(model) for node in body.node]


def attributes(model: onnx.ModelProto) -> list[AttributeProto]:
    """The attributes of all nodes."""
    return [attribute for node in nodes(model) for attribute in node.attribute]


def tensors(model: onnx.ModelProto) -> list[TensorProto]:
    """Initializers and the tensors in attributes."""
    found = [t for graph in graphs(model) for t in graph.initializer]
    for attribute in attributes(model):
        found += [attribute.t] if attribute.HasField("t") else attribute.tensors
        if attribute.HasField("sparse_tensor"):
            found += [attribute.sparse_tensor.values, attribute.sparse_tensor.indices]
    return found


def values(model: onnx.ModelProto) -> list[ValueInfoProto]:
    """What has a type: inputs, outputs, and what graphs say of values inside."""
    return [v for graph in graphs(model) for group in (graph.input, graph.output, graph.value_info) for v in group]


def tensor_types(model: onnx.ModelProto) -> Iterator[TypeProto.Tensor]:
    """The tensor types of values, those inside sequences and optionals too."""
    for value in values(model):
        type_ = value.type
        for _ in range(8):
            kind = type_.WhichOneof("value")
            if kind == "tensor_type":
                yield type_.tensor_type
            if kind not in ("sequence_type", "optional_type"):
                break
            type_ = getattr(type_, kind).elem_type


def names(body: Body) -> list[str]:
    """The values that nodes of a body can read."""
    inputs = list(body.input) if isinstance(body, FunctionProto) else [v.name for v in body.input]
    weights = [] if isinstance(body, FunctionProto) else [t.name for t in body.initializer]
    return [*inputs, *weights, *(name for node in body.node for name in node.output if name)]


def depth(model: onnx.ModelProto) -> int:
    """How many graphs lie inside one another."""
    level, count = [model.graph, *model.functions], 0
    while level:
        count += 1
        level = [g for body in level for node in body.node for a in node.attribute for g in ([a.g] if a.HasField("g") else a.graphs)]
    return count
