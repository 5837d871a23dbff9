"""A group: nodes that become one kernel, around at most one anchor, and the tensors it stores."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dlcompile.graph import OPERATORS, DimLike, Graph, Node, Tensor, symbol
from dlcompile.kernels.access import Coordinates, Storage, forward_through
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.ir import KernelFunction, Statement, substitute
from dlcompile.kernels.nest import symbols_inside
from dlcompile.kernels.program import Argument
from dlcompile.kernels.target import Target


@dataclass(eq=False)
class Group:
    """Nodes that become one kernel. `outputs` are the tensors it stores; `form` names what compiles it (see `kernels.forms`)."""

    form: str
    nodes: set[Node]
    outputs: tuple[Tensor, ...]
    anchors: list[Node] = field(default_factory=list)

    @property
    def root(self) -> Tensor:
        """The only output."""
        (tensor,) = self.outputs
        return tensor

    def ordered(self, graph: Graph) -> tuple[Node, ...]:
        """The nodes in the graph's order."""
        return tuple(n for n in graph.nodes if n in self.nodes)

    def shared(self) -> frozenset[Tensor]:
        """Tensors that several nodes of the group read."""
        uses: dict[Tensor, int] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                uses[tensor] = uses.get(tensor, 0) + 1
        return frozenset(t for t, count in uses.items() if count > 1 and t not in self.outputs)

    def body_and_views(self) -> tuple[Tensor, list[Node]]:
        """The root without the views it ends in: (the tensor they start from, the views, first one first). What is stored can be moved by
        storing it elsewhere, so these views cost nothing."""
        tensor, views = self.root, []
        while (tensor.producer in self.nodes and tensor.producer not in self.anchors
               and tensor.producer.op in ("reshape", "transpose")):
            views.append(tensor.producer)
            tensor = tensor.producer.inputs[0]
        return tensor, views[::-1]


def forward(views: list[Node], at: Coordinates) -> Coordinates:
    """Coordinates carried through views that only rearrange."""
    for view in views:
        at = forward_through(view, at)
    return at


@dataclass(frozen=True)
class Lowered:
    """A kernel made of a group: its IR, the arrays and dimensions its parameters stand for, and what it needs."""

    function: KernelFunction
    arguments: tuple[Argument, ...]
    dimensions: tuple[DimLike, ...]
    parallel: bool
    scratch: DimLike = 0


@dataclass(frozen=True)
class Context:
    """What lowering a group may ask: where a tensor is stored (`stored` gives None for one that is not), the machine, and arena memory for a
    kernel's own use, shared by the threads (`workspace`, given a number of bytes)."""

    stored: Callable[[Tensor], Storage | None]
    target: Target
    workspace: Callable[[DimLike], Storage] | None = None

    def readable(self, root: Tensor) -> Callable[[Tensor], Storage | None]:
        """What a kernel that writes `root` may read."""
        return lambda tensor: None if tensor is root else self.stored(tensor)


EXPENSIVE = frozenset({
    "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf",
    "logistic", "pow", "atan2"})
"""elementwise operators that cost tens of arithmetic operations: worth storing rather than computing again"""


def cost(nodes: Iterable[Node]) -> DimLike:
    """Floating-point operations of the nodes (see `Operator.flops`), with a transcendental counted as twenty."""
    total: DimLike = 0
    for node in nodes:
        row = OPERATORS[node.op]
        if row.flops is not None:
            flops = row.flops(tuple(t.type for t in node.inputs), tuple(t.type for t in node.outputs), node.attributes)
            total = total + flops * (20 if node.op in EXPENSIVE else 1)
    return total


def worth_sharing(work: DimLike, threshold: int = 16384) -> bool:
    """Whether so many operations (or elements) are worth the barrier that sharing them out costs. Symbolic amounts are."""
    return not isinstance(work, int) or work >= threshold


def finish(parameters: Parameters, body: Iterable[Statement], form: str, parallel: bool, scratch: DimLike = 0) -> Lowered:
    """The lowered kernel of a finished body. The model's dimensions become n0, n1, …: their names are the model's, these are the kernel's."""
    names = sorted(symbols_inside(tuple(body)))
    renamed = {name: symbol(f"n{position}") for position, name in enumerate(names)}
    function = KernelFunction(parameters.parameters, tuple(str(d) for d in renamed.values()), substitute(tuple(body), renamed), form)
    return Lowered(function, parameters.arguments, tuple(symbol(n) for n in names), parallel, scratch)
