"""Control flow: graphs in attributes become ONNX's nested graphs."""
from __future__ import annotations

from onnx import GraphProto, helper

from dlcompile.frontends.onnx.writer import Writer, exporter, onnx_type
from dlcompile.graph import Dim, Graph, Node, Tensor


def nested(writer: Writer, graph: Graph, names: list[str], inputs: list[Tensor]) -> GraphProto:
    """A graph written inside another: `inputs` get names of their own, the rest of its inputs are values `names` of the outer one."""
    inner = Writer(writer.root.graph, writer.opset, writer)
    formal = []
    for tensor in inputs:
        inner.names[tensor] = name = writer.fresh(tensor.name or "input")
        formal.append(helper.make_tensor_value_info(name, onnx_type(tensor.dtype), [None if isinstance(d, Dim) else d for d in tensor.shape]))
    rest = [tensor for tensor in graph.inputs if tensor not in inputs]
    inner.names.update(zip(rest, names, strict=True))
    inner.write(graph)
    outputs = []
    for tensor in graph.outputs:  # each by a name of its own, made inside
        name = inner.emit("Identity", [inner.find(tensor)])
        outputs.append(helper.make_tensor_value_info(name, onnx_type(tensor.dtype), [None if isinstance(d, Dim) else d for d in tensor.shape]))
    return helper.make_graph(inner.nodes, graph.name or "body", formal, outputs)


@exporter("scan")
def scan(writer: Writer, node: Node, *names: str) -> list[str]:
    a = node.attributes
    body, carries, scanned = a["body"], a["num_carry"], a["num_scanned"]
    count = carries + scanned
    graph = nested(writer, body, list(names[count:]), list(body.inputs[:count]))
    outputs = len(node.outputs)
    flip = int(a["reverse"])
    return writer.emit("Scan", names[:count], outputs,
                       body=graph, num_scan_inputs=scanned, scan_input_directions=[flip] * scanned,
                       scan_output_directions=[flip] * (outputs - carries) if outputs > carries else None)
