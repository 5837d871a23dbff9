"""The readable text of a graph: one line a node, `%result: type = op(%operands) {attributes}  # origin`."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dlcompile.graph.graph import Graph
    from dlcompile.graph.tensor import Tensor


def format_graph(graph: Graph) -> str:
    """The text that `print(graph)` shows. Values are numbered in order; inputs and outputs carry their names."""
    from dlcompile.graph.graph import Graph

    names: dict[Tensor, str] = {}
    for tensor, name in zip(graph.inputs, graph.input_names):
        names[tensor] = f"%{name}"
    for index, tensor in enumerate(graph.constants):
        names[tensor] = _constant_text(tensor) or f"%c{index}"
    lines = [f"graph {graph.name}({', '.join(f'{names[t]}: {t.type}' for t in graph.inputs)}) {{"]
    for index, tensor in enumerate(graph.constants):
        if names[tensor].startswith("%"):
            lines.append(f"  {names[tensor]}: {tensor.type} = constant")
    counter = 0
    for node in graph.nodes:
        for tensor in node.outputs:
            names[tensor] = f"%{counter}"
            counter += 1
        results = ", ".join(f"{names[t]}: {t.type}" for t in node.outputs)
        attributes = ", ".join(f"{k}={format_attribute(v)}" for k, v in node.attributes.items() if not isinstance(v, Graph))
        text = f"  {results} = {node.op}({', '.join(names[t] for t in node.inputs)})"
        text += f" {{{attributes}}}" if attributes else ""
        text += f"  # {', '.join(node.origin)}" if node.origin else ""
        lines.append(text)
        for key, value in node.attributes.items():
            if isinstance(value, Graph):
                lines += [f"    {key}: {line}" for line in format_graph(value).splitlines()]
    results = ", ".join(f"{name}={names[t]}" for name, t in zip(graph.output_names, graph.outputs))
    return "\n".join([*lines, f"  return {results}", "}"])


def format_attribute(value) -> str:
    """An attribute on one line; long arrays by type and shape."""
    if isinstance(value, np.ndarray):
        return str(value.tolist()) if value.size <= 8 else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple):
        return f"[{', '.join(format_attribute(v) for v in value)}]"
    return str(value)


def _constant_text(tensor: Tensor) -> str | None:
    """Scalars are written where they are used."""
    return f"{tensor.value.item()!r}:{tensor.type}" if tensor.rank == 0 else None
