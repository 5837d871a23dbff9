"""Random numbers as ONNX writes them. The Mersenne Twister stays what it is where the seed is one that a float32 holds;
Threefry becomes whatever random numbers a runtime has."""
from __future__ import annotations

import numpy as np

from dlcompile.frontends.onnx.writer import Writer, exporter, onnx_type
from dlcompile.graph import Dim, Node


def _draw(writer: Writer, node: Node, op_type: str, **attributes) -> str:
    """RandomUniform or RandomNormal in float64 of the node's shape."""
    shape = node.output.shape
    attributes["dtype"] = onnx_type(np.float64)
    if any(isinstance(d, Dim) for d in shape):
        like = writer.emit("ConstantOfShape", [writer.shape(shape)])
        return writer.emit(f"{op_type}Like", [like], **attributes)
    drawn = writer.emit(op_type, [], shape=list(shape) or [1], **attributes)
    return drawn if shape else writer.reshape(drawn, ())


@exporter("mt19937")
def mt19937(writer: Writer, node: Node) -> str:
    return _draw(writer, node, {"uniform": "RandomUniform", "normal": "RandomNormal"}[node.attributes["distribution"]],
                 seed=float(node.attributes["seed"]))


@exporter("random_bits")
def random_bits(writer: Writer, node: Node, key: str) -> str:
    """Uniform in [0, 2**32), of a seed made from the key."""
    (words,) = node.inputs
    seed = float(int(words.value[0] ^ words.value[1]) >> 8) if words.is_constant else None
    return writer.cast(_draw(writer, node, "RandomUniform", low=0.0, high=2.0**32, seed=seed), np.uint32)
