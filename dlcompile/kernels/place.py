"""Placement: in which array, and where in it, each stored tensor lies.

A tensor that is only padded, or becomes a piece of a concatenation, is written where it will be needed: it gets the inner region of the
padded tensor as its storage, and what remains of the pad is filling the border. So a convolution's input is padded, and a U-Net's skip
connections are concatenated, without a copy.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from dlcompile.graph import DimLike, Graph, Node, Shape, Tensor, product
from dlcompile.kernels.access import VIEWS, Coordinates, Storage, axes_symbols, contiguous
from dlcompile.kernels.emit import Emitter, Parameters
from dlcompile.kernels.fuse import CUMULATIVE, MAP, ROW, STEPS, TILE, WINDOW
from dlcompile.kernels.group import Context, Group, Lowered, finish, worth_sharing
from dlcompile.kernels.ir import Expression, Store
from dlcompile.kernels.nest import axes_of, merge, nest, split
from dlcompile.kernels.steps import Argument, BoxArgument, BufferArgument, ConstantArgument, VariableArgument

WRITES_ANYWHERE = frozenset({MAP, ROW, WINDOW, TILE, CUMULATIVE})  # forms whose result may have any strides

ASSEMBLE = "assemble"


class Memory:
    """What a model's graph and the bodies in it have together. `buffers` are the tensors that own an arena buffer, by index."""

    def __init__(self):
        self.buffers: list[Tensor] = []
        self.constants: list[Tensor] = []
        self._constant: dict[Tensor, Storage] = {}
        self.variables = 0
        self.boxes = 0
        self.growing: set[Argument] = set()  # what is written here gets its memory only then

    def constant(self, tensor: Tensor) -> Storage:
        """The place of a constant, which it gets when it is first asked for."""
        if tensor not in self._constant:
            self.constants.append(tensor)
            self._constant[tensor] = contiguous(ConstantArgument(len(self.constants) - 1), tensor.shape)
        return self._constant[tensor]

    def buffer(self, tensor: Tensor) -> BufferArgument:
        """A new buffer that holds `tensor`."""
        self.buffers.append(tensor)
        return BufferArgument(len(self.buffers) - 1)

    def variable(self, grows: bool = False) -> VariableArgument:
        """A new variable."""
        self.variables += 1
        variable = VariableArgument(self.variables - 1)
        self.growing |= {variable} if grows else set()
        return variable

    def box(self) -> BoxArgument:
        """A new box."""
        self.boxes += 1
        self.growing.add(BoxArgument(self.boxes - 1))
        return BoxArgument(self.boxes - 1)


class Placement:
    """Storage of every stored tensor of a graph cut into groups. `inputs`: where those of the graph lie, `outputs`: the arrays that its
    results go to."""

    def __init__(self, graph: Graph, groups: list[Group], memory: Memory, inputs: Sequence[Storage], outputs: Sequence[Argument]):
        self.memory = memory
        self._storage: dict[Tensor, Storage] = dict(zip(graph.inputs, inputs, strict=True))
        self._group_of = {t: g for g in groups for t in g.outputs}
        self._readers = graph.users()
        self._definitions = graph.definitions
        self._outputs: dict[Tensor, Argument] = {}
        for tensor, argument in zip(graph.outputs, outputs, strict=True):
            self._outputs.setdefault(tensor, argument)
        self._nbytes = {s.argument: t.type.nbytes for t, s in self._storage.items()} | {a: t.type.nbytes for t, a in self._outputs.items()}
        for group in reversed(groups):
            if group.form in STEPS:
                continue
            for tensor in group.outputs:
                if tensor not in self._storage:
                    self._storage[tensor] = contiguous(self.target(tensor), tensor.shape)
            self._place_operands(group)

    def target(self, tensor: Tensor) -> Argument:
        """Where a tensor is to be written that has no place yet: an output of the graph, or a new buffer."""
        return self._outputs[tensor] if tensor in self._outputs else self.memory.buffer(tensor)

    def nbytes(self, argument: Argument) -> DimLike:
        """The bytes of the array that an argument is; 0 for one that is not known here."""
        match argument:
            case ConstantArgument(index):
                return self.memory.constants[index].value.nbytes
            case BufferArgument(index):
                return self.memory.buffers[index].type.nbytes
        return self._nbytes.get(argument, 0)

    def grows(self, argument: Argument) -> bool:
        """Whether an output's memory is reserved by the steps that write it."""
        return argument in self.memory.growing

    def put(self, tensor: Tensor, storage: Storage) -> None:
        """Say where a tensor lies."""
        self._storage[tensor] = storage

    def is_output(self, tensor: Tensor) -> bool:
        """Whether a tensor is written to an output of the graph."""
        return tensor in self._outputs

    def stored(self, tensor: Tensor) -> Storage | None:
        """Where a tensor is stored; None for one that is not."""
        return self.memory.constant(tensor) if tensor.is_constant else self._storage.get(tensor)

    def add_buffer(self, tensor: Tensor) -> Storage:
        """A buffer for a value made while lowering (an operand packed at run time)."""
        self._storage[tensor] = contiguous(self.memory.buffer(tensor), tensor.shape)
        return self._storage[tensor]

    # -- writing in place ---------------------------------------------------------------------------------------------------
    def _place_operands(self, group: Group) -> None:
        node = group.outputs[0].producer
        if group.form != MAP or node.op not in ("pad", "concatenate") or {n for n in group.nodes if n.op not in VIEWS} != {node}:
            return
        whole = self._storage[node.output]
        placed = False
        for tensor, corner in pieces(node):
            writer = self._group_of.get(tensor)
            if tensor in self._storage or tensor in self._outputs or writer is None or writer.form not in WRITES_ANYWHERE:
                continue
            if self._is_later(node, writer):
                continue
            if all(self._reads_any_strides(reader, tensor) for reader in self._readers[tensor]):
                self._storage[tensor] = Storage(whole.argument, whole.index(corner), whole.strides)
                placed = True
        if placed:
            group.form = ASSEMBLE

    def _is_later(self, node: Node, writer: Group) -> bool:
        """Whether the place of a piece depends on a dimension that may be known only after the piece is computed."""
        known = {s.name for n in writer.nodes for s in n.symbols}
        return any(s.name in self._definitions and s.name not in known for s in node.symbols)

    def _reads_any_strides(self, reader: Node, tensor: Tensor) -> bool:
        """Whether a reader copes with a tensor that is not contiguous: everything that loads elements one by one does, a convolution's
        input too; a product may need rows that follow each other, and library kernels want plain arrays."""
        if reader.op in VIEWS:
            onward = self._readers.get(reader.output, [])
            return reader.op != "reshape" and reader.output not in self._group_of and all(
                self._reads_any_strides(r, reader.output) for r in onward) or self._reader_is_map(reader)
        if reader.op in ("conv_general", "dot_general"):
            return tensor is reader.inputs[0]
        return self._reader_is_map(reader)

    def _reader_is_map(self, reader: Node) -> bool:
        """Whether every kernel that holds this node loads its operand element by element."""
        holders = [g for g in self._group_of.values() if reader in g.nodes and reader not in g.anchors]
        everywhere = all(g.form in WRITES_ANYWHERE or g.form == ASSEMBLE for g in holders)
        anchored = [g for g in self._group_of.values() if reader in g.anchors]
        fed = [g for g in holders if g.form == TILE and _feeds_anchor(g, reader)]
        return everywhere and not fed and all(g.form in (ROW, WINDOW, CUMULATIVE) for g in anchored)


def _feeds_anchor(group: Group, node: Node) -> bool:
    """Whether a view in a tile group leads to the anchor's operands."""
    tensors = {node.outputs[0]}
    for _ in range(len(group.nodes)):
        tensors |= {n.output for n in group.nodes if n.op in VIEWS and any(t in tensors for t in n.inputs)}
    return any(t in tensors for a in group.anchors for t in a.inputs)


def pieces(node: Node) -> list[tuple[Tensor, tuple]]:
    """The operands that a pad or a concatenation is made of, and the coordinates at which each begins in the result."""
    if node.op == "pad":
        return [(node.inputs[0], tuple(node.attributes["low"]))]
    axis, start, found = node.attributes["axis"], 0, []
    for tensor in node.inputs:
        found.append((tensor, tuple(start if a == axis else 0 for a in range(node.output.rank))))
        start = start + tensor.shape[axis]
    return found


def lower_assemble(group: Group, context: Context) -> Lowered:
    """What is left of a pad or concatenation whose operands were written in place: the border, and the operands that were not."""
    node = group.outputs[0].producer
    whole = context.stored(node.output)
    parameters = Parameters()
    emitter = Emitter(parameters, context.readable(group.root))
    name = parameters.write(whole.argument, node.output.dtype)
    regions: list[tuple[Shape, Coordinates, Callable[[Coordinates], Expression]]] = []
    if node.op == "pad":
        operand, fill = node.inputs
        low, high = node.attributes["low"], node.attributes["high"]
        for axis in range(operand.rank):
            # axes before this one run over the interior only, so that no corner is written twice
            extents = [operand.shape[a] if a < axis else node.output.shape[a] for a in range(operand.rank)]
            corner = [low[a] if a < axis else 0 for a in range(operand.rank)]
            for start, extent in ((0, low[axis]), (low[axis] + operand.shape[axis], high[axis])):
                if extent != 0:
                    extents[axis], corner[axis] = extent, start
                    regions.append((tuple(extents), tuple(corner), lambda at: emitter.value(fill, ())))
    else:
        for tensor, begin in pieces(node):
            here = context.stored(tensor)
            if here is None or (here.argument, here.offset) != (whole.argument, whole.index(begin)):  # the same tensor may be two pieces
                regions.append((tensor.shape, begin, lambda at, tensor=tensor: emitter.value(tensor, at)))
    total: DimLike = 0
    for shape, _, _ in regions:
        total = total + product(shape)
    parallel = worth_sharing(total)
    body = []
    for position, (shape, begin, value_at) in enumerate(regions):
        at = axes_symbols(shape, f"i{position}_")
        saved = emitter.scope()
        value = value_at(at)
        store = Store(name, whole.index(tuple(c + start for c, start in zip(at, begin))), value)
        axes, statements = merge(*split(axes_of(at), (*emitter.restore(saved), store)))
        parallel = parallel and bool(axes)
        body.append((axes, statements))
    loops = tuple(s for axes, statements in body for s in nest(axes, statements, parallel=parallel))
    return finish(parameters, loops, ASSEMBLE, parallel)
