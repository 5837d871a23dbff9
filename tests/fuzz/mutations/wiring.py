"""Mutations of what reads what: names, nodes, inputs and outputs of graphs and of the graphs inside them."""
from __future__ import annotations

from random import Random

import onnx
from onnx import AttributeProto, GraphProto

from tests.fuzz import structure
from tests.fuzz.values import DOMAINS, OPERATORS

ODD_NAMES = ("", "no such value", "*/", "x" * 3000, "\x01", "数", "0")


def _body(random: Random, model: onnx.ModelProto) -> structure.Body:
    found = structure.bodies(model)
    return random.choice(found)


def _body_with_nodes(random: Random, model: onnx.ModelProto) -> structure.Body | None:
    found = [body for body in structure.bodies(model) if body.node]
    return random.choice(found) if found else None


def rewire(random: Random, model: onnx.ModelProto) -> None:
    """A node reads another value: one before it, one after it, its own, one of another graph."""
    body = _body_with_nodes(random, model)
    if body is None:
        return
    node = random.choice(body.node)
    near = structure.names(body if random.random() < 0.85 else _body(random, model))
    if node.input and near:
        node.input[random.randrange(len(node.input))] = random.choice(near)


def misname(random: Random, model: onnx.ModelProto) -> None:
    """A node reads or makes what has no name, or another's."""
    body = _body_with_nodes(random, model)
    if body is None:
        return
    node = random.choice(body.node)
    group = random.choice((node.input, node.output))
    if group:
        group[random.randrange(len(group))] = random.choice([*ODD_NAMES, *structure.names(body)])


def change_arity(random: Random, model: onnx.ModelProto) -> None:
    """One input or output more or fewer; or very many."""
    body = _body_with_nodes(random, model)
    if body is None:
        return
    node = random.choice(body.node)
    kind = random.randrange(6)
    near = structure.names(body) or [""]
    if kind == 0 and node.input:
        del node.input[random.randrange(len(node.input))]
    elif kind == 1:
        node.input.insert(random.randint(0, len(node.input)), random.choice([*near, ""]))
    elif kind == 2 and node.output:
        del node.output[random.randrange(len(node.output))]
    elif kind == 3:
        node.output.append(f"more{random.randrange(1000)}")
    elif kind == 4:
        node.input.extend([random.choice(near)] * random.choice((3, 20, 300)))
    else:
        del node.input[:]


def change_operator(random: Random, model: onnx.ModelProto) -> None:
    """Another operator, with the inputs and attributes of this one."""
    found = structure.nodes(model)
    if found:
        node = random.choice(found)
        node.domain, node.op_type = random.choice(OPERATORS)


def change_domain(random: Random, model: onnx.ModelProto) -> None:
    """Another domain, an overload, or a name for the node."""
    found = structure.nodes(model)
    if not found:
        return
    node = random.choice(found)
    kind = random.randrange(4)
    if kind == 0:
        node.domain = random.choice(DOMAINS)
    elif kind == 1:
        node.overload = random.choice(("", "a", "x" * 100))
    elif kind == 2:
        node.name = random.choice(ODD_NAMES)
    else:
        node.op_type = random.choice(("", "NoSuch", "x" * 1000, "*/", "__import__"))


def change_nodes(random: Random, model: onnx.ModelProto) -> None:
    """Nodes in another order, one twice, one fewer, none."""
    body = _body_with_nodes(random, model)
    if body is None:
        return
    kind = random.randrange(5)
    if kind == 0:
        shuffled = random.sample(list(body.node), len(body.node))
        copies = [onnx.NodeProto() for _ in shuffled]
        for copy, node in zip(copies, shuffled):
            copy.CopyFrom(node)
        del body.node[:]
        body.node.extend(copies)
    elif kind == 1:
        body.node.append(random.choice(body.node))
    elif kind < 4:
        del body.node[random.randrange(len(body.node))]
    elif random.random() < 0.2:
        del body.node[:]


def change_interface(random: Random, model: onnx.ModelProto) -> None:
    """Inputs and outputs of a graph or function: renamed, twice, gone, more, in another order."""
    body = _body(random, model)
    group = random.choice((body.input, body.output))
    plain = not isinstance(body, GraphProto)
    kind = random.randrange(6)
    if not group:
        return
    place = random.randrange(len(group))
    near = [*structure.names(body), *ODD_NAMES]
    if kind == 0 and plain:
        group[place] = random.choice(near)
    elif kind == 0:
        group[place].name = random.choice(near)
    elif kind == 1:
        group.append(group[place])
    elif kind == 2:
        del group[place]
    elif kind == 3 and not plain:
        made = group.add()
        made.CopyFrom(group[place])
        made.name = random.choice(near)
    elif kind == 4:
        del group[:]
    elif len(group) > 1:
        first, last = group[0], group[-1]
        if plain:
            group[0], group[-1] = last, first
        else:
            first.name, last.name = last.name, first.name


def expose(random: Random, model: onnx.ModelProto) -> None:
    """A value inside becomes an output of the graph."""
    near = structure.names(model.graph)
    if near:
        model.graph.output.add(name=random.choice(near))


def change_initializers(random: Random, model: onnx.ModelProto) -> None:
    """An initializer twice, gone, renamed, or turned into an input."""
    found = [g for g in structure.graphs(model) if g.initializer]
    if not found:
        return
    graph = random.choice(found)
    place = random.randrange(len(graph.initializer))
    tensor = graph.initializer[place]
    kind = random.randrange(5)
    if kind == 0:
        graph.initializer.append(tensor)
    elif kind == 1:
        del graph.initializer[place]
    elif kind == 2:
        tensor.name = random.choice([*structure.names(graph), *ODD_NAMES])
    elif kind == 3:
        graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type % 30, list(tensor.dims)))
        if random.random() < 0.7:
            del graph.initializer[place]
    else:
        sparse = graph.sparse_initializer.add()
        sparse.values.CopyFrom(tensor)
        sparse.dims[:] = tensor.dims
        del graph.initializer[place]


def swap_subgraphs(random: Random, model: onnx.ModelProto) -> None:
    """Branches and bodies exchanged, emptied, taken away, or put where none belongs."""
    found = [a for a in structure.attributes(model) if a.HasField("g")]
    if not found or random.random() < 0.1:
        nodes = structure.nodes(model)
        if nodes:
            made = random.choice(nodes).attribute.add(name=random.choice(("body", "then_branch", "else_branch", "value")),
                                                      type=AttributeProto.GRAPH)
            copy = GraphProto()
            copy.CopyFrom(model.graph)
            made.g.CopyFrom(copy)
        return
    attribute, other = random.choice(found), random.choice(found)
    kind = random.randrange(4)
    copy = GraphProto()
    copy.CopyFrom(other.g if kind else model.graph)
    if kind == 3:
        attribute.ClearField("g")
        attribute.graphs.append(copy)
    elif kind == 2:
        attribute.g.Clear()
    else:
        attribute.g.CopyFrom(copy)


MUTATIONS = ((rewire, 6), (misname, 3), (change_arity, 4), (change_operator, 5), (change_domain, 1), (change_nodes, 2), (change_interface, 4),
             (expose, 2), (change_initializers, 3), (swap_subgraphs, 3))
