"""Inputs and outputs that are sequences, optional values or maps: from and to the tensors that a graph has of them (see `frontends.onnx.interface`)."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, TypeProto, helper

from dlcompile.frontends.onnx.writer import Writer, onnx_type
from dlcompile.graph import Dim, Tensor

Port = Mapping[str, Any]


def type_of(port: Port, tensors: Mapping[str, Tensor]) -> TypeProto:
    """The ONNX type of a port made of the given tensors."""
    match port["kind"]:
        case "optional":
            return helper.make_optional_type_proto(type_of(port["value"], tensors))
        case "sequence":
            rank = tensors[port["shapes"]].shape[1]
            shape = None if isinstance(rank, Dim) else [None] * rank
            return helper.make_sequence_type_proto(helper.make_tensor_type_proto(onnx_type(tensors[port["data"]].dtype), shape))
        case "map":
            value = helper.make_tensor_type_proto(onnx_type(tensors[port["data"]].dtype), [])
            return helper.make_map_type_proto(onnx_type(tensors[port["index"]].dtype), value)
    tensor = tensors[port["tensor"]]
    if port["kind"] == "maps":
        value = helper.make_tensor_type_proto(onnx_type(tensor.dtype), [])
        key = TensorProto.STRING if isinstance(port["keys"][0], str) else TensorProto.INT64
        return helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    return helper.make_tensor_type_proto(onnx_type(tensor.dtype), [str(d) if isinstance(d, Dim) else d for d in tensor.shape])


def read_port(writer: Writer, port: Port, tensors: Mapping[str, Tensor]) -> onnx.ValueInfoProto:
    """Declare an input, and write what computes its tensors."""
    name = port["name"]
    writer.used.add(name)
    _read(writer, port, name, tensors)
    return helper.make_value_info(name, type_of(port, tensors))


def _read(writer: Writer, port: Port, name: str, tensors: Mapping[str, Tensor]) -> None:
    match port["kind"]:
        case "optional":
            present = writer.emit("OptionalHasElement", [name])
            writer.names[tensors[port["present"]]] = present
            _read(writer, port["value"], _or_nothing(writer, port["value"], name, present, tensors), tensors)
        case "sequence":
            data, shapes = tensors[port["data"]], tensors[port["shapes"]]
            flat = _mapped(writer, name, data.dtype, [-1], lambda w, x: x)
            rows = _mapped(writer, name, np.int64, [1, -1], lambda w, x: w.emit("Shape", [x]))
            flat = writer.emit("SequenceInsert", [flat, writer.constant(np.zeros(0, data.dtype))])  # so that it is not empty
            if not isinstance(shapes.shape[1], Dim):
                rows = writer.emit("SequenceInsert", [rows, writer.constant(np.zeros((0, shapes.shape[1]), np.int64))])
            writer.names[data] = writer.emit("ConcatFromSequence", [flat], axis=0)
            writer.names[shapes] = writer.emit("ConcatFromSequence", [rows], axis=0)
        case "map":
            keys, values = tensors[port["index"]], tensors[port["data"]]
            writer.maps[keys, values] = name
            writer.names[keys] = writer.names[values] = ""  # nothing but the operators on maps can read them
        case _:
            writer.names[tensors[port["tensor"]]] = name


def _mapped(writer: Writer, sequence: str, result, shape: list[int], function: Callable[[Writer, str], str]) -> str:
    """The sequence with a function applied to each item, and reshaped. (SequenceMap would say so in a word; the reference evaluator does not
    take it for empty sequences.)"""
    count = writer.emit("SequenceLength", [sequence])
    return _items(writer, count, result, lambda w, step: w.emit("Reshape", [function(w, w.emit("SequenceAt", [sequence, step])), w.vector(shape)]))


def _items(writer: Writer, count: str, dtype, make: Callable[[Writer, str], str]) -> str:
    """A sequence of `count` items, each made from its number."""
    inner = Writer(writer.graph, writer.opset, writer)
    step, going, before = (writer.fresh(n) for n in ("step", "going", "items"))
    after = inner.emit("SequenceInsert", [before, make(inner, step)])
    on = inner.emit("Identity", [going])
    code = onnx_type(dtype)
    items = helper.make_sequence_type_proto(helper.make_tensor_type_proto(code, None))
    body = helper.make_graph(
        inner.nodes, "items",
        [helper.make_tensor_value_info(step, TensorProto.INT64, []), helper.make_tensor_value_info(going, TensorProto.BOOL, []),
         helper.make_value_info(before, items)],
        [helper.make_tensor_value_info(on, TensorProto.BOOL, []), helper.make_value_info(after, items)])
    return writer.emit("Loop", [count, writer.constant(np.True_), writer.emit("SequenceEmpty", [], dtype=code)], body=body)


def _or_nothing(writer: Writer, port: Port, name: str, present: str, tensors: Mapping[str, Tensor]) -> str:
    """The value of an optional input, or what stands for one that is not there."""
    branches = []
    for there in (True, False):
        inner = Writer(writer.graph, writer.opset, writer)
        if there:
            made = inner.emit("OptionalGetElement", [name])
        elif port["kind"] == "sequence":
            made = inner.emit("SequenceEmpty", [], dtype=onnx_type(tensors[port["data"]].dtype))
        else:
            tensor = tensors[port["tensor"]]
            made = inner.emit("Identity", [inner.constant(np.zeros([0 if isinstance(d, Dim) else d for d in tensor.shape], tensor.dtype))])
        branches.append(helper.make_graph(inner.nodes, "there" if there else "absent", [], [helper.make_value_info(made, type_of(port, tensors))]))
    return writer.emit("If", [present], then_branch=branches[0], else_branch=branches[1])


def write_port(writer: Writer, port: Port, tensors: Mapping[str, Tensor]) -> onnx.ValueInfoProto:
    """Write an output made of the tensors computed for it, and declare it."""
    made = _written(writer, port, tensors)
    if port["kind"] == "maps":  # Identity does not take them
        writer.nodes[-1].output[0] = port["name"]
        return helper.make_value_info(port["name"], type_of(port, tensors))
    writer.nodes.append(helper.make_node("Identity", [made], [port["name"]], name=writer.fresh(f"{port['name']}_identity")))
    return helper.make_value_info(port["name"], type_of(port, tensors))


def _written(writer: Writer, port: Port, tensors: Mapping[str, Tensor]) -> str:
    match port["kind"]:
        case "optional":
            value = _written(writer, port["value"], tensors)
            type_ = type_of(port["value"], tensors)
            branches = []
            for there in (True, False):
                inner = Writer(writer.graph, writer.opset, writer)
                made = inner.emit("Optional", [value] if there else [], type=None if there else type_)
                branches.append(helper.make_graph(inner.nodes, "there" if there else "absent", [],
                                                  [helper.make_value_info(made, type_of(port, tensors))]))
            return writer.emit("If", [writer.find(tensors[port["present"]])], then_branch=branches[0], else_branch=branches[1])
        case "sequence":
            return _sequence(writer, tensors[port["data"]], tensors[port["shapes"]])
        case "maps":
            labels = {"classlabels_strings" if isinstance(port["keys"][0], str) else "classlabels_int64s": port["keys"]}
            return writer.emit("ZipMap", [writer.find(tensors[port["tensor"]])], domain="ai.onnx.ml", **labels)
    return writer.find(tensors[port["tensor"]])


def _sequence(writer: Writer, data: Tensor, shapes: Tensor) -> str:
    """Items cut out of the data one after the other."""
    rows, elements = writer.find(shapes), writer.find(data)
    sizes = writer.emit("ReduceProd", [rows, writer.vector([1])], keepdims=0)
    ends = writer.emit("CumSum", [sizes, writer.constant(np.int64(0))])
    starts = writer.emit("Sub", [ends, sizes])

    def item(inner: Writer, step: str) -> str:
        place = inner.emit("Reshape", [step, inner.vector([1])])
        first, last = (inner.emit("Gather", [x, place]) for x in (starts, ends))
        return inner.emit("Reshape", [inner.emit("Slice", [elements, first, last]), inner.emit("Gather", [rows, step])], allowzero=1)

    return _items(writer, writer.emit("Size", [sizes]), data.dtype, item)
