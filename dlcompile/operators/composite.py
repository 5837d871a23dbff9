"""Registering composites: operators that keep their name in the graph and mean what their decomposition means."""
from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from dlcompile import ops
from dlcompile.errors import DTypeError
from dlcompile.graph import DimLike, Operator, Tensor, is_float, is_half, is_string, make_constant, register
from dlcompile.graph.graph import topological_order
from dlcompile.graph.operator import OPERATORS
from dlcompile.graph.tensor import make_input


def composite(name: str, *, outputs: int = 1, flops: Callable[..., DimLike] | None = None, rounds: bool = True) -> Callable:
    """Decorator: register `decompose(attributes, *tensors)` as the composite `name`. Its cost is the decomposition's unless given.

    rounds: 16-bit floats are computed in float32 inside, and the results rounded: one operator, one rounding. False where there is nothing
            to round, or each step is to be rounded.
    """
    def add(decompose: Callable) -> Callable:
        row = _rounded_once(decompose) if rounds else decompose
        register(Operator(name, "composite", decompose=row, flops=flops or flops_of(decompose), accuracy="rounded",
                          multiple_outputs=outputs > 1))
        return decompose

    return add


def _rounded_once(decompose: Callable) -> Callable:
    """f(x: float16) → float16(f(float32(x))). The results are of the type of the first float among the operands."""
    @functools.wraps(decompose)
    def wide(attributes, *inputs: Tensor):
        if not any(is_half(t.dtype) for t in inputs):
            return decompose(attributes, *inputs)
        dtype = next(t.dtype for t in inputs if is_float(t.dtype))
        made = decompose(attributes, *(ops.cast(t, np.float32) if is_half(t.dtype) else t for t in inputs))
        rounded = tuple(ops.cast(t, dtype) if t.dtype == np.float32 else t for t in (made if isinstance(made, tuple) else (made,)))
        return rounded if isinstance(made, tuple) else rounded[0]

    return wide


def flops_of(decompose: Callable) -> Callable[..., DimLike]:
    def flops(inputs, outputs, attributes) -> DimLike:
        made = decompose(attributes, *(make_input(f"x{i}", t.dtype, t.shape) for i, t in enumerate(inputs)))
        total: DimLike = 0
        for node in topological_order(made if isinstance(made, tuple) else (made,)):
            row = OPERATORS[node.op]
            total = total + row.flops(tuple(t.type for t in node.inputs), tuple(t.type for t in node.outputs), node.attributes)
        return total

    return flops


def scalar(x: Tensor, value: float) -> Tensor:
    """A constant of the dtype of `x`. DTypeError where that is no number."""
    if is_string(x.dtype):
        raise DTypeError(f"{x.type}: expected numbers")
    return make_constant(np.asarray(value, x.dtype))
