"""Common subexpressions: one node for equal nodes, one constant for equal constants."""
from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from dlcompile.graph import Graph, Node, Tensor, is_string, remake

_SHORT = 4096  # entries of an attribute that is compared by content
_SAMPLE = 256  # elements that are looked at before two large constants are compared in full


def common_subexpressions(graph: Graph) -> Graph:
    """f(x), f(x) → one f(x) used twice: nodes of the same operator, operands and attributes; constants of the same type
    and bytes.

    The node that stays is the first one, under its own origin: it is what its front-end node computes.
    """
    constants = _Constants()
    nodes: dict[Hashable, tuple[Tensor, ...]] = {}

    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        inputs = tuple(constants.canonical(t) if t.is_constant else t for t in inputs)
        key = (node.op, inputs, _freeze(node.attributes))
        if key in nodes:
            return nodes[key]
        outputs = remake(node, inputs) if inputs != node.inputs else None
        nodes[key] = outputs or node.outputs
        return outputs

    return graph.rebuild(replace)


def _freeze(value: Any) -> Hashable:
    """An attribute as something that is equal by content."""
    match value:
        case np.ndarray():
            return (value.dtype.name, value.shape, value.tobytes())
        case dict():
            return tuple((k, _freeze(v)) for k, v in sorted(value.items()))
        case list() | tuple() if len(value) > _SHORT:
            return id(value)  # the nodes of a forest, in several such lists: comparing them takes longer than computing twice could
        case list() | tuple():
            return tuple(_freeze(v) for v in value)
        case float():
            return (float, value.hex())  # -0.0 is not 0.0, and NaN is NaN
        case Graph():
            return id(value)
        case _:
            return (type(value), value)


class _Constants:
    """Constants by content. Large ones are told apart by a sample first, so that most are never read in full."""

    def __init__(self):
        self._known: dict[Hashable, list[Tensor]] = {}
        self._canonical: dict[Tensor, Tensor] = {}

    def canonical(self, tensor: Tensor) -> Tensor:
        if tensor not in self._canonical:
            self._canonical[tensor] = self._find(tensor)
        return self._canonical[tensor]

    def _find(self, tensor: Tensor) -> Tensor:
        value = tensor.value
        if is_string(value.dtype):  # an object's bytes are its address
            known = self._known.setdefault((value.shape, tuple(value.flat)), [])
            known.append(tensor)
            return known[0]
        flat = value.reshape(-1)[:: max(1, value.size // _SAMPLE)]
        digest = hashlib.blake2b(np.ascontiguousarray(flat).tobytes(), digest_size=16).digest()
        key = (value.dtype.name, value.shape, digest)
        candidates = self._known.setdefault(key, [])
        for other in candidates:
            if other.value is value or np.array_equal(_bytes(other.value), _bytes(value)):
                return other
        candidates.append(tensor)
        return tensor


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
