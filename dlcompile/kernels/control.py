"""Control flow: branches and loops become steps of the program around the steps of their bodies.

    cond    the results have buffers, which the branch that is taken writes
    scan    carries lie in two places that change roles with every turn; a turn reads and writes its part of the scanned and stacked arrays;
            where nothing is carried, threads take whole turns
    while   the same, with steps that decide whether there is another turn, and stacks that grow

Where the size of a carry, a result or a stack is known only as the steps run, it lies in boxes; the int64 scalars that hold its dimensions are
carried or handed out beside it (the attributes `sizes` and `defines`, see `operators.control`).
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcompile.graph import Dim, DimLike, Graph, Node, Tensor, product, symbols_in
from dlcompile.kernels.access import Storage, contiguous
from dlcompile.kernels.group import worth_sharing
from dlcompile.kernels.steps import (
    Argument,
    BoxArgument,
    Branch,
    BufferArgument,
    Call,
    Carry,
    DimArgument,
    Element,
    Loop,
    Part,
    Step,
    VariableArgument,
    map_steps,
    uses,
    walk,
)

if TYPE_CHECKING:
    from dlcompile.kernels.schedule import Scheduler

WORTH_TURNS = 1_000_000  # operations of all turns of a loop that are worth sharing out


def lower_cond(node: Node, scheduler: Scheduler) -> list[Step]:
    """A branch."""
    predicate, *operands = node.inputs
    inputs = [scheduler.placement.stored(t) for t in operands]
    defined = symbols_in(node.attributes["defines"])
    outputs = [_place(scheduler, t, grows=bool(symbols_in(t.shape) & defined)) for t in node.outputs]
    then, otherwise = (scheduler.body_steps(node.attributes[name], inputs, outputs, branch_of=node)
                       for name in ("then_branch", "else_branch"))
    return [Branch(scheduler.element(predicate), then, otherwise, node.origin)]


def lower_scan(node: Node, scheduler: Scheduler) -> list[Step]:
    """A loop with a known number of turns over the leading axis of arrays."""
    attributes = node.attributes
    body, carried, scanned = attributes["body"], attributes["num_carry"], attributes["num_scanned"]
    places = [scheduler.placement.stored(t) for t in node.inputs]
    carries = [_carry(scheduler, t, s.argument) for t, s in zip(node.inputs[:carried], places)]
    read = [Part(scheduler.memory.variable(), s.argument, t.type.nbytes)
            for t, s in zip(body.inputs[carried:carried + scanned], places[carried:])]
    written = [Part(scheduler.memory.variable(), _place(scheduler, stack), t.type.nbytes)
               for t, stack in zip(body.outputs[carried:], node.outputs[carried:])]
    inputs = _storages(body, [*(c.now for c in carries), *(p.variable for p in read)]) + places[carried + scanned:]
    outputs = [*(c.next for c in carries), *(p.variable for p in written)]
    for tensor, carry in zip(node.outputs, carries):
        scheduler.placement.put(tensor, contiguous(carry.now, tensor.shape))
    first = len(scheduler.memory.buffers)
    before, steps = _once(scheduler.body_steps(body, inputs, outputs))
    steps = map_steps(steps, lambda s: _repeated(s, attributes["length"]))
    apart = not carries and _apart(steps, scheduler, first)
    shared = {a for call in before for a in call.arguments}
    private = tuple(i for i in range(first, len(scheduler.memory.buffers)) if BufferArgument(i) not in shared) if apart else None
    return [*before, Loop(tuple(carries), (*read, *written), steps, attributes["length"], attributes["reverse"], origin=node.origin, private=private)]


def lower_while(node: Node, scheduler: Scheduler) -> list[Step]:
    """A loop that goes on while its condition holds."""
    attributes = node.attributes
    condition, body, carried = attributes["condition"], attributes["body"], attributes["num_carry"]
    sizes = attributes["sizes"]
    own = symbols_in(sizes)
    places = [scheduler.placement.stored(t) for t in node.inputs]
    carries = [_carry(scheduler, t, s.argument, grows=bool(symbols_in(formal.shape) & own))
               for t, s, formal in zip(node.inputs[:carried], places, body.inputs)]
    stacks = [Part(scheduler.memory.variable(grows=True), scheduler.memory.box(), shape=t.shape) for t in body.outputs[carried:]]
    now = [c.now for c in carries]
    going = scheduler.memory.buffer(condition.outputs[0])
    counter = _place(scheduler, node.outputs[-1])
    test = scheduler.body_steps(condition, _storages(condition, now) + places[carried:], [going], _sizes(sizes, now))
    outputs = [*(c.next for c in carries), *(p.variable for p in stacks)]
    steps = scheduler.body_steps(body, _storages(body, now) + places[carried:], outputs, _sizes(sizes, now))
    for tensor, argument in zip(node.outputs, [*now, *(p.array for p in stacks)]):
        scheduler.placement.put(tensor, contiguous(argument, tensor.shape))
    return [Loop(tuple(carries), tuple(stacks), steps, None, False, test, Element(going), counter, node.origin)]


CONTROL: dict[str, Callable[[Node, Scheduler], list[Step]]] = {"cond": lower_cond, "scan": lower_scan, "while": lower_while}
"""operator → the steps it becomes"""


def _once(steps: Sequence[Step]) -> tuple[tuple[Call, ...], tuple[Step, ...]]:
    """The steps of a body in two parts: calls that do the same in every turn, which are made before the loop, and the others. Such a call (mostly
    one that packs a weight) reads what no turn changes, and nothing else writes where it does."""
    before: list[Call] = []
    inside = list(steps)
    while True:
        calls = [s for s in walk(inside) if isinstance(s, Call)]
        writers = Counter(a for call in calls for a in uses(call, written=True))
        same = [s for s in inside if isinstance(s, Call) and all(isinstance(a, BufferArgument) and writers[a] == 1 for a in uses(s, written=True))
                and not any(isinstance(a, (VariableArgument, BoxArgument)) or writers[a] for a in uses(s, written=False))
                and not any(isinstance(a, DimArgument) and isinstance(a.value, Dim) for a in s.arguments)]
        if not same:
            return tuple(before), tuple(inside)
        before += same
        inside = [s for s in inside if s not in same]


def _repeated(step: Step, times: DimLike) -> Step:
    """A step with the work of so many turns."""
    return replace(step, flops=product((times, step.flops)), bytes=product((times, step.bytes))) if isinstance(step, Call) else step


def _apart(steps: Sequence[Step], scheduler: Scheduler, first: int) -> bool:
    """Whether threads may take whole turns of a loop, which do `steps` in the buffers from `first` on: they are worth it, are nothing but kernels, and
    need memory of a size that is known."""
    calls = [s for s in steps if isinstance(s, Call)]
    sizes = [*(t.type.nbytes for t in scheduler.memory.buffers[first:]), *(c.scratch for c in calls)]
    return (len(calls) == len(steps) and all(isinstance(s, int) for s in sizes)
            and worth_sharing(sum((c.flops for c in calls), 0), WORTH_TURNS))


def _place(scheduler: Scheduler, tensor: Tensor, grows: bool = False) -> Argument:
    """Where a result is written: its array, or a box where its size is known only when it is there."""
    placement = scheduler.placement
    argument = placement.target(tensor) if not grows or placement.is_output(tensor) else scheduler.memory.box()
    placement.put(tensor, contiguous(argument, tensor.shape))
    return argument


def _carry(scheduler: Scheduler, operand: Tensor, initial: Argument, grows: bool = False) -> Carry:
    memory = scheduler.memory
    places = (memory.box(), memory.box()) if grows else (memory.buffer(operand), memory.buffer(operand))
    return Carry(memory.variable(), memory.variable(grows), initial, places, operand.type.nbytes if grows else 0)


def _storages(body: Graph, arguments: Sequence[Argument]) -> list[Storage]:
    """The first inputs of a body, at the given addresses."""
    return [contiguous(a, t.shape) for a, t in zip(arguments, body.inputs)]


def _sizes(sizes: Sequence[tuple[Dim, int]], now: Sequence[VariableArgument]) -> dict[str, Element]:
    """What defines the dimensions of carries that change size, in each turn anew."""
    return {str(dim): Element(now[index]) for dim, index in sizes}

