"""Mutations that add: nodes with odd parameters, parts of other models, long chains, deep nesting, functions, opsets."""
from __future__ import annotations

from random import Random

import onnx
from onnx import TensorProto, helper

from tests.fuzz import structure
from tests.fuzz.values import DOMAINS, DTYPES, integer, integers

# operators whose parameters are an int64 vector, an input of its own
WITH_VECTOR = ("Reshape", "Expand", "Tile", "Unsqueeze", "Squeeze", "ReduceSum", "Pad", "Slice", "Gather", "Split", "TopK", "Resize", "OneHot",
               "ConstantOfShape", "CenterCropPad", "GatherND", "ScatterND", "Range", "Trilu", "CumSum", "Compress", "ReverseSequence", "Scan")
UNARY = ("Neg", "Exp", "Relu", "Transpose", "Shape", "Size", "Softmax", "Identity", "Not", "Flatten", "NonZero", "Unique", "ReduceMax", "ArgMax",
         "Abs", "Sqrt", "LogSoftmax", "Hardmax", "Det", "EyeLike", "IsNaN", "GlobalAveragePool", "Dropout", "MeanVarianceNormalization")
BINARY = ("Add", "Mul", "Div", "Mod", "Pow", "MatMul", "Concat", "Gather", "Equal", "Where", "BitShift", "Einsum", "PRelu", "GatherElements", "Conv")


def insert(random: Random, model: onnx.ModelProto) -> None:
    """Some nodes that read what is there, the last of which is read instead of one of those values."""
    graph = random.choice(structure.graphs(model))
    names = structure.names(graph)
    if not names:
        return
    old = random.choice(names)
    value, made = old, []
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        output = f"new{random.randrange(10**9)}"
        kind = random.randrange(4)
        if kind == 0:
            made.append(_with_vector(random, graph, value, output))
        elif kind == 1:
            made.append(helper.make_node("Cast", [value], [output], to=random.choice(DTYPES)))
        elif kind == 2:
            made.append(helper.make_node(random.choice(UNARY), [value], [output]))
        else:
            pair = random.choice(([value, random.choice(names)], [random.choice(names), value], [value, value]))
            node = helper.make_node(random.choice(BINARY), pair, [output])
            if node.op_type == "Concat":
                node.attribute.append(helper.make_attribute("axis", random.choice((0, 1, -1, 5))))
            made.append(node)
        value = output
    _read_instead(random, graph, old, value)
    graph.node.extend(made)


def _with_vector(random: Random, graph: onnx.GraphProto, value: str, output: str) -> onnx.NodeProto:
    """A node with vectors of odd numbers as its other inputs."""
    operator = random.choice(WITH_VECTOR)
    inputs = [value]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        name = f"vector{random.randrange(10**9)}"
        numbers = integers(random, [random.choice((0, 1, -1, 2)) for _ in range(random.randrange(4))])
        shape = [] if len(numbers) == 1 and random.random() < 0.4 else [len(numbers)]
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, shape, numbers))
        inputs.append(name)
    return helper.make_node(operator, inputs, [output])


def _read_instead(random: Random, graph: onnx.GraphProto, old: str, new: str) -> None:
    """Some of what read `old` reads `new`."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old and random.random() < 0.7:
                node.input[place] = new
    for output in graph.output:
        if output.name == old and random.random() < 0.7:
            output.name = new
    if random.random() < 0.3:
        graph.output.add(name=new)


def grow_sizes(random: Random, model: onnx.ModelProto) -> None:
    """A value joined to itself, squared, or repeated, many times: sizes, and the expressions that say them, grow exponentially."""
    graph = model.graph
    names = structure.names(graph)
    if not names:
        return
    old = value = random.choice(names)
    operator = random.choice(("Concat", "Shape", "Kronecker", "Mul", "Tile"))
    shape = f"shape{random.randrange(10**9)}"
    for _ in range(random.choice((5, 20, 70))):
        output = f"grown{random.randrange(10**9)}"
        if operator == "Concat":
            graph.node.append(helper.make_node("Concat", [value] * random.choice((2, 2, 7)), [output], axis=0))
        elif operator == "Mul":
            graph.node.append(helper.make_node("Mul", [value, value], [output]))
        elif operator == "Shape":
            graph.node.extend([helper.make_node("Shape", [value], [shape]), helper.make_node("Tile", [value, shape], [output])])
        elif operator == "Tile":
            graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [1], [random.choice((2, 10, 2**31))]))
            graph.node.append(helper.make_node("Tile", [value, shape], [output]))
        else:
            graph.node.extend([helper.make_node("Flatten", [value], [shape], axis=0), helper.make_node("Transpose", [shape], [f"{shape}t"]),
                               helper.make_node("MatMul", [f"{shape}t", shape], [output])])
        value, shape = output, f"shape{random.randrange(10**9)}"
    if random.random() < 0.5:
        _read_instead(random, graph, old, value)
    else:
        graph.output.add(name=value)


def chain(random: Random, model: onnx.ModelProto) -> None:
    """A long line of nodes: nothing may go as deep as the graph is long."""
    names = structure.names(model.graph)
    if not names:
        return
    value = random.choice(names)
    operator = random.choice(("Neg", "Identity", "Transpose", "Relu", "Exp", "Unsqueeze"))
    for index in range(random.choice((100, 400, 1500))):
        node = helper.make_node(operator, [value], [f"chain{index}"])
        if operator == "Unsqueeze":
            node.attribute.append(helper.make_attribute("axes", [0]))
        model.graph.node.append(node)
        value = f"chain{index}"
    model.graph.output.add(name=value)


def nest(random: Random, model: onnx.ModelProto) -> None:
    """Branches inside branches inside branches."""
    names = structure.names(model.graph)
    if not names:
        return
    value = random.choice(names)
    model.graph.initializer.append(helper.make_tensor("condition", TensorProto.BOOL, [], [True]))
    condition = random.choice(("condition", "condition", random.choice(names)))
    branch = helper.make_graph([helper.make_node("Identity", [value], ["deep"])], "branch", [], [onnx.ValueInfoProto(name="deep")])
    for level in range(random.choice((1, 2, 5, 20, 31))):
        outer = helper.make_node("If", [condition], [f"level{level}"], then_branch=branch, else_branch=branch) if level < 4 else \
            helper.make_node("If", [condition], [f"level{level}"], then_branch=branch,
                             else_branch=helper.make_graph([helper.make_node("Identity", [value], ["flat"])], "flat", [],
                                                           [onnx.ValueInfoProto(name="flat")]))
        branch = helper.make_graph([outer], "branch", [], [onnx.ValueInfoProto(name=f"level{level}")])
    model.graph.node.append(helper.make_node("If", [condition], ["nested"], then_branch=branch, else_branch=branch))
    model.graph.output.add(name="nested")


def loop(random: Random, model: onnx.ModelProto) -> None:
    """A loop of any number of steps around a value, its body right or nearly so."""
    names = structure.names(model.graph)
    if not names:
        return
    start = random.choice(names)
    trips = helper.make_tensor(f"trips{random.randrange(10**6)}", TensorProto.INT64, random.choice(([], [1])), [integer(random, 3)])
    condition = helper.make_tensor(f"go{random.randrange(10**6)}", TensorProto.BOOL, [], [random.random() < 0.9])
    model.graph.initializer.extend([trips, condition])
    work = random.choice((helper.make_node("Neg", ["state"], ["next"]), helper.make_node("Concat", ["state", "state"], ["next"], axis=0),
                          helper.make_node("Add", ["state", "step"], ["next"]), helper.make_node("Unsqueeze", ["state"], ["next"], axes=[0]),
                          helper.make_node("Identity", [start], ["next"])))
    outputs = [onnx.ValueInfoProto(name=name) for name in ("go_on", "next", *random.choice(((), ("next",), ("step",))))]
    inputs = [helper.make_tensor_value_info("step", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
              onnx.ValueInfoProto(name="state")]
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["go_on"]), work], "body", inputs, outputs)
    made = f"looped{random.randrange(10**6)}"
    first = random.choice((trips.name, trips.name, "", random.choice(names)))
    model.graph.node.append(helper.make_node("Loop", [first, random.choice((condition.name, "")), start],
                                             [made, *(["scanned"] if len(outputs) == 3 else [])], body=body))
    model.graph.output.add(name=made)


def call_function(random: Random, model: onnx.ModelProto) -> None:
    """A node becomes a call of a function: one with the node in it, one that calls itself, one with the wrong number of inputs."""
    found = list(model.graph.node)
    if not found:
        return
    node = random.choice(found)
    inner = onnx.NodeProto()
    inner.CopyFrom(node)
    name = f"function{random.randrange(10**6)}"
    imports = [helper.make_opsetid("", random.choice((11, 13, 17, 21)))] if random.random() < 0.3 else list(model.opset_import)
    body = [inner]
    kind = random.randrange(4)
    if kind == 0:
        body = [helper.make_node(name, list(node.input), list(node.output), domain="own")]
    function = helper.make_function("own", name, list(dict.fromkeys(filter(None, node.input))), list(filter(None, node.output)), body, imports)
    if kind == 1 and function.input:
        del function.input[-1]
    if kind == 2:
        for attribute in function.node[0].attribute:
            attribute.ref_attr_name = attribute.name
        function.attribute.extend(a.name for a in node.attribute)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    call = helper.make_node(name, list(dict.fromkeys(filter(None, node.input))), list(filter(None, node.output)), domain="own")
    if kind == 2 and random.random() < 0.5:
        call.attribute.extend(node.attribute)
    node.CopyFrom(call)


def change_opset(random: Random, model: onnx.ModelProto) -> None:
    """Another version of the operators: older, newer, none, twice, absurd."""
    kind = random.randrange(7)
    entry = random.choice(model.opset_import) if model.opset_import else model.opset_import.add()
    if kind < 4:
        entry.version = random.randint(1, 27)
    elif kind == 4:
        entry.version = integer(random, entry.version)
    elif kind == 5:
        entry.domain = random.choice(DOMAINS)
    else:
        model.opset_import.add(domain=random.choice(DOMAINS), version=random.randint(1, 27))


def change_header(random: Random, model: onnx.ModelProto) -> None:
    """What a model says about itself: its version, its name, its metadata."""
    model.ir_version = random.choice((0, 1, 3, 7, 10, 99, -1, 2**62))
    model.graph.name = random.choice(("", "*/", "x" * 1000, "main", "int", "数", "a b", "\x01"))
    model.metadata_props.add(key=random.choice(("", "*/", "a")), value=random.choice(("", '"', "\\", "x" * 5000)))


MUTATIONS = ((insert, 10), (grow_sizes, 1), (chain, 0.2), (nest, 0.5), (loop, 2), (call_function, 2), (change_opset, 2), (change_header, 0.5))
