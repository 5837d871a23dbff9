"""ONNX operators that stay whole in the graph, though dlcompile has no operator of that meaning: composites called `onnx.<name>`, which
their row of the import table, or the body ONNX gives them, decomposes. So an export writes them back.

Their attributes are the file's, and
    version   of the operator's domain
    given     for each input whether it is there, as a string of 0 and 1
    count     of the outputs that somebody may read

Reductions have their axes as an attribute, as before opset 18, so that what they mean does not depend on an operand's value.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnx import AttributeProto, NodeProto, defs, helper

from dlcompile.frontends.onnx.node import OnnxNode, find_schema
from dlcompile.frontends.onnx.writer import EXPORTERS, OTHER_DOMAINS, SINCE, Writer
from dlcompile.graph import DimLike, Node, Operator, Tensor, apply, register, symbols_in
from dlcompile.operators.composite import flops_of

ML, TRAINING = "ai.onnx.ml", "ai.onnx.preview.training"
REDUCTIONS = ("ReduceMean", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare")
WHOLE: dict[str, tuple[str, ...]] = {
    "": (*REDUCTIONS, "Gemm", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear",
         "Attention", "RotaryEmbedding", "LinearAttention", "CausalConvWithState", "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss",
         "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "LpPool", "Reciprocal", "Mean", "SwiGLU", "EyeLike", "ReverseSequence",
         "TensorScatter", "Einsum", "CumProd"),
    ML: ("ArrayFeatureExtractor", "Binarizer", "FeatureVectorizer", "Imputer", "LinearClassifier", "LinearRegressor", "Normalizer", "OneHotEncoder",
         "Scaler", "SVMClassifier", "SVMRegressor"),
    TRAINING: ("Adagrad", "Adam", "Momentum"),
}
_OWN = ("version", "given", "count")
_FIXED = {"CumProd": 1}
"""operator → the operand whose value the decomposition has to know"""


def operator_name(domain: str, name: str) -> str:
    return f"{domain or 'onnx'}.{name}"


def is_whole(node: OnnxNode) -> bool:
    return node.op_type in WHOLE.get(node.domain, ())


def kept_whole(node: OnnxNode, inputs: Sequence[Tensor | None]) -> Sequence[Tensor] | None:
    """The node as one composite. None where that cannot be: an input or attribute that is more than a tensor or a number, or results whose
    sizes depend on data."""
    attributes, version = {name: node[name] for name in node.attribute_protos}, node.version
    plain = (int, float, str, tuple)
    if not all(t is None or isinstance(t, Tensor) for t in inputs) or not all(isinstance(v, plain) for v in attributes.values()):
        return None
    if node.op_type in _FIXED and inputs[_FIXED[node.op_type]].known is None:
        return None
    if node.op_type in REDUCTIONS:
        if attributes.pop("noop_with_empty_axes", 0):
            return None
        if len(inputs) > 1 and inputs[1] is not None:
            if not inputs[1].is_constant:
                return None
            attributes |= {"axes": tuple(inputs[1].value.tolist())} if inputs[1].value.size else {}
        inputs, version = inputs[:1], min(version, 13)
    there = [t for t in inputs if t is not None]
    made = apply(operator_name(node.domain, node.op_type), *there, **attributes, version=version,
                 given="".join("01"[t is not None] for t in inputs), count=len(node.proto.output))
    outputs = made if isinstance(made, tuple) else (made,)
    if symbols_in(tuple(t.shape for t in outputs)) - symbols_in(tuple(t.shape for t in there)):
        return None
    return outputs


def declare(decompose: Callable[[str, str, Mapping, tuple[Tensor, ...]], Sequence[Tensor]]) -> None:
    """Fill the tables of operators and exporters. decompose: (domain, name, attributes, operands) → results"""
    for domain, names in WHOLE.items():
        for name in names:
            def row(attributes, *operands: Tensor, domain=domain, name=name) -> tuple[Tensor, ...]:
                return tuple(decompose(domain, name, attributes, operands))[:attributes["count"]]

            register(Operator(operator_name(domain, name), "composite", decompose=row, flops=_flops(row), accuracy="rounded"))
            EXPORTERS[operator_name(domain, name)] = _write
            SINCE[operator_name(domain, name)] = 1


def _flops(row: Callable) -> Callable[..., DimLike]:
    """Those of the decomposition; one for each element of the results where that depends on an operand's value."""
    def flops(inputs, outputs, attributes) -> DimLike:
        found = flops_of(row)(inputs, outputs, attributes)
        if symbols_in((found,)) <= symbols_in(tuple(t.shape for t in inputs)):
            return found
        return sum(t.size for t in outputs)

    return flops


def proto_of(domain: str, name: str, attributes: Mapping) -> tuple[NodeProto, list[str]]:
    """A node of the operator, and the names it gives its inputs; those that are left out have none."""
    names = [f"input{i}" if there == "1" else "" for i, there in enumerate(attributes["given"])]
    proto = helper.make_node(name, names, [f"output{i}" for i in range(attributes["count"])], domain=domain)
    proto.attribute.extend(_attribute_protos(domain, name, attributes))
    return proto, [n for n in names if n]


def _attribute_protos(domain: str, name: str, attributes: Mapping) -> list[AttributeProto]:
    schema = find_schema(domain, name, attributes["version"])
    return [helper.make_attribute(key, list(value) if isinstance(value, tuple) else value, attr_type=int(schema.attributes[key].type.value))
            for key, value in attributes.items() if key not in _OWN]


def needed_opset(node: Node) -> int:
    """The first opset of ONNX's own domain that has the operator of a node as it is; 0 for a node that is none of these."""
    return _schema(node).since_version if node.op.startswith("onnx.") else 0


def _schema(node: Node) -> defs.OpSchema:
    return find_schema(*_domain_and_name(node), node.attributes["version"])


def _domain_and_name(node: Node) -> tuple[str, str]:
    domain, name = node.op.rsplit(".", 1)
    return "" if domain == "onnx" else domain, name


# -- export ------------------------------------------------------------------------------------------------------------------------
def _write(writer: Writer, node: Node, *names: str):
    domain, name = _domain_and_name(node)
    version = OTHER_DOMAINS.get(domain, writer.opset)
    before, after = _schema(node), find_schema(domain, name, version)
    left = iter(names)
    inputs = [next(left) if there == "1" else "" for there in node.attributes["given"]]
    attributes = {p.name: p for p in _attribute_protos(domain, name, node.attributes)}
    if name in REDUCTIONS and len(after.inputs) == 2:
        axes = attributes.pop("axes", None)
        inputs += [writer.vector(axes.ints)] if axes else []
    elif after is None or _form(before, len(inputs)) != _form(after, len(inputs)):
        return writer.decomposed(node)
    outputs = writer.emit(name, inputs, len(node.outputs), domain=domain or None)
    writer.nodes[-1].attribute.extend(attributes.values())
    return outputs


def _form(schema: defs.OpSchema, inputs: int) -> tuple:
    """What two versions of an operator must have in common for a node of one to be one of the other."""
    attributes = {name: (str(a.type), a.default_value.SerializeToString()) for name, a in schema.attributes.items()}
    return attributes, [i.name for i in schema.inputs][:inputs], len(schema.outputs)


__all__ = ["WHOLE", "declare", "is_whole", "kept_whole", "needed_opset", "operator_name", "proto_of"]
