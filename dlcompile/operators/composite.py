"""Registering composites: operators that keep their name in the graph and mean what their decomposition means."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcompile.graph import DimLike, Operator, Tensor, make_constant, register
from dlcompile.graph.graph import topological_order
from dlcompile.graph.operator import OPERATORS
from dlcompile.graph.tensor import make_input


def composite(name: str, *, outputs: int = 1, flops: Callable[..., DimLike] | None = None) -> Callable:
    """Decorator: register `decompose(attributes, *tensors)` as the composite `name`. Its cost is the decomposition's unless given."""
    def add(decompose: Callable) -> Callable:
        register(Operator(name, "composite", decompose=decompose, flops=flops or _flops_of(decompose), accuracy="rounded",
                          multiple_outputs=outputs > 1))
        return decompose

    return add


def _flops_of(decompose: Callable) -> Callable[..., DimLike]:
    def flops(inputs, outputs, attributes) -> DimLike:
        made = decompose(attributes, *(make_input(f"x{i}", t.dtype, t.shape) for i, t in enumerate(inputs)))
        total: DimLike = 0
        for node in topological_order(made if isinstance(made, tuple) else (made,)):
            row = OPERATORS[node.op]
            total = total + row.flops(tuple(t.type for t in node.inputs), tuple(t.type for t in node.outputs), node.attributes)
        return total

    return flops


def scalar(x: Tensor, value: float) -> Tensor:
    """A constant of the dtype of `x`."""
    return make_constant(np.asarray(value, x.dtype))
