"""Gradient, the operator that differentiates the graph it stands in."""
from __future__ import annotations

from dlcompile.autodiff import gradients, substituted
from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.graph import Tensor


@importer("Gradient", domain="ai.onnx.preview.training")
def gradient(node: OnnxNode, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The derivatives of the tensor called `y` by those called `xs`, at the inputs, which stand for `xs` and `zs`."""
    names = [*node["xs"], *node.get("zs", ())]
    if len(inputs) != len(names):
        raise InvalidModelError(f"{len(inputs)} inputs for the {len(names)} tensors that xs and zs name")
    named = [node.scope.find(name) for name in (*names, node["y"])]
    for name, tensor, value in zip(names, named, inputs):
        if not isinstance(tensor, Tensor) or value is not None and value.type != tensor.type:
            raise InvalidModelError(f"the input for {name!r} is {value}; expected one like {tensor}")
    (y,) = substituted([named.pop()], {t: v for t, v in zip(named, inputs) if v is not None and v is not t})
    return gradients(y, inputs[:len(node["xs"])])
