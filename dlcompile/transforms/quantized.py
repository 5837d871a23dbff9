"""Products between quantised tensors, as exporters write them in floats, done in the integers that they stand for.

A model in the QDQ form computes quantize(relu(product(dequantize(x), dequantize(w)) + bias)). The sums of products are
integers in units of x_scale * w_scale; taken as such they are exact, and are rounded once, as in the operator form
(QLinearConv, QGemm) that ONNX Runtime turns such models into. This moves roundings.
"""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Graph, Tensor, apply, make_constant
from dlcompile.graph.graph import Node
from dlcompile.operators.interpreter import evaluate
from dlcompile.transforms.matmul import axes_of
from dlcompile.transforms.narrow import product_in_float32
from dlcompile.transforms.rewrite import Answer, Table, made_by, uses
from dlcompile.transforms.scales import PRODUCTS

NARROW_TYPES = (np.dtype(np.int8), np.dtype(np.uint8))
MOST_CONSTANT_NODES = 64  # between a constant and what is computed from it alone


def exact_product(node: Node) -> Answer:
    """quantize(relu(product(dequantize(x), dequantize(w)) + b)) →
    quantize(relu(float(product(x - x_zero, w - w_zero) + b/u) * (u/y_scale)), 1)
    with u = x_scale * w_scale, where b/u are integers. relu and b may be missing."""
    y, y_scale, y_zero = node.inputs[0], _constant(node.inputs[1]), node.inputs[2]
    if y_scale is None or y_scale.size != 1 or y.dtype != np.float32:
        return None
    activated = y.op == "relu" and uses(y) == 1
    inner = y.producer.inputs[0] if activated else y
    bias = None
    if inner.op == "add" and uses(inner) == 1:
        bias = _constant(inner.producer.inputs[1])
        if bias is None:
            return None
        inner = inner.producer.inputs[0]
    product = inner.producer
    if product is None or product.op not in PRODUCTS or uses(inner) != 1:
        return None
    sums = _sums(product)
    if sums is None:
        return None
    total, unit = sums
    if bias is not None:
        with np.errstate(all="ignore"):
            steps = bias.astype(np.float64) / unit
        whole = np.rint(steps)
        if not (np.all(np.abs(whole) < 2**30) and np.all(np.abs(steps - whole) <= 1e-3 + 1e-6 * np.abs(whole))):
            return None
        total = ops.add(total, make_constant(whole.astype(np.int32)))
    for tensor in (y, inner):
        made_by(tensor, "relu", "add", *PRODUCTS)
    with np.errstate(all="ignore"):
        factor = (unit / y_scale.reshape(())).astype(np.float32)
    if not np.all(np.isfinite(factor)):
        return None
    result = ops.mul(ops.cast(total, np.float32), make_constant(factor))
    return ops.quantize_linear(ops.relu(result) if activated else result, np.float32(1), y_zero, axis=node.attributes["axis"])


def _sums(product: Node) -> tuple[Tensor, np.ndarray] | None:
    """The integers that a product of dequantised operands sums up to, and what they count: a float32 for each output channel."""
    x, w = product.inputs
    if x.op != "dequantize_linear" or w.op != "dequantize_linear":
        return None
    codes, *x_parameters = x.producer.inputs
    x_scale, x_zero = (_constant(t) for t in x_parameters)
    weights, w_scale, w_zero = (_constant(t) for t in w.producer.inputs)
    if any(v is None for v in (x_scale, x_zero, weights, w_scale, w_zero)) or x_scale.size != 1 or x_zero.size != 1:
        return None
    if codes.dtype not in NARROW_TYPES or weights.dtype not in NARROW_TYPES or x_scale.dtype != np.float32 or w_scale.dtype != np.float32:
        return None
    if product.op == "dot_general":
        free = axes_of(product, 1)[1]
        channels, trailing = (free[0] if len(free) == 1 else None), 0
    else:
        first = product.attributes["layout"] == "channels_first"
        channels, trailing = (0, w.rank - 2) if first else (w.rank - 1, 0)
    if w_scale.size != 1 and w.producer.attributes["axis"] % w.rank != channels:
        return None
    along = tuple(-1 if a == channels else 1 for a in range(w.rank))
    centred = weights.astype(np.int32) - (w_zero.astype(np.int32).reshape(along) if w_zero.size != 1 else np.int32(w_zero.item()))
    integers = apply(product.op, ops.sub(ops.cast(codes, np.int32), np.int32(x_zero.item())), make_constant(centred), **product.attributes)
    total = product_in_float32(integers.producer)
    unit = x_scale.reshape(()) * (w_scale.reshape(()) if w_scale.size == 1 else w_scale.reshape(-1, *(1,) * trailing))
    return None if total is None else (total, unit)


def _constant(tensor: Tensor) -> np.ndarray | None:
    """The value of a tensor that is computed from constants alone."""
    if tensor.is_constant:
        return tensor.value
    seen, waiting = set(), [tensor]
    while waiting:
        current = waiting.pop()
        if current.is_constant or current in seen:
            continue
        if current.producer is None or len(seen) == MOST_CONSTANT_NODES or not current.type.is_static:
            return None
        seen.add(current)
        waiting += current.producer.inputs
    return np.asarray(evaluate(Graph("constant", (), (tensor,), output_names=("value",)), {})[0])


QUANTIZED: Table = (("quantize_linear", exact_product),)
