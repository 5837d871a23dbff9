"""The attention form: a block of queries of one head against all its keys, the scores kept in cache."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcompile.graph import DimLike, Node, Tensor, ceildiv, dim_max, dim_min, symbol
from dlcompile.kernels.access import CannotFuse, Coordinates, Storage, axes_symbols, broadcast_coordinates, linear_coefficients, strided
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, forward, worth_sharing
from dlcompile.kernels.ir import Address, Invoke, Number
from dlcompile.kernels.nest import Axis, nest

FLOAT32 = np.dtype(np.float32)
QUERY_BLOCK = 128  # queries a work item takes: the keys are packed once for each item
KEY_BLOCK = 2048  # keys whose scores are kept at a time (csrc/dlc_attention.h)


def _variables(node: Node) -> tuple[Coordinates, DimLike, DimLike, DimLike]:
    """Loop variables: the leading axes, a query, a key, and a feature."""
    q, k, v = node.inputs[:3]
    lead = axes_symbols(q.shape[:-2], "z")
    widest = dim_max(q.shape[-1], v.shape[-1])
    return lead, *(symbol(n, e) if e != 1 else 0 for n, e in (("q", q.shape[-2]), ("k", k.shape[-2]), ("d", widest)))


def operands_to_copy(node: Node, stored: Callable[[Tensor], Storage | None]) -> set[Tensor]:
    """Operands that are no strided arrays, or whose features do not follow each other where they must."""
    lead, query, key, feature = _variables(node)
    found: set[Tensor] = set()
    for tensor, row, contiguous_features in zip(node.inputs[:3], (query, key, key), (True, False, True)):
        read = strided(tensor, (*lead, row, feature), (*lead, row, feature), stored)
        if read is None or (contiguous_features and feature != 0 and read[2][-1] != 1):
            found.add(tensor)
    for mask in node.inputs[3:]:
        if strided(mask, broadcast_coordinates((*lead, query, key), mask.shape), (*lead, query, key), stored) is None:
            found.add(mask)
    return found


def lower_attention(group: Group, context: Context) -> Lowered:
    """One `dlc_attention_f32` for each leading index and block of queries."""
    (node,) = group.anchors
    q, k, v = node.inputs[:3]
    if any(t.dtype != FLOAT32 for t in node.inputs):
        raise CannotFuse("attention is computed in float32")
    lead, query, key, feature = _variables(node)
    parameters = Parameters()
    readable = context.readable(group.root)
    blocks = ceildiv(q.shape[-2], QUERY_BLOCK)
    first = symbol("qb", blocks) * QUERY_BLOCK if blocks != 1 else 0

    def operand(tensor: Tensor, row: DimLike, at_row: DimLike):
        """(address of its first element for this item, stride of a row, stride of a feature)"""
        read = strided(tensor, (*lead, row, feature), (*lead, row, feature), readable)
        if read is None:
            raise CannotFuse("an operand of attention is no strided array")
        storage, index, strides = read
        for variable, stride in zip((*lead, at_row), strides):
            index = variable * stride + index
        return Address(parameters.read(storage.argument, FLOAT32), index), strides[-2], strides[-1]

    q_address, q_row, _ = operand(q, query, first)
    k_address, k_row, k_column = operand(k, key, 0)
    v_address, v_row, _ = operand(v, key, 0)
    mask_address, mask_row, mask_column = Address(None), 0, 0
    if len(node.inputs) > 3:
        mask = node.inputs[3]
        read = strided(mask, broadcast_coordinates((*lead, query, key), mask.shape), (*lead, query, key), readable)
        if read is None:
            raise CannotFuse("the mask of attention is no strided array")
        storage, index, strides = read
        for variable, stride in zip((*lead, first), strides):
            index = variable * stride + index
        mask_address, mask_row, mask_column = Address(parameters.read(storage.argument, FLOAT32), index), strides[-2], strides[-1]

    body, views = group.body_and_views()
    if body is not node.output:
        raise CannotFuse("only views follow attention in one kernel")
    root = context.stored(group.root)
    out = linear_coefficients(root.index(forward(views, (*lead, query, feature))), (*lead, query, feature))
    if out is None or (feature != 0 and out[1][-1] != 1):
        raise CannotFuse("the result of attention is no strided array there")
    o_index = out[0]
    for variable, stride in zip((*lead, first), out[1]):
        o_index = variable * stride + o_index
    rows = dim_min(QUERY_BLOCK, q.shape[-2] - first)
    causal = first if node.attributes.get("causal") else -1
    call = Invoke("dlc_attention_f32", (
        rows, k.shape[-2], q.shape[-1], v.shape[-1], q_address, q_row, k_address, k_row, k_column, v_address, v_row,
        Number(node.attributes["scale"], FLOAT32), mask_address, mask_row, mask_column, causal,
        Address(parameters.write(root.argument, FLOAT32), o_index), out[1][-2], "team->scratch"), "dlc_attention.h")
    axes = tuple(Axis(f"z{i}", e) for i, e in enumerate(q.shape[:-2]) if e != 1)
    axes += (Axis("qb", blocks),) if blocks != 1 else ()
    parallel = worth_sharing(cost({node})) and bool(axes)
    return finish(parameters, nest(axes, (call,), parallel=parallel, vector=False), "attention", parallel, scratch_bytes(k, q, v))


def scratch_bytes(k: Tensor, q: Tensor, v: Tensor) -> DimLike:
    """What `dlc_attention_scratch` in csrc/dlc_attention.h says, as an expression: packed keys and values, scores of a tile's rows."""
    padded = ceildiv(dim_min(k.shape[-2], KEY_BLOCK), 64) * 64
    return 4 * (padded * (q.shape[-1] + ceildiv(v.shape[-1], 32) * 32 + 12) + 2 * QUERY_BLOCK)
