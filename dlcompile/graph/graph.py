"""Graphs: what can be reached from some outputs, in topological order."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dlcompile.errors import InvalidModelError
from dlcompile.graph.dim import DimLike, Symbol, symbols_of
from dlcompile.graph.tensor import Node, Tensor, provenance, symbols_in
from dlcompile.graph.unknown import DEFINE, defined_symbol

Constraint = tuple[DimLike, DimLike, tuple[str, ...]]


class Graph:
    """Named inputs and outputs and the nodes between them. Immutable; a transform makes a new one.

    inputs, outputs: tensors; `input_names`, `output_names` their names, unique among inputs and among outputs.
    nodes: all nodes that an output depends on, each after the nodes it depends on.
    constraints: (left, right, origin) for each pair of dimensions that a type rule took as equal without seeing it. Those of the
    nodes, and those handed on from the graph this one was made of: a transform may drop a node, not what the model relied on.
    definitions: the tensor that defines each dimension known only at run time (see `graph.unknown`), by its symbol's name. Given by
    a transform, which has made them anew; otherwise found from the symbols themselves.
    structure: what a user of the model sees in place of the inputs and outputs, where that is more than tensors; None where it is not
    (see `frontends.onnx.interface`).
    free_symbols: those that neither the inputs' shapes nor a definition bring: a body takes them from the graph around it.
    """

    def __init__(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, input_names: Sequence[str] | None = None,
                 output_names: Sequence[str] | None = None, constraints: Sequence[Constraint] = (),
                 definitions: Mapping[str, Tensor] | None = None, structure: Mapping[str, Any] | None = None):
        self.name = name
        self.structure = structure
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.input_names = tuple(input_names or (t.name or f"input_{i}" for i, t in enumerate(self.inputs)))
        self.output_names = tuple(output_names or (t.name or f"output_{i}" for i, t in enumerate(self.outputs)))
        self.nodes: tuple[Node, ...] = self._ordered(dict(definitions or {}), constraints)
        self.definitions: dict[str, Tensor] = {defined_symbol(n).name: n.output for n in self.nodes if n.op == DEFINE}
        self.constants: tuple[Tensor, ...] = tuple(dict.fromkeys(
            t for t in (*(t for n in self.nodes for t in n.inputs), *self.outputs) if t.is_constant))
        own = ((left, right, node.origin) for node in self.nodes for left, right in node.constraints)
        self.constraints: tuple[Constraint, ...] = tuple({(c[0], c[1]): c for c in (*own, *constraints)}.values())

        mentioned = symbols_in(tuple(t.shape for t in self.outputs)).union(*(node.symbols for node in self.nodes))
        brought = {s.name for s in self.symbols} | set(self.definitions)
        self.free_symbols: frozenset[Symbol] = frozenset(s for s in mentioned if s.name not in brought)

    def _ordered(self, definitions: dict[str, Tensor], constraints: Sequence[Constraint]) -> tuple[Node, ...]:
        """The nodes, with those that define the symbols which they, the results and the constraints mention."""
        own = {s.name for s in self.symbols}
        outside: set[str] = set()
        promised = symbols_in((*(t.shape for t in self.outputs), *(c[:2] for c in constraints)))
        while True:
            roots = [definitions[name] for name in sorted(s.name for s in promised) if name in definitions]
            nodes = topological_order((*self.outputs, *roots), definitions)
            missing = {s.name: s.source for s in promised.union(*(n.symbols for n in nodes))
                       if s.source is not None and s.name not in definitions and s.name not in own and s.name not in outside}
            if not missing:
                return nodes
            for name, tensor in missing.items():
                if self._computes(tensor):
                    definitions[name] = tensor
                else:
                    outside.add(name)

    def _computes(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on nothing but this graph's inputs and constants."""
        inside = set(self.inputs)
        return all(t.is_constant or t.producer is not None or t in inside
                   for node in topological_order([tensor]) for t in node.inputs)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols of the inputs' shapes, in order of first appearance: the parameters of the model's shape."""
        found: dict[Symbol, None] = {}
        for tensor in self.inputs:
            for dim in tensor.shape:
                found.update(dict.fromkeys(sorted(symbols_of(dim), key=str)))
        return tuple(found)

    def users(self) -> dict[Tensor, list[Node]]:
        """For each tensor the nodes that read it, once per use; tensors nobody reads are absent."""
        table: dict[Tensor, list[Node]] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                table.setdefault(tensor, []).append(node)
        return table

    def __str__(self) -> str:
        from dlcompile.graph.text import format_graph

        return format_graph(self)

    def rebuild(self, replace: Callable[[Node, tuple[Tensor, ...]], Sequence[Tensor] | None]) -> Graph:
        """The graph with every node mapped by `replace(node, new_inputs)`, which returns the tensors to stand for the node's outputs, or
        None to keep the node as it is. New nodes made inside carry the old node's provenance. Inputs keep their identity."""
        return self._mapped({}, replace)

    def bound(self, values: Mapping[Tensor, Tensor]) -> Graph:
        """The graph with a tensor of the same type in place of each of some others. Those of them that are inputs are no longer."""
        if any(given.type != formal.type for formal, given in values.items()):
            raise InvalidModelError(f"{self.name}: a tensor and what stands for it differ in type")
        left = [i for i, t in enumerate(self.inputs) if t not in values]
        graph = self._mapped(dict(values), lambda node, inputs: None)
        return Graph(self.name, [self.inputs[i] for i in left], graph.outputs, input_names=[self.input_names[i] for i in left],
                     output_names=self.output_names, constraints=self.constraints, definitions=graph.definitions)

    def _mapped(self, new: dict[Tensor, Tensor], replace: Callable[[Node, tuple[Tensor, ...]], Sequence[Tensor] | None]) -> Graph:
        """The graph after `replace`, with the tensors `new` in place of others from the start."""
        changed = bool(new)
        for node in self.nodes:
            inputs = tuple(new.get(t, t) for t in node.inputs)
            with provenance(*node.origin):
                outputs = replace(node, inputs)
                if outputs is None:
                    if inputs == node.inputs:
                        continue
                    outputs = remake(node, inputs)
            changed = True
            for old, tensor in zip(node.outputs, outputs, strict=True):
                if old.name and not tensor.name and tensor.producer is not None:
                    tensor.name = old.name
                new.setdefault(old, tensor)
        if not changed:
            return self
        return self.with_outputs(tuple(new.get(t, t) for t in self.outputs), {s: new.get(t, t) for s, t in self.definitions.items()})

    def with_outputs(self, outputs: Sequence[Tensor], definitions: Mapping[str, Tensor] | None = None) -> Graph:
        """The same inputs, names and constraints with other tensors as outputs, and as definitions where these are made anew."""
        return Graph(self.name, self.inputs, outputs, input_names=self.input_names, output_names=self.output_names,
                     constraints=self.constraints, definitions=self.definitions if definitions is None else definitions,
                     structure=self.structure)


def graphs_in(graph: Graph) -> Iterator[Graph]:
    """A graph, and all bodies of its nodes, those in bodies too."""
    yield graph
    for node in graph.nodes:
        for value in node.attributes.values():
            if isinstance(value, Graph):
                yield from graphs_in(value)


def distinct_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names, with a number behind each that is there already, or among `taken`.

    >>> distinct_names(["x", "y", "x", "x"])
    ['x', 'y', 'x_1', 'x_2']
    """
    used, made = set(taken), []
    for name in names:
        unused, count = name, 1
        while unused in used:
            unused, count = f"{name}_{count}", count + 1
        used.add(unused)
        made.append(unused)
    return made


def remake(node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The node's operator and attributes applied to other inputs, under the current provenance."""
    from dlcompile.graph.tensor import apply

    made = apply(node.op, *inputs, **node.attributes)
    return made if isinstance(made, tuple) else (made,)


def topological_order(outputs: Iterable[Tensor], definitions: Mapping[str, Tensor] | None = None) -> tuple[Node, ...]:
    """The nodes that `outputs` depend on, inputs first (depth first, so that a value is made close to its use). A node also depends on
    the `definitions` of the symbols it mentions. InvalidModelError on a cycle."""
    order: list[Node] = []
    state: dict[Node, bool] = {}  # False while on the stack, True when done
    for output in outputs:
        stack: list[tuple[Node, bool]] = [(output.producer, False)] if output.producer else []
        while stack:
            node, leaving = stack.pop()
            if leaving:
                state[node] = True
                order.append(node)
                continue
            if node in state:
                continue
            state[node] = False
            stack.append((node, True))
            needed = node.inputs
            if definitions and node.symbols and node.op != DEFINE:
                needed = (*(definitions[s] for s in sorted(s.name for s in node.symbols) if s in definitions), *needed)
            for tensor in reversed(needed):
                producer = tensor.producer
                if producer is None or state.get(producer):
                    continue
                if producer in state:
                    raise InvalidModelError(f"the graph has a cycle through {producer!r}")
                stack.append((producer, False))
    return tuple(order)

