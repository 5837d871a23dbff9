"""The walk from an ONNX model to a `Graph`: names to tensors, nodes in order, each through its row or its function
body."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto

import dlcompile.frontends.onnx.rows  # noqa: F401  (fills the table of importers)
import dlcompile.operators  # noqa: F401  (fills the table of operators)
from dlcompile.errors import ArgumentError, Error, InvalidModelError, UnsupportedOperatorError
from dlcompile.frontends.onnx import unsupported
from dlcompile.frontends.onnx.captures import graphs_of, reads
from dlcompile.frontends.onnx.interface import Inputs, input_value, output_port, structure
from dlcompile.frontends.onnx.node import Declined, OnnxNode, find_importer, find_schema, normal_domain
from dlcompile.frontends.onnx.reader import Source, element_type, open_model, opset_version, read_sparse, read_tensor
from dlcompile.frontends.onnx.shapes import SymbolTable, assumptions, fixed_symbols
from dlcompile.frontends.onnx.values import OptionalValue, SequenceValue, Value
from dlcompile.frontends.onnx.whole import declare, is_whole, kept_whole, proto_of
from dlcompile.graph import (
    Dim,
    DimLike,
    Graph,
    Shape,
    Tensor,
    current_origin,
    make_constant,
    make_input,
    provenance,
    substitute,
    unknown_names,
)
from dlcompile.graph.graph import Constraint

# ONNX Runtime has these at opsets where ONNX does not
BEFORE_ONNX = {"LayerNormalization", "SimplifiedLayerNormalization"}
Functions = Mapping[tuple[str, str, str], FunctionProto]


MOST_EXPANDED = 50_000  # nodes: functions that call functions twice each are exponentially many


@dataclass
class Budget:
    """How many nodes of function bodies may still be imported."""

    left: int

    def spend(self, count: int) -> None:
        """InvalidModelError where that is more than is left."""
        self.left -= count
        if self.left < 0:
            raise InvalidModelError(f"its functions have more than {MOST_EXPANDED} nodes once they are expanded")


@dataclass
class Scope:
    """The values that nodes of one graph (or function body) can see, and what their operators mean.

    values: tensors (and sequences, optional values) by name; an initializer stays a proto until it is read.
    parent: the scope of the graph around a branch or a loop's body.
    versions: of each operator domain; `functions`: those the model brings; `inside`: the functions being expanded.
    """

    source: Source
    versions: Mapping[str, int]
    functions: Functions
    parent: Scope | None = None
    values: dict[str, Value | TensorProto] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
    budget: Budget = field(default_factory=lambda: Budget(MOST_EXPANDED))

    def find(self, name: str) -> Value:
        """The value called `name` here or in a graph around this one."""
        scope: Scope | None = self
        while scope is not None:
            value = scope.values.get(name)
            if isinstance(value, TensorProto):
                value = scope.values[name] = make_constant(read_tensor(value, self.source), name=name)
            if value is not None:
                return value
            scope = scope.parent
        raise InvalidModelError(f"the value {name!r} is made by no node, and is neither an input nor an initializer")

    def has(self, name: str) -> bool:
        return name in self.values or (self.parent is not None and self.parent.has(name))

    def child(self) -> Scope:
        """The scope of a graph inside this one."""
        return Scope(self.source, self.versions, self.functions, self, inside=self.inside, budget=self.budget)

    def import_graph(self, graph: GraphProto, inputs: Sequence[Value] = ()) -> list[Value]:
        """The outputs of a graph nested in this scope (a branch, a body) when its formal inputs are the given
        tensors."""
        scope = self.child()
        if len(inputs) != len(graph.input):
            raise InvalidModelError(
                f"the graph {graph.name!r} takes {len(graph.input)} inputs; it is given {len(inputs)}"
            )
        declare_initializers(graph, scope)
        scope.values.update((formal.name, tensor) for formal, tensor in zip(graph.input, inputs))
        import_nodes(graph.node, scope)
        return [scope.find(output.name) for output in graph.output]


def import_onnx(source: str | os.PathLike | bytes | onnx.ModelProto, *, name: str | None = None,
                dims: Mapping[str, int | str] | None = None, values: Mapping[str, ArrayLike] | None = None) -> Graph:
    """The graph of an ONNX model.

    source: the path of a file (external data is read from below its folder), the bytes of one, or a `ModelProto`.
    name: of the graph; by default the file's stem, or the name the model gives itself.
    dims: symbolic dimensions pinned to an integer, or renamed: `{"batch": 8, "N": "batch"}`. Symbols are named as the
    model's `dim_param`s, with whatever an identifier cannot hold made `_`; a dimension without a name becomes
    `<input>_d<axis>`.
    values: inputs fixed to a value, `{"sample_rate": 16000}`: constants of the graph, no inputs of it. What depends on
    them alone, such as which branch of an `If` is taken, is decided here.

    Opsets 7 to the newest that the onnx package knows are read as they are, older ones through its version converter.
    Raises `UnsupportedOperatorError` naming every operator that is not known, and `InvalidModelError` (`ShapeError`,
    `DTypeError`) naming the file, the node and what was expected.
    """
    opened = open_model(source)
    try:
        return _import(opened, name or opened.name, dims or {}, values or {})
    except RecursionError:
        raise InvalidModelError(f"{opened.label}: functions or branches are nested too deep") from None
    except Error as error:
        if str(error).startswith(f"{opened.label}: "):
            raise
        raise type(error)(f"{opened.label}: {error}") from error.__cause__


def _import(source: Source, name: str, dims: Mapping[str, int | str], values: Mapping[str, ArrayLike]) -> Graph:
    proto = source.model.graph
    versions = _versions(source.model.opset_import, source.label)
    functions: Functions = {(normal_domain(f.domain), f.name, f.overload): f for f in source.model.functions}
    scope = Scope(source, versions, functions)
    _refuse_unknown(proto.node, scope)
    declare_initializers(proto, scope)
    # before IR version 4 initializers are listed as inputs too
    inputs = [i for i in proto.input if i.name not in scope.values]
    _refuse_repeated("input", [i.name for i in inputs])
    _refuse_repeated("output", [o.name for o in proto.output])
    if not proto.output:
        raise InvalidModelError("the graph has no outputs")
    _fix_inputs(scope, inputs, values)
    inputs = [i for i in inputs if i.name not in values]
    symbols = SymbolTable(dims)
    declared = Inputs(inputs, symbols)
    symbols.finish()
    fixed: dict[str, DimLike] = {}
    while True:
        shapes = [symbols.resolve(part.shape, fixed) for part in declared.parts]
        with assumptions() as assumed, unknown_names(symbols.names.values()):
            try:
                graph = _walk(source, name, scope.child(), declared, shapes, assumed)
                found = fixed_symbols(graph.constraints)
            except Error:
                graph, found = None, fixed_symbols(assumed)
                if found.keys() <= fixed.keys():
                    raise
        if found.keys() <= fixed.keys():
            return graph
        # the model can run with one value of these only, so they are no symbols of it; what else follows from that?
        fixed = {key: substitute(value, found) for key, value in fixed.items()} | found


def _walk(source: Source, name: str, scope: Scope, inputs: Inputs, shapes: Sequence[Shape],
          assumed: Sequence[Constraint]) -> Graph:
    """The graph of a model whose inputs have the given shapes."""
    proto = source.model.graph
    tensors = {part.name: make_input(part.name, part.dtype, shape) for part, shape in zip(inputs.parts, shapes)}
    scope.values.update((port["name"], input_value(port, tensors)) for port in inputs.ports)
    import_nodes(proto.node, scope)
    taken = {o.name for o in proto.output}
    ports, outputs = [], []
    for output in proto.output:
        port, parts = output_port(output.name, _output(scope, output.name), taken)
        ports.append(port)
        outputs += parts
    return Graph(
        name,
        list(tensors.values()),
        [tensor for _, tensor in outputs],
        input_names=list(tensors),
        output_names=[output for output, _ in outputs],
        constraints=assumed,
        structure=structure(inputs.ports, ports),
    )


def _output(scope: Scope, name: str) -> Value:
    try:
        return scope.find(name)
    except InvalidModelError as error:
        raise InvalidModelError(f"output {name!r}: {error}") from None


def _fix_inputs(scope: Scope, inputs: Sequence[onnx.ValueInfoProto], values: Mapping[str, ArrayLike]) -> None:
    """Make constants of the inputs that are given a value. `ArgumentError` where there is no such input or the value
    does not fit it."""
    declared = {i.name: i for i in inputs}
    for name, value in values.items():
        if name not in declared:
            raise ArgumentError(
                f"values: the model has no input {name!r}; it has {', '.join(map(repr, declared)) or 'none'}"
            )
        dtype, array = _input_dtype(declared[name]), np.asarray(value)
        shape = [d.dim_value if d.HasField("dim_value") else None for d in declared[name].type.tensor_type.shape.dim]
        if len(shape) != array.ndim or any(d is not None and d != n for d, n in zip(shape, array.shape)):
            raise ArgumentError(f"values: {name!r} has the shape {list(array.shape)}; expected {shape} (None: any)")
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise ArgumentError(f"values: {name!r} is {array.dtype}; expected {dtype}")
        scope.values[name] = make_constant(array.astype(dtype), name=name)


def _input_dtype(value: onnx.ValueInfoProto):
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise InvalidModelError(f"input {value.name!r} is of the kind {kind or 'unknown'}; expected a tensor")
    return element_type(value.type.tensor_type.elem_type, f"input {value.name!r}")


def _versions(imports, label: str) -> dict[str, int]:
    versions = {normal_domain(entry.domain): entry.version for entry in imports}
    versions[""] = opset_version(imports, label)
    return versions


def _refuse_repeated(kind: str, names: Sequence[str]) -> None:
    repeated = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) != len(names) else []
    if repeated:
        raise InvalidModelError(f"{kind} names are given more than once: {', '.join(map(repr, repeated))}")


def declare_initializers(graph: GraphProto, scope: Scope) -> None:
    """Put the initializers of a graph among the values of `scope`."""
    for proto in graph.initializer:
        if proto.name in scope.values:
            raise InvalidModelError(f"the initializer {proto.name!r} is given more than once")
        scope.values[proto.name] = proto
    for sparse in graph.sparse_initializer:
        name = sparse.values.name
        if name in scope.values:
            raise InvalidModelError(f"the initializer {name!r} is given more than once")
        scope.values[name] = make_constant(read_sparse(sparse, scope.source), name=name)


# -- nodes -------------------------------------------------------------------------------------------------------------
def node_names(nodes: Iterable[NodeProto]) -> list[str]:
    """What to call each node: its name, or its operator and position."""
    return [node.name or f"{node.op_type}_{index}" for index, node in enumerate(nodes)]


def import_nodes(nodes: Sequence[NodeProto], scope: Scope, formal: Mapping[str, AttributeProto] | None = None,
                 names: Sequence[str] | None = None) -> None:
    """Import the nodes of one graph into `scope`. `names`: what to call them where it is not what `node_names` says."""
    names = names or node_names(nodes)
    for index in _in_order(nodes, names, scope):
        proto = nodes[index]
        node = OnnxNode(proto, names[index], scope.versions.get(normal_domain(proto.domain), 1), scope, formal)
        with provenance(node.name):
            outputs = _checked(node)
        for position, name in enumerate(proto.output):
            tensor = outputs[position] if position < len(outputs) else None
            if not name:
                continue
            if tensor is None:
                raise UnsupportedOperatorError(
                    f"node {node.name!r} ({node.op_type}): its output {position} ({name!r}) is not supported"
                )
            if isinstance(tensor, Tensor) and tensor.name is None:
                tensor.name = name
            scope.values[name] = tensor


def _checked(node: OnnxNode) -> Sequence[Tensor]:
    """The outputs of a node; whatever goes wrong says which node it was."""
    where = f"node {node.name!r} ({node.op_type})"
    try:
        inputs = [node.scope.find(name) if name else None for name in node.proto.input]
        while inputs and inputs[-1] is None:
            inputs.pop()
        outputs = _apply(node, inputs)
        return outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    except Error as error:
        if str(error).startswith(("node ", f"{node.scope.source.label}: ")):  # of a node inside this one
            raise
        raise type(error)(f"{where}: {error}") from error.__cause__
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError) as error:
        raise InvalidModelError(f"{where}: {error}") from error  # what attributes and shapes that make no sense lead to


def _apply(node: OnnxNode, inputs: list[Tensor | None]) -> Tensor | Sequence[Tensor]:
    local = node.scope.functions.get((node.domain, node.op_type, node.proto.overload))
    if local is not None:
        return _expand(node, local, inputs)
    node.check(inputs)
    whole = kept_whole(node, inputs) if is_whole(node) else None
    return _meaning(node, inputs) if whole is None else whole


def _meaning(node: OnnxNode, inputs: list[Tensor | None]) -> Tensor | Sequence[Tensor]:
    """The outputs of a node of an operator of ONNX, by its row or its body."""
    row = find_importer(node.domain, node.op_type, node.version)
    if row is not None:
        with contextlib.suppress(Declined):
            return row(node, *inputs)
    return _expand(node, _function_body(node, inputs), inputs)


def _taken_apart(domain: str, name: str, attributes: Mapping, operands: tuple[Tensor, ...]) -> Sequence[Tensor]:
    """What an operator that was kept whole means."""
    proto, names = proto_of(domain, name, attributes)
    versions = {"": attributes["version"]} if domain == "" else {domain: attributes["version"], "": onnx.defs.onnx_opset_version()}
    scope = Scope(Source(onnx.ModelProto(), name, name, None), versions, {}, values=dict(zip(names, operands)))
    node = OnnxNode(proto, ", ".join(current_origin()) or name, attributes["version"], scope)
    made = _meaning(node, [scope.values[n] if n else None for n in proto.input])
    return made if isinstance(made, (tuple, list)) else (made,)


declare(_taken_apart)


def _in_order(nodes: Sequence[NodeProto], names: Sequence[str], scope: Scope) -> list[int]:
    """The positions of the nodes, each after those it reads from: as given wherever that is such an order already."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for output in filter(None, node.output):
            if output in makers or output in scope.values:
                raise InvalidModelError(
                    f"node {names[index]!r} ({node.op_type}): its output {output!r} is made more than once"
                )
            makers[output] = index
    needs = [reads(node) for node in nodes]
    missing = [f"{value!r} of node {names[i]!r} ({nodes[i].op_type})" for i, values in enumerate(needs)
               for value in values if value not in makers and not scope.has(value)]
    if missing:
        raise InvalidModelError(
            f"inputs that no node makes, and that are neither graph inputs nor initializers: {', '.join(missing)}"
        )
    order: list[int] = []
    done = [False] * len(nodes)
    for root in range(len(nodes)):
        path: dict[int, None] = {}
        stack = [root]
        while stack:
            index = stack[-1]
            if done[index]:
                stack.pop()
                continue
            waiting = [makers[v] for v in needs[index] if v in makers and not done[makers[v]]]
            if not waiting:
                done[index] = True
                order.append(index)
                path.pop(index, None)
                stack.pop()
                continue
            path[index] = None
            if any(w in path for w in waiting):
                around = ", ".join(f"{names[i]!r} ({nodes[i].op_type})" for i in path)
                raise InvalidModelError(f"the graph has a cycle through {around}")
            stack += waiting
    return order


# -- operators without a row -------------------------------------------------------------------------------------------
def _refuse_unknown(nodes: Sequence[NodeProto], scope: Scope) -> None:
    """`UnsupportedOperatorError` naming every operator of the model that has neither a row nor a function body."""
    unknown: dict[tuple[str, str], list[str]] = {}
    visited: set[int] = set()

    def visit(nodes, versions) -> None:
        for node, name in zip(nodes, node_names(nodes)):
            domain = normal_domain(node.domain)
            local = scope.functions.get((domain, node.op_type, node.overload))
            if local is not None:
                if id(local) not in visited:
                    visited.add(id(local))
                    visit(local.node, _versions(local.opset_import, f"function {local.name!r}"))
            elif not _is_known(domain, node.op_type, versions.get(domain, 1)):
                unknown.setdefault((domain, node.op_type), []).append(repr(name))
            for graph in graphs_of(node):
                visit(graph.node, versions)

    visit(nodes, scope.versions)
    if unknown:
        listed = "; ".join(
            f"{f'{domain}.' if domain else ''}{op} (node {', '.join(names[:8])}{' and more' if len(names) > 8 else ''})"
            f"{unsupported.reason(domain, op)}"
            for (domain, op), names in sorted(unknown.items())
        )
        raise UnsupportedOperatorError(f"operators that are not supported at opset {scope.versions['']}: {listed}")


def _is_known(domain: str, name: str, version: int) -> bool:
    if find_importer(domain, name, version) is not None:
        return domain != "" or name in BEFORE_ONNX or find_schema(domain, name, version) is not None
    schema = find_schema(domain, name, version)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def _function_body(node: OnnxNode, inputs: list[Tensor | None]) -> FunctionProto:
    """The body ONNX itself gives an operator, for the types of its inputs where it depends on them."""
    schema = node.schema
    body = FunctionProto()
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= node.version]
        text = schema.get_function_with_opset_version(max(versions)) if versions else b""
    else:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= node.version]
        proto = NodeProto()
        proto.CopyFrom(node.proto)
        del proto.attribute[:]
        proto.attribute.extend(node.attribute_protos.values())
        types = [_type_proto(t).SerializeToString() for t in inputs]
        text = (
            schema.get_context_dependent_function_with_opset_version(max(versions), proto.SerializeToString(), types)
            if versions
            else b""
        )
    if not text:
        raise UnsupportedOperatorError(
            f"ONNX gives {node.op_type} no definition at opset {node.version} for these inputs"
        )
    body.ParseFromString(text)
    return body


def _type_proto(tensor: Value | None) -> onnx.TypeProto:
    if tensor is None:
        return onnx.TypeProto()
    if isinstance(tensor, OptionalValue):
        return onnx.helper.make_optional_type_proto(_type_proto(tensor.value))
    if isinstance(tensor, SequenceValue):
        item = onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(tensor.dtype), None)
        return onnx.helper.make_sequence_type_proto(item)
    code = onnx.helper.np_dtype_to_tensor_dtype(tensor.dtype)
    return onnx.helper.make_tensor_type_proto(code, [str(d) if isinstance(d, Dim) else d for d in tensor.shape])


def _expand(node: OnnxNode, function: FunctionProto, inputs: list[Tensor | None]) -> list[Tensor | None]:
    """The outputs of a function's body for these inputs and the node's attributes."""
    if function.name in node.scope.inside:
        raise InvalidModelError(f"the function {function.name!r} calls itself")
    node.scope.budget.spend(len(function.node))
    if len(inputs) > len(function.input):
        raise InvalidModelError(f"{len(inputs)} inputs; the function {function.name!r} has {len(function.input)}")
    versions = _versions(function.opset_import, f"function {function.name!r}")
    scope = Scope(node.scope.source, versions, node.scope.functions, inside=(*node.scope.inside, function.name), budget=node.scope.budget)
    left_out = {
        name for name, tensor in zip(function.input, [*inputs, *[None] * len(function.input)]) if tensor is None
    }
    scope.values.update((name, tensor) for name, tensor in zip(function.input, inputs) if tensor is not None)
    formal = {proto.name: proto for proto in function.attribute_proto}
    if node.schema is not None:
        formal.update((name, a.default_value) for name, a in node.schema.attributes.items() if a.default_value.type)
    formal.update(node.attribute_protos)
    body = [_without(proto, left_out) for proto in function.node]
    import_nodes(body, scope, formal, [node.name] * len(body))
    return [scope.find(name) if scope.has(name) else None for name in function.output]


def _without(node: NodeProto, left_out: set[str]) -> NodeProto:
    """A node of a function's body, where inputs the caller left out are left out of it too."""
    if not left_out.intersection(node.input):
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = ["" if name in left_out else name for name in node.input]
    return copy



