"""Mutations of attributes: their values, types, names, and whether they are there."""
from __future__ import annotations

from random import Random

import onnx
from onnx import AttributeProto, NodeProto, defs, helper

from tests.fuzz import structure
from tests.fuzz.values import ATTRIBUTE_TYPES, integer, integers, number, text


def change_value(random: Random, model: onnx.ModelProto) -> None:
    """Another value of the same type."""
    found = structure.attributes(model)
    if found:
        _change(random, random.choice(found))


def _change(random: Random, attribute: AttributeProto) -> None:
    match attribute.type:
        case AttributeProto.INT:
            attribute.i = integer(random, attribute.i)
        case AttributeProto.INTS:
            attribute.ints[:] = integers(random, attribute.ints)
        case AttributeProto.FLOAT:
            attribute.f = number(random, attribute.f)
        case AttributeProto.FLOATS:
            values = [number(random) if random.random() < 0.4 else v for v in attribute.floats]
            attribute.floats[:] = random.choice((values, values[:-1], [*values, 1.0], []))
        case AttributeProto.STRING:
            attribute.s = text(random, attribute.s)
        case AttributeProto.STRINGS:
            values = [text(random) if random.random() < 0.4 else v for v in attribute.strings]
            attribute.strings[:] = random.choice((values, values[:-1], [*values, text(random)], []))


def change_type(random: Random, model: onnx.ModelProto) -> None:
    """A type that is not that of the value, or another type with a value."""
    found = structure.attributes(model)
    if not found:
        return
    attribute = random.choice(found)
    if random.random() < 0.5:
        attribute.type = random.choice(ATTRIBUTE_TYPES)
        return
    made = _attribute(random, attribute.name)
    attribute.Clear()
    attribute.CopyFrom(made)


def _attribute(random: Random, name: str) -> AttributeProto:
    value = random.choice((integer(random), number(random), text(random), integers(random, [1, 2]), [number(random), 1.0], [text(random)],
                           helper.make_tensor("t", onnx.TensorProto.INT64, [1], [integer(random)]),
                           helper.make_graph([], "g", [], [])))
    if value == []:
        return helper.make_attribute(name, [], attr_type=AttributeProto.INTS)
    return helper.make_attribute(name, value)


def remove(random: Random, model: onnx.ModelProto) -> None:
    """One attribute fewer."""
    node = _with_attributes(random, model)
    if node is not None:
        del node.attribute[random.randrange(len(node.attribute))]


def repeat(random: Random, model: onnx.ModelProto) -> None:
    """The same attribute twice, the second with another value perhaps."""
    node = _with_attributes(random, model)
    if node is not None:
        node.attribute.append(random.choice(node.attribute))
        if random.random() < 0.5:
            _change(random, node.attribute[-1])


def rename(random: Random, model: onnx.ModelProto) -> None:
    """An attribute by another name: one of the same operator, or of any."""
    node = _with_attributes(random, model)
    if node is not None:
        names = _declared(node) or ["axis", "axes", "body", "value", "to"]
        random.choice(node.attribute).name = random.choice([*names, "", "no_such", "*/"])


def add(random: Random, model: onnx.ModelProto) -> None:
    """An attribute the operator has, of its type or another, with some value."""
    found = structure.nodes(model)
    if not found:
        return
    node = random.choice(found)
    declared = _declared(node)
    if not declared:
        return
    name = random.choice(list(declared))
    kind = declared[name]
    values = {defs.OpSchema.AttrType.INT: integer(random), defs.OpSchema.AttrType.FLOAT: number(random),
              defs.OpSchema.AttrType.STRING: text(random), defs.OpSchema.AttrType.INTS: integers(random, [0, 1]) or [0],
              defs.OpSchema.AttrType.FLOATS: [number(random), number(random)], defs.OpSchema.AttrType.STRINGS: [text(random), text(random)]}
    made = helper.make_attribute(name, values[kind]) if kind in values and random.random() < 0.85 else _attribute(random, name)
    for index, attribute in enumerate(node.attribute):
        if attribute.name == name:
            del node.attribute[index]
            break
    node.attribute.append(made)


def refer(random: Random, model: onnx.ModelProto) -> None:
    """An attribute that is one of the function around it, where there is no function, or no such attribute."""
    found = structure.attributes(model)
    if found:
        random.choice(found).ref_attr_name = random.choice(["axis", "alpha", "no_such", ""])


def _with_attributes(random: Random, model: onnx.ModelProto) -> NodeProto | None:
    found = [node for node in structure.nodes(model) if node.attribute]
    return random.choice(found) if found else None


def _declared(node: NodeProto) -> dict[str, int]:
    """The attributes that the newest version of the operator has: name → type."""
    try:
        return {name: a.type for name, a in defs.get_schema(node.op_type, node.domain).attributes.items()}
    except (defs.SchemaError, TypeError, ValueError):
        return {}


MUTATIONS = ((change_value, 8), (change_type, 2), (remove, 1), (repeat, 1), (rename, 1), (add, 5), (refer, 1))
