"""Reverse-mode automatic differentiation: from the cotangents of results to those of what they are computed from, node by node."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.autodiff.rules import FLAT, NO_DERIVATIVE, RULES, Cotangents, shaped, zeros
from dlcompile.errors import ArgumentError, DTypeError, UnsupportedOperatorError
from dlcompile.graph import OPERATORS, Graph, Node, Tensor, current_origin, is_float, provenance, unknowns_apart
from dlcompile.graph.graph import remake, topological_order


def gradients(y: Tensor, xs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The derivative of the sum of `y` with respect to each tensor of `xs`, of its shape and type; zeros where `y` does not depend on it.

    What `y` is computed from is looked at up to the tensors `xs`. Where a function has no derivative (|x| at 0, a maximum of equals) a
    subgradient is taken, as other frameworks do. The results are graphs like any other, so that they have derivatives too.

    `xs` may be what stands for tensors while a function is traced, such as the variables of a model. ArgumentError outside of a trace, where these are
    arrays; DTypeError for tensors that are no floats; UnsupportedOperatorError naming what has no derivative.
    """
    xs = [_standing(x) for x in xs]
    for t in (y, *xs):
        if not is_float(t.dtype):
            raise DTypeError(f"a derivative of {t.type} or by it; expected a tensor of floats")
    with unknowns_apart(Graph("", (), (y, *xs))):
        found = pull_back([(y, ops.broadcast_to(np.ones((), y.dtype), y.shape))], xs)
    return tuple(found[x] if x in found else zeros(x) for x in xs)


def _standing(x: Any) -> Tensor:
    """The tensor that something stands for."""
    if isinstance(x, Tensor):
        return x
    tensor = ops.as_tensor(x)
    if tensor.is_constant:
        raise ArgumentError(f"a derivative by {x!r}, which is no tensor here: derivatives are of what is computed while a function is traced")
    return tensor


def substituted(ys: Iterable[Tensor], values: dict[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """The tensors `ys` computed from other values of some of the tensors they depend on."""
    ys, new = tuple(ys), dict(values)
    for node in between(ys, new):
        if any(t in new for t in node.inputs):
            with provenance(*node.origin):
                made = remake(node, tuple(new.get(t, t) for t in node.inputs))
            for old, tensor in zip(node.outputs, made, strict=True):
                new.setdefault(old, tensor)
    return tuple(new.get(y, y) for y in ys)


def between(outputs: Iterable[Tensor], ends: Iterable[Tensor]) -> list[Node]:
    """The nodes that outputs depend on, those before them first, without those behind `ends`."""
    outputs, ends = tuple(outputs), set(ends)
    needed: set[Node] = set()
    stack = [t for t in outputs if t not in ends]
    while stack:
        node = stack.pop().producer
        if node is not None and node not in needed:
            needed.add(node)
            stack += [t for t in node.inputs if t not in ends]
    return [node for node in topological_order(outputs) if node in needed]


def moving(nodes: Iterable[Node], xs: Iterable[Tensor]) -> set[Tensor]:
    """What changes with the tensors `xs`, of the results of `nodes` (in order), and these themselves."""
    moved = set(xs)
    for node in nodes:
        if node.op not in FLAT and any(t in moved for t in node.inputs):
            moved.update(t for t in node.outputs if is_float(t.dtype) or t.dtype.kind == "c")
    return moved


def pull_back(cotangents: Iterable[tuple[Tensor, Tensor]], xs: Collection[Tensor]) -> dict[Tensor, Tensor]:
    """The cotangents of those of `xs` that have an influence, for (result, its cotangent) pairs; of a result that is there twice both
    count. Each is of the shape and type of its tensor."""
    cotangents, ends = list(cotangents), set(xs)
    order = between((t for t, _ in cotangents), ends)
    moved = moving(order, ends)
    total: dict[Tensor, Tensor] = {}

    def add(tensor: Tensor, cotangent: Tensor | None) -> None:
        if cotangent is not None and tensor in moved:
            cotangent = shaped(cotangent, tensor.shape)
            total[tensor] = ops.add(total[tensor], cotangent) if tensor in total else cotangent

    for tensor, cotangent in cotangents:
        add(tensor, cotangent)
    for node in reversed(order):
        given = [total.get(t) if t not in ends else None for t in node.outputs]
        wanted = [t in moved for t in node.inputs]
        if node.op in FLAT or not any(wanted) or all(c is None for c in given):
            continue
        with provenance(*current_origin(), *node.origin):
            for tensor, cotangent in zip(node.inputs, _operands(node, given, wanted), strict=True):
                add(tensor, cotangent)
    return {t: c for t, c in total.items() if t in ends}


def _operands(node: Node, given: Cotangents, wanted: Sequence[bool]) -> Cotangents:
    """The cotangents of a node's operands for those of its results."""
    if any(t.dtype.kind == "c" for t in (*node.inputs, *node.outputs)):
        raise UnsupportedOperatorError(f"{node!r}: the derivative of {node.op} of complex numbers is not supported")
    if node.op in RULES:
        return RULES[node.op](node, given, wanted)
    operator = OPERATORS[node.op]
    if not operator.is_composite:
        why = NO_DERIVATIVE.get(node.op)
        raise UnsupportedOperatorError(f"{node!r}: {node.op} has no derivative" + (f": {why}" if why else ""))
    made = operator.decompose(node.attributes, *node.inputs)
    made = made if isinstance(made, tuple) else (made,)
    wants = [t for t, wish in zip(node.inputs, wanted) if wish]
    found = pull_back([(t, c) for t, c in zip(made, given) if c is not None], wants)
    return [found.pop(t, None) for t in node.inputs]  # once, where an operand is there twice


__all__ = ["between", "gradients", "moving", "pull_back", "substituted"]
