"""From a graph to a program: cut into kernels, place tensors, lower each kernel, order the calls."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import DimLike, Graph, Node, Tensor, TensorType, ceildiv, make_constant, product, symbol
from dlcompile.kernels import library
from dlcompile.kernels.access import CannotFuse, Storage, VIEWS, contiguous
from dlcompile.kernels.contraction import Contraction, Plan, analyse, analyse_packing, lower_contraction, pack_constant, plan_tile
from dlcompile.kernels.fuse import CUMULATIVE, MAP, ROW, TILE, WINDOW, form_of, fuse, is_free
from dlcompile.kernels.group import Context, Group, Lowered, cost
from dlcompile.kernels.maps import lower_map
from dlcompile.kernels.packing import lower_packing
from dlcompile.kernels.place import ASSEMBLE, Placement, lower_assemble
from dlcompile.kernels.prepare import prepare
from dlcompile.kernels.program import (Argument, Buffer, BufferArgument, Call, Constraint, ConstantArgument, DimArgument, InputArgument,
                                       Kernel, OutputArgument, Port, Program)
from dlcompile.kernels.rows import lower_cumulative, lower_rows
from dlcompile.kernels.target import Target, resolve_target
from dlcompile.transforms.pin import pin

FORMS: dict[str, Callable[[Group, Context], Lowered]] = {
    MAP: lower_map,
    ROW: lower_rows,
    WINDOW: lower_rows,
    CUMULATIVE: lower_cumulative,
    ASSEMBLE: lower_assemble,
    **library.FORMS,
}
"""form → how a group of it becomes a kernel; the tile form, which needs a plan, is lowered by `lower_contraction`"""

KEPT_COMPOSITES = frozenset(library.FORMS)
"""composites that have a kernel of their own; the others must be decomposed before scheduling"""


def schedule(graph: Graph, target: Target | str = "native", *, precision: str = "default", name: str | None = None) -> Program:
    """The program that computes `graph` on `target`. `precision` is "default" or "strict"."""
    target = resolve_target(target)
    # a model may call a dimension `p` or `i0`, as loop variables are called: while there are loops, dimensions have names that no loop has
    apart = {s.name: symbol(f"{s.name}_dim") for s in graph.symbols}
    prepared = prepare(pin(graph, apart), target)
    _check_supported(prepared)
    program = _Scheduler(prepared, target, name or graph.name).program()
    return program.substitute({str(d): symbol(original) for original, d in apart.items()})


def _check_supported(graph: Graph) -> None:
    """UnsupportedOperatorError naming every node of an operator that no kernel computes."""
    missing: dict[str, list[str]] = {}
    for node in graph.nodes:
        if form_of(node, lambda _: True) not in (TILE, *FORMS):
            missing.setdefault(node.op, []).extend(node.origin or ("?",))
    if missing:
        listed = "; ".join(f"{op} (node {', '.join(dict.fromkeys(names))})" for op, names in missing.items())
        raise UnsupportedOperatorError(f"operators that are not compiled yet: {listed}")


class _Scheduler:
    def __init__(self, graph: Graph, target: Target, name: str):
        self.graph, self.target, self.name = graph, target, name
        self._packed: dict[tuple, Tensor] = {}
        self.forced = frozenset(graph.outputs) | self._operands_in_memory()
        self.groups = fuse(graph, is_tile=self.is_tile, forced=self.forced, can_lower=self.can_lower)
        self.placement = Placement(graph, self.groups)
        self.context = Context(self.placement.stored, target, self._workspace)

    # -- questions that fusion asks -----------------------------------------------------------------------------------------
    def is_tile(self, node: Node) -> bool:
        """Whether a tile operation can compute a product, once operands that are no strided arrays have been copied."""
        return analyse(node, lambda t: contiguous(InputArgument(0), t.shape)) is not None

    def _operands_in_memory(self) -> frozenset[Tensor]:
        """Views that must be copied because a kernel reads them through a pointer and they are not strided arrays."""
        found: set[Tensor] = set()
        for node in self.graph.nodes:
            if node.op in library.FORMS:
                found |= library.operands_to_copy(node, _assumed)
            elif node.op in ("dot_general", "conv_general") and self.is_tile(node):
                if analyse(node, _assumed) is None:
                    found.add(node.inputs[0])
                if not node.inputs[1].is_constant and analyse_packing(node, _assumed) is None:
                    found.add(node.inputs[1])
        return frozenset(found)

    def can_lower(self, group: Group) -> bool:
        """Try it, with every tensor from outside in memory of its own."""
        def stored(tensor: Tensor) -> Storage | None:
            inside = tensor.producer in group.nodes and tensor not in group.outputs
            return None if inside else contiguous(InputArgument(id(tensor)), tensor.shape)

        context = Context(stored, self.target)
        if group.form == TILE:
            (node,) = group.anchors
            contraction = analyse(node, lambda t: None if _is_view(t) and t not in self.forced else contiguous(InputArgument(id(t)), t.shape))
            if contraction is None:
                return False
            rows, vectors = plan_tile(contraction, self.target)
            lower_contraction(group, context, Plan(contraction, rows, vectors, contiguous(InputArgument(0), (1,))))
        else:
            FORMS[group.form](group, context)
        return True

    # -- the program --------------------------------------------------------------------------------------------------------
    def program(self) -> Program:
        """Lower every group, in order, and put the calls together."""
        calls: list[tuple[Group, Lowered, tuple[Tensor, ...]]] = []
        for group in self.groups:
            if group.form == TILE:
                plan = self._plan(group, calls)
                calls.append((group, lower_contraction(group, self.context, plan), group.outputs))
            else:
                calls.append((group, FORMS[group.form](group, self.context), group.outputs))
        calls = [c for c in calls if c[1].function.body]
        return self._assemble(calls)

    def _workspace(self, nbytes: DimLike) -> Storage:
        """Arena memory that one kernel uses for itself."""
        return self.placement.add_buffer(Tensor(TensorType(np.dtype(np.uint8), (nbytes,))))

    def _plan(self, group: Group, calls: list) -> Plan:
        (node,) = group.anchors
        contraction = analyse(node, self.context.stored)
        if contraction is None:
            raise CannotFuse(f"{node!r}: operands lie where no tile operation reads them")
        rows, vectors = plan_tile(contraction, self.target)
        width = vectors * self.target.lanes
        rhs = node.inputs[1]
        if contraction.depthwise:
            return Plan(contraction, rows, vectors, self.context.stored(rhs))
        if rhs.is_constant:
            key = (rhs, width, _matrix_key(node))
            if key not in self._packed:
                self._packed[key] = make_constant(pack_constant(node, rhs.value, width))
            packed = self._packed[key]
            return Plan(contraction, rows, vectors, self.placement.stored(packed))
        return Plan(contraction, rows, vectors, self._pack_at_run_time(node, contraction, width, calls))

    def _pack_at_run_time(self, node: Node, contraction: Contraction, width: int, calls: list) -> Storage:
        packing = analyse_packing(node, self.context.stored)
        if packing is None:
            raise CannotFuse(f"{node!r}: the right operand lies where it cannot be packed")
        batch = product(run.extent for run in contraction.batch)
        shape = (batch, ceildiv(contraction.width, width), contraction.depth, width)
        tensor = Tensor(TensorType(np.dtype(np.float32), shape))
        storage = self.placement.add_buffer(tensor)
        group = Group("pack", {node}, (tensor,), [node])
        calls.append((group, lower_packing(packing, contraction, width, storage, node), (tensor,)))
        return storage

    def _assemble(self, calls) -> Program:
        graph = self.graph
        arguments = [lowered.arguments for _, lowered, _ in calls]
        barriers = self._barriers(calls)
        kernels: dict = {}
        made: list[Call] = []
        for position, (group, lowered, _) in enumerate(calls):
            function = lowered.function
            if function not in kernels:
                kernels[function] = Kernel(f"{function.form}_{len(kernels)}", (), function)
            dimensions = tuple(DimArgument(d) for d in lowered.dimensions)
            nodes = [n for n in group.ordered(graph) if not is_free(n)] or list(group.ordered(graph))
            made.append(Call(
                kernels[function], (*lowered.arguments, *dimensions), lowered.parallel, barriers[position], lowered.scratch,
                tuple(dict.fromkeys(o for n in nodes for o in n.origin)), cost(nodes), self._traffic(lowered),
                function.form, tuple(n.op for n in nodes)))
        buffers = self._buffers(arguments, barriers)
        parallel = any(lowered.parallel for _, lowered, _ in calls)
        return Program(
            self.name, tuple(s.name for s in graph.symbols),
            tuple(Port(n, t.type) for n, t in zip(graph.input_names, graph.inputs)),
            tuple(Port(n, t.type) for n, t in zip(graph.output_names, graph.outputs)),
            tuple(np.ascontiguousarray(t.value) for t in self.placement.constants), buffers, tuple(made),
            tuple(dict.fromkeys(Constraint(a, b, ", ".join(origin)) for a, b, origin in graph.constraints)),
            None if parallel else 1)

    def _traffic(self, lowered: Lowered) -> DimLike:
        """Bytes of the arrays a call touches, each counted once."""
        total: DimLike = 0
        for argument in lowered.arguments:
            match argument:
                case InputArgument(i):
                    total = total + self.graph.inputs[i].type.nbytes
                case OutputArgument(i):
                    total = total + self.graph.outputs[i].type.nbytes
                case ConstantArgument(i):
                    total = total + self.placement.constants[i].value.nbytes
                case BufferArgument(i):
                    total = total + self.placement.buffers[i].type.nbytes
        return total

    def _barriers(self, calls) -> list[bool]:
        """Before which calls the team must wait: those that read what a call since the last wait wrote, unless one thread does both."""
        written: dict[Argument, bool] = {}  # by a call since the last barrier → whether several threads wrote it
        barriers = []
        for _, lowered, _ in calls:
            parameters = dict(zip(lowered.arguments, lowered.function.parameters))
            reads = [a for a, p in parameters.items() if p.read]
            wait = any(a in written and (written[a] or lowered.parallel) for a in reads)
            if wait:
                written.clear()
            for argument, parameter in parameters.items():
                if parameter.written:
                    written[argument] = written.get(argument, False) or lowered.parallel
            barriers.append(wait)
        return barriers

    def _buffers(self, arguments: list[tuple[Argument, ...]], barriers: list[bool]) -> tuple[Buffer, ...]:
        """Lifetimes of the arena's buffers. Calls with no wait between them may run at once, so a lifetime covers all of them."""
        first_of, last_of = list(range(len(arguments))), list(range(len(arguments)))
        start = 0
        for position in range(len(arguments)):
            if barriers[position]:
                start = position
            first_of[position] = start
        end = len(arguments) - 1
        for position in reversed(range(len(arguments))):
            last_of[position] = end
            if barriers[position]:
                end = position - 1
        spans: dict[int, list[int]] = {}
        for position, used in enumerate(arguments):
            for argument in used:
                if isinstance(argument, BufferArgument):
                    span = spans.setdefault(argument.index, [first_of[position], last_of[position]])
                    span[1] = max(span[1], last_of[position])
        return tuple(Buffer(t.type.nbytes, *spans.get(i, (0, 0))) for i, t in enumerate(self.placement.buffers))


def _is_view(tensor: Tensor) -> bool:
    return tensor.producer is not None and tensor.producer.op in VIEWS


def _assumed(tensor: Tensor) -> Storage | None:
    """Storage as it will be if nothing is placed elsewhere: everything but a view is contiguous."""
    return None if _is_view(tensor) else contiguous(InputArgument(0), tensor.shape)


def _matrix_key(node: Node) -> tuple:
    attributes = node.attributes
    return (node.op, attributes["groups"]) if node.op == "conv_general" else (node.op, attributes["contracting"][1], attributes["batch"][1])

