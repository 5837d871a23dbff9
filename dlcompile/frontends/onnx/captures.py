"""Which values of the graphs around it a graph reads."""
from __future__ import annotations

from onnx import AttributeProto, GraphProto, NodeProto


def reads(node: NodeProto) -> list[str]:
    """The values a node reads, those that graphs in its attributes capture among them."""
    values = [name for name in node.input if name]
    for graph in graphs_of(node):
        values += captured(graph)
    return list(dict.fromkeys(values))


def captured(graph: GraphProto) -> list[str]:
    """The values a graph reads that it does not make itself."""
    own = (
        {i.name for i in graph.input} | {i.name for i in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
        | {o for n in graph.node for o in n.output}
    )
    read = [value for node in graph.node for value in reads(node)] + [o.name for o in graph.output]
    return list(dict.fromkeys(value for value in read if value not in own))


def graphs_of(node: NodeProto) -> list[GraphProto]:
    """The graphs in a node's attributes."""
    return [g for a in node.attribute for g in ([a.g] if a.type == AttributeProto.GRAPH else a.graphs)]
