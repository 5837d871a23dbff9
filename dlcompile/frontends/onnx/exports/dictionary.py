"""Operators on maps as ONNX writes them: on a map that is an input, which the writer knows by its keys and values."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node, is_string

ML = "ai.onnx.ml"
CAST_TO = {np.dtype(np.float32): "TO_FLOAT", np.dtype(np.int64): "TO_INT64", np.dtype(object): "TO_STRING"}


@exporter("dict_vectorizer")
def dict_vectorizer(writer: Writer, node: Node, keys: str, values: str) -> str:
    kind = "string" if is_string(node.inputs[0].dtype) else "int64"
    return writer.emit("DictVectorizer", [_map(writer, node)], domain=ML, **{f"{kind}_vocabulary": list(node.attributes["vocabulary"])})


@exporter("cast_map")
def cast_map(writer: Writer, node: Node, keys: str, values: str) -> str:
    size = node.attributes["size"]
    form = {"map_form": "DENSE"} if size is None else {"map_form": "SPARSE", "max_map": size}
    return writer.emit("CastMap", [_map(writer, node)], domain=ML, cast_to=CAST_TO[node.attributes["dtype"]], **form)


def _map(writer: Writer, node: Node) -> str:
    name = writer.root.maps.get((node.inputs[0], node.inputs[1]))
    if name is None:
        raise UnsupportedOperatorError(f"{node!r}: ONNX makes no maps, so this must be one that is an input")
    return name
