"""Elementwise primitives as ONNX writes them."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.writer import Writer, exporter, onnx_type
from dlcompile.graph import Node, is_float, is_narrow

SAME = {
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "sqrt": "Sqrt",
    "exp": "Exp",
    "log": "Log",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "erf": "Erf",
    "logistic": "Sigmoid",
    "is_nan": "IsNaN",
    "is_inf": "IsInf",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "maximum": "Max",
    "minimum": "Min",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "select": "Where",
}


def _same(op_type: str):
    return lambda writer, node, *names: writer.emit(op_type, names)


for _name, _op_type in SAME.items():
    exporter(_name)(_same(_op_type))


def _logical(op_type: str):
    """One word for truth values, another for bits."""
    return lambda writer, node, *names: writer.emit(
        op_type if node.inputs[0].dtype == np.bool_ else f"Bitwise{op_type}", names
    )


for _name, _op_type in (("and", "And"), ("or", "Or"), ("xor", "Xor"), ("not", "Not")):
    exporter(_name)(_logical(_op_type))


@exporter("add")
def add(writer: Writer, node: Node, a: str, b: str) -> str:
    if node in writer.root.absorbed:  # the bias of a convolution, which has it as an operand
        return next(
            name for name, tensor in zip((a, b), node.inputs) if tensor.op in ("conv_general", "conv_transpose")
        )
    return writer.emit("Add", [a, b])


@exporter("ne")
def ne(writer: Writer, node: Node, a: str, b: str) -> str:
    return writer.emit("Not", [writer.emit("Equal", [a, b])])


@exporter("cast")
def cast(writer: Writer, node: Node, x: str) -> str:
    """Nothing is cut to the range of a narrow type here: where a model asks for that, it is done by operators of its own."""
    dtype = node.attributes["dtype"]
    return writer.emit("Cast", [x], to=onnx_type(dtype), saturate=0) if is_narrow(dtype) and is_float(dtype) else writer.cast(x, dtype)


@exporter("bitcast")
def bitcast(writer: Writer, node: Node, x: str) -> str:
    if writer.opset < 26:
        raise UnsupportedOperatorError(f"{node!r}: BitCast needs opset 26 or newer; the model is written for opset {writer.opset}")
    return writer.emit("BitCast", [x], to=onnx_type(node.attributes["dtype"]))


@exporter("rem")
def rem(writer: Writer, node: Node, a: str, b: str) -> str:
    return writer.emit("Mod", [a, b], fmod=1)


@exporter("rsqrt")
def rsqrt(writer: Writer, node: Node, x: str) -> str:
    return writer.emit("Reciprocal", [writer.emit("Sqrt", [x])])


@exporter("expm1")
def expm1(writer: Writer, node: Node, x: str) -> str:
    """2t/(1 - t) with t = tanh(x/2) near 0, where exp(x) - 1 cancels; exp(x) - 1 elsewhere."""
    tensor = node.inputs[0]
    one, half = writer.like(1, tensor), writer.like(0.5, tensor)
    t = writer.emit("Tanh", [writer.emit("Mul", [x, half])])
    near = writer.emit("Div", [writer.emit("Add", [t, t]), writer.emit("Sub", [one, t])])
    far = writer.emit("Sub", [writer.emit("Exp", [x]), one])
    return writer.emit("Where", [writer.emit("Less", [writer.emit("Abs", [x]), half]), near, far])


@exporter("log1p")
def log1p(writer: Writer, node: Node, x: str) -> str:
    """2*atanh(x/(2 + x)) near 0, where 1 + x rounds; log(1 + x) elsewhere."""
    tensor = node.inputs[0]
    two = writer.like(2, tensor)
    ratio = writer.emit("Div", [x, writer.emit("Add", [x, two])])
    near = writer.emit("Mul", [writer.emit("Atanh", [ratio]), two])
    far = writer.emit("Log", [writer.emit("Add", [x, writer.like(1, tensor)])])
    return writer.emit("Where", [writer.emit("Less", [writer.emit("Abs", [x]), writer.like(0.5, tensor)]), near, far])


@exporter("atan2")
def atan2(writer: Writer, node: Node, y: str, x: str) -> str:
    """atan(y/x) where x > 0, moved by pi towards the sign of y where x < 0, pi/2 with that sign where x is 0."""
    tensor = node.inputs[0]
    zero, pi = writer.like(0, tensor), writer.like(np.pi, tensor)
    half = writer.like(np.pi / 2, tensor)
    slope = writer.emit("Atan", [writer.emit("Div", [y, x])])
    below = writer.emit("Less", [y, zero])
    turned = writer.emit("Where", [below, writer.emit("Sub", [slope, pi]), writer.emit("Add", [slope, pi])])
    up = writer.emit("Mul", [writer.emit("Sign", [y]), half])
    left = writer.emit("Where", [writer.emit("Less", [x, zero]), turned, up])
    return writer.emit("Where", [writer.emit("Greater", [x, zero]), slope, left])


@exporter("shift_left", "shift_right")
def shift(writer: Writer, node: Node, a: str, b: str) -> str:
    """ONNX shifts unsigned integers. To the left the bits of signed ones are the same; to the right a negative one is
    ~(~a >> b)."""
    dtype = node.inputs[0].dtype
    direction = "LEFT" if node.op == "shift_left" else "RIGHT"
    if dtype.kind == "u":
        return writer.emit("BitShift", [a, b], direction=direction)
    bits = np.dtype(f"u{dtype.itemsize}")
    if direction == "RIGHT":
        negative = writer.emit("Less", [a, writer.like(0, node.inputs[0])])
        a = writer.emit("Where", [negative, writer.emit("BitwiseNot", [a]), a])
    y = writer.cast(writer.emit("BitShift", [writer.cast(a, bits), writer.cast(b, bits)], direction=direction), dtype)
    return y if direction == "LEFT" else writer.emit("Where", [negative, writer.emit("BitwiseNot", [y]), y])
