"""From a graph to a program: cut into kernels, place tensors, lower each kernel, order the calls."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import (
    DEFINE,
    OPERATORS,
    DimLike,
    Graph,
    Node,
    Symbol,
    Tensor,
    TensorType,
    ceildiv,
    defined_symbol,
    graphs_in,
    make_constant,
    product,
    substitute,
    symbol,
    symbols_in,
)
from dlcompile.kernels import library
from dlcompile.kernels.access import VIEWS, CannotFuse, Storage, contiguous, viewed
from dlcompile.kernels.blocked import lower_direct
from dlcompile.kernels.choices import Choices, Direct, Way
from dlcompile.kernels.contraction import Contraction, Packing, analyse, analyse_packing, pack_constant
from dlcompile.kernels.control import CONTROL
from dlcompile.kernels.fuse import CUMULATIVE, FREE, MAP, ROW, STEPS, TILE, WINDOW, form_of, fuse, is_free
from dlcompile.kernels.group import Context, Group, Lowered, cost
from dlcompile.kernels.ir import KernelFunction
from dlcompile.kernels.maps import lower_map
from dlcompile.kernels.order import lifetimes, place_barriers
from dlcompile.kernels.packing import lower_packing
from dlcompile.kernels.place import ASSEMBLE, Memory, Placement, lower_assemble
from dlcompile.kernels.prepare import prepare
from dlcompile.kernels.program import (
    Argument,
    Buffer,
    Call,
    Constraint,
    Define,
    DimArgument,
    Element,
    InputArgument,
    Kernel,
    Loop,
    OutputArgument,
    Port,
    Program,
    Reserve,
    Step,
    walk,
)
from dlcompile.kernels.rows import lower_cumulative, lower_rows
from dlcompile.kernels.samples import split_samples
from dlcompile.kernels.strassen import Strassen, lower_left, lower_strassen, mapped_shape, pack_right
from dlcompile.kernels.target import Target, resolve_target
from dlcompile.kernels.tiles import SCATTERED_COLUMNS, Plan
from dlcompile.kernels.updates import update_in_place
from dlcompile.kernels.winograd import Winograd, lower_winograd, pack_filters
from dlcompile.transforms.pin import pin
from dlcompile.transforms.pipeline import map_bodies
from dlcompile.transforms.rewrite import rewrite
from dlcompile.transforms.scales import GATES

FORMS: dict[str, Callable[[Group, Context], Lowered]] = {
    MAP: lower_map,
    ROW: lower_rows,
    WINDOW: lower_rows,
    CUMULATIVE: lower_cumulative,
    ASSEMBLE: lower_assemble,
    **library.FORMS,
}
"""form → how a group of it becomes a kernel; the tile form, which needs a plan, is lowered as `choices` says"""

MOST_FOLLOWED = 32  # nodes that are looked at to see what a tensor is computed from
MOST_VIEWS = 12  # in a row: what is read through them is at an index whose expression can double with each

KEPT_COMPOSITES = frozenset(library.FORMS)
"""composites that have a kernel of their own; the others must be decomposed before scheduling"""


def schedule(graph: Graph, target: Target | str = "native", *, precision: str = "default", name: str | None = None,
             ranks: Mapping[int, int] | None = None, updates: Mapping[int, int] | None = None) -> Program:
    """The program that computes `graph` on `target`. `precision` is "default" or "strict", which computes convolutions and products as they are
    defined; `ranks`: how products are computed where it is known better than by estimates (see `kernels.choices`); `updates`: outputs that are
    the next values of inputs, by number (see `kernels.updates`)."""
    target = resolve_target(target)
    # a model may call a dimension `p` or `i0`, as loop variables are called: while there are loops, dimensions have names that no loop has
    apart = {s.name: symbol(f"{s.name}_dim") for g in graphs_in(graph) for s in (*g.symbols, *map(Symbol, g.definitions))}
    prepared = split_samples(_prepared(pin(graph, apart), target), target)
    if precision != "strict":
        prepared = _gated(prepared)
    _check_supported(prepared)
    shared = _Shared(Choices(strict=precision == "strict", ranks=ranks))
    inputs = [contiguous(InputArgument(i), t.shape) for i, t in enumerate(prepared.inputs)]
    outputs = [OutputArgument(i) for i in range(len(prepared.outputs))]
    defined = frozenset(map(Symbol, prepared.definitions))
    shared.memory.growing |= {a for a, t in zip(outputs, prepared.outputs) if symbols_in(t.shape) & defined}
    steps = Scheduler(prepared, target, shared, inputs, outputs).steps()
    steps = place_barriers(update_in_place(steps, prepared, updates or {}, shared.memory, shared.kernel))
    program = replace(_program(name or graph.name, prepared, steps, shared), updates=tuple((updates or {}).items()))
    return program.substitute({str(d): symbol(original) for original, d in apart.items()})


def _prepared(graph: Graph, target: Target) -> Graph:
    return map_bodies(prepare(graph, target), lambda body: _prepared(body, target))


def _gated(graph: Graph) -> Graph:
    return map_bodies(rewrite(graph, GATES), _gated)


def _check_supported(graph: Graph) -> None:
    """UnsupportedOperatorError naming every node of an operator that no kernel computes."""
    missing: dict[str, list[str]] = {}
    for node in (n for g in graphs_in(graph) for n in g.nodes):
        if node.op not in STEPS and form_of(node, lambda _: True) not in (TILE, *FORMS):
            missing.setdefault(node.op, []).extend(node.origin or ("?",))
    if missing:
        listed = "; ".join(f"{op} (node {', '.join(dict.fromkeys(names))})" for op, names in missing.items())
        raise UnsupportedOperatorError(f"operators that are not compiled yet: {listed}")


def _program(name: str, graph: Graph, steps: tuple[Step, ...], shared: _Shared) -> Program:
    memory = shared.memory
    buffers = tuple(Buffer(t.type.nbytes, *span) for t, span in zip(memory.buffers, lifetimes(steps, len(memory.buffers))))
    program = Program(
        name, tuple(s.name for s in graph.symbols),
        tuple(Port(n, t.type) for n, t in zip(graph.input_names, graph.inputs)),
        tuple(Port(n, t.type) for n, t in zip(graph.output_names, graph.outputs)),
        tuple(np.ascontiguousarray(t.value) for t in memory.constants), buffers, steps,
        tuple(dict.fromkeys(shared.constraints)), None, variables=memory.variables, boxes=memory.boxes)
    shared_out = any(call.parallel for call in program.calls) or any(isinstance(s, Loop) and s.private is not None for s in walk(steps))
    return program if shared_out else replace(program, threads=1)


class _Shared:
    """What the scheduling of a model's graph and that of the bodies in it have together."""

    def __init__(self, choices: Choices):
        self.choices = choices
        self.memory = Memory()
        self.kernels: dict[KernelFunction, Kernel] = {}
        self.packed: dict[tuple, Tensor] = {}
        self.constraints: list[Constraint] = []
        self.defined: set[str] = set()
        self.stage = 0

    def kernel(self, function: KernelFunction) -> Kernel:
        """The kernel of a function; equal ones are the same."""
        if function not in self.kernels:
            self.kernels[function] = Kernel(f"{function.form}_{len(self.kernels)}", (), function)
        return self.kernels[function]


class Scheduler:
    """The steps of one graph, whose inputs lie in `inputs` and whose results go to the arrays `outputs`. `sizes`: what defines dimensions of
    the inputs. `begin`: a step that comes first. `since`: the stage before which nothing of the graph need hold."""

    def __init__(self, graph: Graph, target: Target, shared: _Shared, inputs: Sequence[Storage], outputs: Sequence[Argument],
                 sizes: Mapping[str, Element] | None = None, begin: Sequence[Step] = (), since: int = 0):
        self.sizes, self.begin, self.since = sizes or {}, begin, since
        self.panels: dict[tuple[Packing, tuple], Storage] = {}  # what has been packed at run time, for all products with it
        self.graph, self.target, self.shared, self.memory = graph, target, shared, shared.memory
        for node in graph.nodes:
            if node.op in ("dot_general", "conv_general"):
                shared.choices.number(node)
        self.forced = frozenset(graph.outputs) | self._operands_in_memory()
        self.forced |= self._transposed_alone()
        self.groups = fuse(graph, is_tile=self.is_tile, forced=self.forced, can_lower=self.can_lower)
        self.placement = Placement(graph, self.groups, self.memory, inputs, outputs)
        self.context = Context(self.placement.stored, target, self._workspace)
        shared.constraints += [Constraint(a, b, ", ".join(origin), since) for a, b, origin in graph.constraints]

    # -- questions that fusion asks -----------------------------------------------------------------------------------------
    def is_tile(self, node: Node) -> bool:
        """Whether a tile operation can compute a product, once operands that are no strided arrays have been copied."""
        return analyse(node, lambda t: contiguous(InputArgument(0), t.shape)) is not None

    def _operands_in_memory(self) -> frozenset[Tensor]:
        """Views that must be copied because a kernel reads them through a pointer and they are not strided arrays."""
        found: set[Tensor] = set()
        views: dict[Tensor, int] = {}  # how many of them lie between a tensor and memory; reshaping symbolic sizes counts as more
        for node in self.graph.nodes:
            if node.op in VIEWS:
                weight = 3 if node.op == "reshape" and not node.output.type.is_static else 1
                views[node.output] = views.get(node.inputs[0], 0) + weight
                if views[node.output] >= MOST_VIEWS:
                    found.add(node.output)
                    views[node.output] = 0
            if node.op in library.FORMS:
                found |= library.operands_to_copy(node, _assumed) | _computed_where_read(node)
            elif node.op in STEPS:
                found |= {t for t in node.inputs if node.op != DEFINE and _assumed(t) is None} | _computed_where_read(node)
            elif node.op in ("dot_general", "conv_general") and self.is_tile(node):
                if analyse(node, _assumed) is None:
                    found.add(node.inputs[0])
                if not node.inputs[1].is_constant and not self._reads_right(node):
                    found.add(node.inputs[1])
        return frozenset(found)

    def _transposed_alone(self) -> frozenset[Tensor]:
        """What is stored so that a transposition is a copy of its own, in blocks: the result of a product, with all that follows it, that is stored
        transposed; and what is transposed before it is padded, which goes to its place in the padded tensor."""
        found: set[Tensor] = set()
        for node in self.graph.nodes:
            if node.op == "transpose" and node.output in self.forced and _moves_columns(node) and self._follows_product(node.inputs[0]):
                found.add(node.inputs[0])
            elif node.op == "pad" and node.inputs[0].op == "transpose" and _moves_columns(node.inputs[0].producer):
                found.add(node.inputs[0])
        return frozenset(found)

    def _follows_product(self, tensor: Tensor) -> bool:
        """Whether a tensor is the result of a tile operation, or computed from one element by element."""
        waiting, seen = [tensor], set()
        while waiting and len(seen) < MOST_FOLLOWED:
            node = waiting.pop().producer
            if node is None or node in seen:
                continue
            seen.add(node)
            if node.op in ("dot_general", "conv_general"):
                return self.is_tile(node)
            if OPERATORS[node.op].family == "elementwise":
                waiting += [t for t in node.inputs if t.shape == tensor.shape]
        return False

    def _reads_right(self, node: Node) -> bool:
        """Whether the right operand of a product can be packed, or is read as it lies, without being copied first."""
        contraction = analyse(node, lambda t: contiguous(InputArgument(0), t.shape))
        if contraction.depthwise:
            return _assumed(node.inputs[1]) is not None
        return analyse_packing(node, _assumed) is not None

    def can_lower(self, group: Group) -> bool:
        """Try it, with every tensor from outside in memory of its own."""
        if group.form != TILE:
            FORMS[group.form](group, self._elsewhere(group))
            return True
        (node,) = group.anchors
        contraction = analyse(node, lambda t: None if _is_view(t) and t not in self.forced else contiguous(InputArgument(id(t)), t.shape))
        return contraction is not None and self._way(group, contraction, self._elsewhere(group)) is not None

    def _elsewhere(self, group: Group) -> Context:
        """What lowering a group by way of trial is told: every tensor from outside is in memory of its own."""
        def stored(tensor: Tensor) -> Storage | None:
            inside = tensor.producer in group.nodes and tensor not in group.outputs
            return None if inside else contiguous(InputArgument(id(tensor)), tensor.shape)

        return Context(stored, self.target)

    def _way(self, group: Group, contraction: Contraction, context: Context) -> Way:
        """The best way in which the product of a group can be computed with all that is in the group. CannotFuse where there is none."""
        (node,), nowhere = group.anchors, contiguous(InputArgument(0), (1,))
        *others, last = self.shared.choices.ways(node, contraction, self.target)
        for way in (*others, last):
            try:
                match way:
                    case Winograd():
                        lower_winograd(group, context, way, nowhere)
                    case Strassen():
                        lower_strassen(group, context, contraction, way, nowhere, nowhere)
                    case Direct():
                        lower_direct(group, context, Plan(contraction, way.rows, way.vectors, nowhere), way.blocking)
                return way
            except CannotFuse:
                if way is last:
                    raise

    # -- the steps ----------------------------------------------------------------------------------------------------------
    def steps(self) -> tuple[Step, ...]:
        """Every group lowered, in order."""
        made: list[Step] = [*self.begin, *([self._define(self.sizes)] if self.sizes else [])]
        waiting: dict[str, Node] = {}  # dimensions to be defined: together, and not before one is needed
        for group in self.groups:
            read = group.nodes - set(group.anchors) if group.form == DEFINE else group.nodes
            if any(s.name in waiting for node in read for s in node.symbols):
                made.append(self._define_by(waiting))
                waiting = {}
            if group.form == DEFINE:
                waiting.update((defined_symbol(node).name, node) for node in group.anchors)
            else:
                made += self._lowered(group)
        if waiting:
            made.append(self._define_by(waiting))
        return self._reserved(made)

    def _define_by(self, nodes: Mapping[str, Node]) -> Define:
        origin = tuple(dict.fromkeys(o for node in nodes.values() for o in node.origin))
        return self._define({name: self.element(node.inputs[0]) for name, node in nodes.items()}, origin)

    def _define(self, sources: Mapping[str, Element], origin: tuple[str, ...] = ()) -> Define:
        self.shared.stage += 1
        self.shared.defined.update(sources)
        return Define(tuple(sources), tuple(sources.values()), self.shared.stage, origin)

    def _reserved(self, steps: list[Step]) -> tuple[Step, ...]:
        """The steps with memory reserved before something is written whose size is not known beforehand."""
        made: list[Step] = []
        done: set[Argument] = set()
        for step in steps:
            if isinstance(step, Call):
                arrays = [a for a in step.arguments if not isinstance(a, DimArgument)]
                for argument, parameter in zip(arrays, step.kernel.body.parameters):
                    if parameter.written and argument not in done and self.placement.grows(argument):
                        made.append(Reserve(argument, self.placement.nbytes(argument)))
                        done.add(argument)
            made.append(step)
        return tuple(made)

    def _lowered(self, group: Group) -> list[Step]:
        """The steps of a group. UnsupportedOperatorError naming the node where its kernel cannot be made of this one."""
        try:
            return self._lowered_steps(group)
        except CannotFuse as error:
            node = (group.anchors or list(group.nodes))[0]
            raise UnsupportedOperatorError(f"node {', '.join(node.origin) or node.op!r} ({node.op}): {error}") from error

    def _lowered_steps(self, group: Group) -> list[Step]:
        if group.form in CONTROL:
            (node,) = group.anchors
            return CONTROL[group.form](node, self)
        if group.form != TILE:
            return self._calls(group, FORMS[group.form](group, self.context))
        (node,) = group.anchors
        contraction = analyse(node, self.context.stored)
        if contraction is None:
            raise CannotFuse("its operands lie where no tile operation reads them")
        match self._way(group, contraction, self.context):
            case Winograd() as plan:
                return self._calls(group, lower_winograd(group, self.context, plan, self._filters(node, plan)))
            case Strassen() as plan:
                return self._by_strassen(group, contraction, plan)
            case way:
                steps: list[Step] = []
                plan = self._plan(node, contraction, (way.rows, way.vectors), steps)
                return [*steps, *self._calls(group, lower_direct(group, self.context, plan, way.blocking))]

    def _by_strassen(self, group: Group, contraction: Contraction, plan: Strassen) -> list[Step]:
        (node,) = group.anchors
        width = plan.width(self.target)
        right = self._packed((node.inputs[1], width, plan.half, _matrix_key(node)), lambda: pack_right(node, node.inputs[1].value, plan, width))
        tensor = Tensor(TensorType(np.dtype(np.float32), mapped_shape(contraction, plan)))
        mapped = self.placement.add_buffer(tensor)
        left = self._calls(Group("strassen_left", {node}, (tensor,), [node]), lower_left(contraction, plan, mapped))
        return [*left, *self._calls(group, lower_strassen(group, self.context, contraction, plan, mapped, right))]

    def _calls(self, group: Group, lowered: Lowered) -> list[Step]:
        """The call of a lowered group; none where it has nothing to do."""
        if not lowered.function.body:
            return []
        nodes = [n for n in group.ordered(self.graph) if not is_free(n)] or list(group.ordered(self.graph))
        arguments = (*lowered.arguments, *(DimArgument(d) for d in lowered.dimensions))
        work = cost(nodes) if any(t.producer in group.nodes for t in group.outputs) else 0  # an operand made ready does not count as the product
        return [Call(self.shared.kernel(lowered.function), arguments, lowered.parallel, False, lowered.scratch,
                     tuple(dict.fromkeys(o for n in nodes for o in n.origin)), work, self._traffic(lowered),
                     lowered.function.form, tuple(n.op for n in nodes), self._product(group))]

    def _product(self, group: Group) -> int | None:
        """The number of the product that a group is about."""
        return next((self.shared.choices.numbers[n] for n in group.anchors if n in self.shared.choices.numbers), None)

    def element(self, scalar: Tensor) -> Element:
        """Where a scalar lies."""
        tensor, at = viewed(scalar, (), lambda t: self.placement.stored(t) is not None)
        storage = self.placement.stored(tensor)
        return Element(storage.argument, storage.index(at))

    def body_steps(self, graph: Graph, inputs: Sequence[Storage], outputs: Sequence[Argument],
                   sizes: Mapping[str, Element] | None = None, branch_of: Node | None = None) -> tuple[Step, ...]:
        """The steps of a body. Where one body stands in several places, each time its own dimensions are others. What a branch (of the node
        `branch_of`) relies on must hold only where it is taken, so that a stage of its own begins there."""
        sizes = sizes or {}
        again = {name: symbol(f"{name}_{self.shared.stage}") for name in (*graph.definitions, *sizes) if name in self.shared.defined}
        if again:
            graph = pin(graph, again)
            inputs = [Storage(s.argument, substitute(s.offset, again), tuple(substitute(d, again) for d in s.strides)) for s in inputs]
        sizes = {str(again.get(name, name)): element for name, element in sizes.items()}
        begin = [self._define({}, branch_of.origin)] if branch_of is not None and any(g.constraints for g in graphs_in(graph)) else []
        since = self.shared.stage if begin else self.since
        return Scheduler(graph, self.target, self.shared, inputs, outputs, sizes, begin, since).steps()

    def _workspace(self, nbytes: DimLike) -> Storage:
        """Arena memory that one kernel uses for itself."""
        return self.placement.add_buffer(Tensor(TensorType(np.dtype(np.uint8), (nbytes,))))

    def _plan(self, node: Node, contraction: Contraction, tile: tuple[int, int], steps: list[Step]) -> Plan:
        rows, vectors = tile
        width = vectors * self.target.lanes
        rhs = node.inputs[1]
        if contraction.depthwise:
            return Plan(contraction, rows, vectors, self.context.stored(rhs))
        if rhs.is_constant:
            packed = self._packed((rhs, width, _matrix_key(node)), lambda: pack_constant(node, rhs.value, width))
            return Plan(contraction, rows, vectors, packed)
        return Plan(contraction, rows, vectors, self._pack_at_run_time(node, contraction, width, steps))

    def _filters(self, node: Node, winograd: Winograd) -> Storage:
        """The transformed filters of a convolution."""
        filters, width = node.inputs[1], winograd.width(self.target)
        return self._packed((filters, width, winograd.m), lambda: pack_filters(filters.value, winograd.m, width))

    def _packed(self, key: tuple, make: Callable[[], np.ndarray]) -> Storage:
        """Where a constant lies as a kernel wants it; `key` says what is made of which."""
        if key not in self.shared.packed:
            self.shared.packed[key] = make_constant(make())
        return self.placement.stored(self.shared.packed[key])

    def _pack_at_run_time(self, node: Node, contraction: Contraction, width: int, steps: list[Step]) -> Storage:
        packing = analyse_packing(node, self.context.stored)
        if packing is None:
            raise CannotFuse(f"its right operand, {node.inputs[1].type}, lies where it cannot be packed")
        if packing.is_packed(contraction, width):
            return replace(packing.source, offset=packing.base)
        batch = product(run.extent for run in contraction.batch)
        shape = (batch, ceildiv(contraction.width, width), contraction.depth, width)
        if (packing, shape) in self.panels:
            return self.panels[packing, shape]
        tensor = Tensor(TensorType(np.dtype(np.float32), shape))
        self.panels[packing, shape] = storage = self.placement.add_buffer(tensor)
        group = Group("pack", {node}, (tensor,), [node])
        steps += self._calls(group, lower_packing(packing, contraction, width, storage, node))
        return storage

    def _traffic(self, lowered: Lowered) -> DimLike:
        """Bytes of the arrays a call touches, each counted once."""
        return sum((self.placement.nbytes(a) for a in lowered.arguments), 0)


def _moves_columns(node: Node) -> bool:
    """Whether a transposition puts another axis last, and both are long enough to be moved in blocks."""
    p, shape = node.attributes["permutation"], node.inputs[0].shape
    return p[-1] != len(p) - 1 and all(not isinstance(d, int) or d >= SCATTERED_COLUMNS for d in (shape[-1], shape[p[-1]]))


def _is_view(tensor: Tensor) -> bool:
    return tensor.producer is not None and tensor.producer.op in VIEWS


def _assumed(tensor: Tensor) -> Storage | None:
    """Storage as it will be if nothing is placed elsewhere: everything but a view is contiguous."""
    return None if _is_view(tensor) else contiguous(InputArgument(0), tensor.shape)


def _computed_where_read(node: Node) -> set[Tensor]:
    """What the operands of a node are views of, and what no kernel would store."""
    return {t for t in (viewed(t, (0,) * t.rank, lambda _: False)[0] for t in node.inputs) if t.op in FREE}


def _matrix_key(node: Node) -> tuple:
    attributes = node.attributes
    return (node.op, attributes["groups"]) if node.op == "conv_general" else (node.op, attributes["contracting"][1], attributes["batch"][1])

