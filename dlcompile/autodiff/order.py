"""Derivatives of sorted values: each cotangent goes to where its value came from."""
from __future__ import annotations

from dlcompile import ops
from dlcompile.autodiff.rules import Cotangents, rule, rule_of_results, zeros
from dlcompile.graph import Node, Tensor


@rule("sort")
def _sort(node: Node, c: Tensor) -> list[Tensor]:
    (x,), a = node.inputs, node.attributes
    _, places = ops.top_k(x, x.shape[a["axis"]], a["axis"], a["descending"])  # of equals the first, as in sort
    return [ops.scatter_elements(zeros(x), places, c, a["axis"], "add")]


@rule_of_results("top_k")
def _top_k(node: Node, cotangents: Cotangents, wanted) -> list[Tensor]:
    (x,) = node.inputs
    return [ops.scatter_elements(zeros(x), node.outputs[1], cotangents[0], node.attributes["axis"], "add")]
