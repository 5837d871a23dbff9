"""Sequences and optional values."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx import sequences
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.frontends.onnx.values import Items, OptionalValue, SequenceValue, Value, value_of_type
from dlcompile.graph import Tensor, make_constant


@importer("SequenceEmpty")
def sequence_empty(node: OnnxNode) -> Value:
    return Items((), element_type(node.get("dtype", 1), "the items"))


@importer("SequenceConstruct")
def sequence_construct(node: OnnxNode, *items: Tensor) -> Value:
    return Items(items, items[0].dtype)


@importer("SequenceAt")
def sequence_at(node: OnnxNode, sequence: SequenceValue, position: Tensor) -> Value:
    return sequences.at(sequence, position)


@importer("SequenceInsert")
def sequence_insert(node: OnnxNode, sequence: SequenceValue, item: Tensor, position: Tensor | None = None) -> Value:
    return sequences.insert(sequence, item, position)


@importer("SequenceErase")
def sequence_erase(node: OnnxNode, sequence: SequenceValue, position: Tensor | None = None) -> Value:
    return sequences.erase(sequence, position)


@importer("SequenceLength")
def sequence_length(node: OnnxNode, sequence: SequenceValue) -> Value:
    return ops.reshape(ops.shape_vector((sequence.length,)), ())


@importer("ConcatFromSequence")
def concat_from_sequence(node: OnnxNode, sequence: SequenceValue) -> Value:
    return sequences.concatenated(sequence, node["axis"], bool(node.get("new_axis", 0)))


@importer("SplitToSequence")
def split_to_sequence(node: OnnxNode, x: Tensor, parts: Tensor | None = None) -> Value:
    return sequences.split(x, parts, node.get("axis", 0), bool(node.get("keepdims", 1)))


@importer("Optional")
def optional(node: OnnxNode, value: Value | None = None) -> Value:
    """A value, or none of the type that the attribute says."""
    if value is not None:
        return OptionalValue(make_constant(np.True_), value)
    kind = node["type"]
    return OptionalValue(make_constant(np.False_), None if kind is None else value_of_type(kind, "the optional value"))


@importer("OptionalHasElement")
def optional_has_element(node: OnnxNode, value: Value | None = None) -> Value:
    if isinstance(value, OptionalValue):
        return value.present
    return make_constant(np.bool_(value is not None))


@importer("OptionalGetElement")
def optional_get_element(node: OnnxNode, value: Value) -> Value:
    """The value; the run ends with an error where it is not there."""
    if not isinstance(value, OptionalValue):
        return value
    known = constant_value(value.present)
    if value.value is None or known is not None and not known:
        raise InvalidModelError("the optional value is never there")
    if known is None:
        assume_equal(ops.dim_of(ops.cast(value.present, np.int64)), 1, "whether the optional value is there:")
    return value.value
