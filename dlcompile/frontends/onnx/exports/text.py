"""Operators on strings as ONNX writes them."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node, is_string

ML = "ai.onnx.ml"


@exporter("string_concat")
def string_concat(writer: Writer, node: Node, a: str, b: str) -> str:
    return writer.emit("StringConcat", [a, b])


def _split(writer: Writer, node: Node, x: str) -> list[str]:
    delimiter, most = node.inputs[1].value.item(), node.attributes["maxsplit"]
    return writer.emit("StringSplit", [x], 2, delimiter=delimiter or None, maxsplit=None if most < 0 else most)


@exporter("string_count")
def string_count(writer: Writer, node: Node, x: str, delimiter: str) -> str:
    return _split(writer, node, x)[1]


@exporter("string_split")
def string_split(writer: Writer, node: Node, x: str, delimiter: str) -> str:
    """As wide as the most pieces are many, which is the width."""
    return _split(writer, node, x)[0]


@exporter("regex_full_match")
def regex_full_match(writer: Writer, node: Node, x: str) -> str:
    return writer.emit("RegexFullMatch", [x], pattern=node.attributes["pattern"])


@exporter("replace_characters")
def replace_characters(writer: Writer, node: Node, x: str, *tables: str) -> str:
    """StringNormalizer takes vectors, gives one empty string for none, and the reference evaluator drops empty ones: it gets one string
    more, which is taken off again, and something in place of those."""
    if "case" not in node.attributes:
        raise UnsupportedOperatorError(f"{node!r}: ONNX can only change the case of characters")
    marker, nothing = (writer.constant(np.array([text], object)) for text in ("x", ""))
    flat = writer.emit("Reshape", [x, writer.vector([-1])])
    empty = writer.emit("Equal", [flat, nothing])
    marked = writer.emit("Concat", [writer.emit("Where", [empty, marker, flat]), marker], axis=0)
    changed = writer.emit("StringNormalizer", [marked], case_change_action=node.attributes["case"].upper(), is_case_sensitive=1)
    kept = writer.emit("Where", [empty, nothing, writer.emit("Slice", [changed, writer.vector([0]), writer.vector([-1])])])
    return writer.reshape(kept, node.output.shape)


@exporter("tf_idf_vectorizer")
def tf_idf_vectorizer(writer: Writer, node: Node, x: str) -> str:
    attributes = {key: list(value) if isinstance(value, tuple) else value for key, value in node.attributes.items()}
    pool = attributes.pop("pool")
    return writer.emit("TfIdfVectorizer", [x], **{"pool_strings" if is_string(node.inputs[0].dtype) else "pool_int64s": pool}, **attributes)


@exporter("lookup")
def lookup(writer: Writer, node: Node, x: str, keys: str) -> str:
    """The keys' numbers, -1 for the default."""
    dtype, values = node.inputs[0].dtype, node.inputs[1].value
    kind = "strings" if is_string(dtype) else "floats" if dtype == np.float32 else "int64s"
    if dtype not in (np.dtype(object), np.float32, np.int64):
        kind, x = ("floats", writer.cast(x, np.float32)) if dtype.kind == "f" else ("int64s", writer.cast(x, np.int64))
        if dtype.kind == "f" and any(float(np.float32(v)) != v for v in values if v == v):
            raise UnsupportedOperatorError(f"{node!r}: LabelEncoder has keys of float32")
    return writer.emit("LabelEncoder", [x], domain=ML, **{f"keys_{kind}": values.tolist()}, values_int64s=list(range(len(values))), default_int64=-1)
