"""Derivatives that a model states itself."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.autodiff.reverse import substituted
from dlcompile.autodiff.rules import Cotangents, rule_of_results, zeros
from dlcompile.graph import Node


@rule_of_results("custom_vjp")
def _custom_vjp(node: Node, cotangents: Cotangents, wanted: Sequence[bool]) -> Cotangents:
    results, count, backward = (node.attributes[name] for name in ("num_results", "num_operands", "backward"))
    residuals = node.inputs[results + count:]
    given = [zeros(t) if c is None else c for t, c in zip(node.outputs, cotangents)]
    made = substituted(backward.outputs, dict(zip(backward.inputs, (*residuals, *given), strict=True)))
    return [*(None for _ in range(results)), *made, *(None for _ in residuals)]
