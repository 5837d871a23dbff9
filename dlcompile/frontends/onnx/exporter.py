"""From a `Graph` to an ONNX model."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

import dlcompile.frontends.onnx.exports  # noqa: F401  (fills the table of exporters)
from dlcompile.errors import ArgumentError
from dlcompile.frontends.onnx import whole
from dlcompile.frontends.onnx.exports.interface import read_port, write_port
from dlcompile.frontends.onnx.writer import Writer, onnx_type, tensor_proto, value_info
from dlcompile.graph import Graph, unknowns_beside

OLDEST_OPSET, DEFAULT_OPSET = 18, 23
IR_VERSION = 10  # of onnx 1.16: what its own opsets need no more than, and older runtimes take
OF_OPERATORS = {"bitcast": 26}
OF_TYPES = {"float8_e8m0fnu": 24, "int2": 25, "uint2": 25}
"""the opset that brought what ONNX did not have before"""
_INSIDE_LIMIT = 2**31 - 2**20  # bytes of weights in the file itself; protobuf ends at 2 GiB
_SMALLEST_OUTSIDE = 1024
_PAGE = 4096


def export_onnx(graph: Graph, path: str | os.PathLike | None = None, *, opset: int | None = None,
                external_data: bool | str | None = None) -> onnx.ModelProto:
    """`graph` as an ONNX model, which is returned and, where a path is given, written there.

    opset: 18 or newer; None: 23, or the first after it that has what the graph needs.
    Composites are written as the ONNX operators they are named after, as far as the opset has them, and decomposed
    otherwise. Names of inputs and outputs and symbolic dimensions (as `dim_param`) are kept.
    external_data: where the weights go: in the file (False), in a file beside it (True: `<path>.data`, or its name);
    None decides by the 2 GiB that one file can hold. Raises `UnsupportedOperatorError` for an operator that ONNX cannot
    express.
    """
    newest = onnx.defs.onnx_opset_version()
    opset = needed_opset(graph) if opset is None else opset
    if not OLDEST_OPSET <= opset <= newest:
        raise ArgumentError(f"opset {opset}; expected {OLDEST_OPSET} to {newest}")
    total = sum(t.value.nbytes for t in graph.constants)
    if external_data is None:
        external_data = total > _INSIDE_LIMIT
    if external_data and path is None:
        raise ArgumentError("weights beside the model need a path to write it to" + ("" if total <= _INSIDE_LIMIT else
                            f" (they are {total} bytes, more than one file can hold)"))
    writer = Writer(graph, opset)
    with unknowns_beside(graph):  # of composites that are written as what they are made of
        inputs = _declare_inputs(writer, graph)
        writer.write(graph)
        outputs = _declare_outputs(writer, graph)
    proto = helper.make_graph(writer.nodes, graph.name, inputs, outputs)
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", opset), *_other_imports(writer.domains)], producer_name="dlcompile", ir_version=_ir_version(opset)
    )
    if external_data:
        name = external_data if isinstance(external_data, str) else f"{Path(path).name}.data"
        _write_outside(model.graph, writer.initializers, Path(path), name)
    else:
        model.graph.initializer.extend(tensor_proto(key, array) for key, array in writer.initializers.items())
    if path is not None:
        _write(Path(path), model.SerializeToString())
    return model


def needed_opset(graph: Graph) -> int:
    """The first opset from DEFAULT_OPSET on that has the operators and the element types of a graph and of those inside of it."""
    needed = DEFAULT_OPSET
    for node in graph.nodes:
        types = [OF_TYPES.get(t.dtype.name, 0) for t in (*node.inputs, *node.outputs)]
        inner = [needed_opset(a) for a in node.attributes.values() if isinstance(a, Graph)]
        needed = max(needed, OF_OPERATORS.get(node.op, 0), whole.needed_opset(node), *types, *inner)
    return needed


def _other_imports(domains: Mapping[str, int]) -> list[onnx.OperatorSetIdProto]:
    return [helper.make_opsetid(domain, version) for domain, version in sorted(domains.items())]


def _ir_version(opset: int) -> int:
    """The lowest that the opset allows, and no lower than IR_VERSION."""
    return max(IR_VERSION, helper.find_min_ir_version_for([helper.make_opsetid("", opset)]))


def _declare_inputs(writer: Writer, graph: Graph) -> list[onnx.ValueInfoProto]:
    writer.used.update(graph.output_names)
    if graph.structure:
        tensors = dict(zip(graph.input_names, graph.inputs))
        return [read_port(writer, port, tensors) for port in graph.structure["inputs"]]
    infos = []
    for name, tensor in zip(graph.input_names, graph.inputs):
        writer.used.add(name)
        writer.names[tensor] = name
        infos.append(value_info(name, tensor))
    return infos


def _declare_outputs(writer: Writer, graph: Graph) -> list[onnx.ValueInfoProto]:
    """Give results the names of the outputs; an Identity where one is an input, a constant, or an output twice."""
    if graph.structure:
        tensors = dict(zip(graph.output_names, graph.outputs))
        return [write_port(writer, port, tensors) for port in graph.structure["outputs"]]
    made = {name for node in writer.nodes for name in node.output}
    renamed: dict[str, str] = {}
    for name, tensor in zip(graph.output_names, graph.outputs):
        inner = writer.find(tensor)
        if inner in made and inner not in renamed:
            renamed[inner] = name
        elif inner != name:
            writer.nodes.append(helper.make_node("Identity", [inner], [name], name=writer.fresh(f"{name}_identity")))
    _rename(writer.nodes, renamed)
    return [value_info(name, tensor) for name, tensor in zip(graph.output_names, graph.outputs)]


def _rename(nodes, renamed: dict[str, str]) -> None:
    for node in nodes:
        for values in (node.input, node.output):
            for position, value in enumerate(values):
                if value in renamed:
                    values[position] = renamed[value]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g.node, renamed)


# -- files -------------------------------------------------------------------------------------------------------------
def _write_outside(proto: onnx.GraphProto, initializers: dict[str, np.ndarray], path: Path, name: str) -> None:
    """Weights in a file beside the model, each on a page of its own so that it can be mapped."""
    if Path(name).name != name:
        raise ArgumentError(f"external_data {name!r} must be the name of a file beside the model")
    temporary = path.parent / f".{name}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            for key, array in initializers.items():
                if array.nbytes < _SMALLEST_OUTSIDE:
                    proto.initializer.append(tensor_proto(key, array))
                    continue
                offset = -(-file.tell() // _PAGE) * _PAGE
                file.seek(offset)
                np.ascontiguousarray(array).tofile(file)
                tensor = proto.initializer.add(name=key, data_type=onnx_type(array.dtype), dims=array.shape)
                tensor.data_location = TensorProto.EXTERNAL
                for field, value in (("location", name), ("offset", offset), ("length", array.nbytes)):
                    tensor.external_data.add(key=field, value=str(value))
        os.replace(temporary, path.parent / name)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
