"""Outputs that are the next values of inputs, written where these are: weights that a training step updates need no second place.

For each pair the input is read from the output's array, which holds it when a run begins (csrc/dlc_runtime.h copies it there, unless the caller
gives the same array for both). The kernel that writes the new value comes after all others that read the old one; itself it may read an
element before it writes that one. Where neither can be, the new value is computed elsewhere and copied at the end.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dlcompile.graph import Graph, product, symbol
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import finish, worth_sharing
from dlcompile.kernels.ir import Address, Invoke, KernelFunction, Load, Record, Store, Tile, expressions, map_loads, walk_expression
from dlcompile.kernels.ir import walk as walk_statements
from dlcompile.kernels.nest import Axis, nest
from dlcompile.kernels.place import Memory
from dlcompile.kernels.steps import (
    Argument,
    Call,
    Define,
    DimArgument,
    InputArgument,
    Kernel,
    OutputArgument,
    Reserve,
    Step,
    arrays_of,
    replace_arguments,
    uses,
    walk,
)


def update_in_place(steps: tuple[Step, ...], graph: Graph, updates: Mapping[int, int], memory: Memory, kernel_of) -> tuple[Step, ...]:
    """The steps with outputs written over inputs: `updates` says which input each of some outputs is the next value of. `kernel_of` gives the
    kernel of a function."""
    for output, source in updates.items():
        new, old = OutputArgument(output), InputArgument(source)
        moved = _moved_behind(steps, new, old)
        merged = None if moved is None else _merged(moved, new, old, kernel_of)
        steps = merged if merged is not None else _copied_at_the_end(steps, new, graph.outputs[output], memory, kernel_of)
        steps = replace_arguments(steps, {old: new})
    return steps


def _moved_behind(steps: tuple[Step, ...], new: Argument, old: Argument) -> tuple[Step, ...] | None:
    """The steps in an order in which the call that writes `new` comes behind all that read `old`, and else what depends on one another as it was;
    None where there is none, or where it is no single call that writes."""
    writers = [s for s in walk(steps) if isinstance(s, Call) and new in uses(s, written=True)]
    if len(writers) != 1 or writers[0] not in steps:
        return None
    place = steps.index(writers[0])
    readers = [i for i, s in enumerate(steps) if i != place and _reads(s) & {old}]
    if not readers or readers[-1] < place:
        return steps
    before = _dependences(steps)
    before[place] |= set(readers)
    order: list[int] = []
    done: set[int] = set()
    waiting = list(range(len(steps)))
    while waiting:  # the first in the old order of those that nothing has to come before any more
        ready = next((i for i in waiting if before[i] <= done), None)
        if ready is None:
            return None
        waiting.remove(ready)
        done.add(ready)
        order.append(ready)
    return tuple(steps[i] for i in order)


def _dependences(steps: Sequence[Step]) -> list[set[int]]:
    """For each step those that it has to stay behind: they write what it reads or writes, or read what it writes. Nothing passes a definition."""
    before: list[set[int]] = []
    wrote: dict[Argument, list[int]] = {}
    read: dict[Argument, list[int]] = {}
    barrier = 0
    for i, step in enumerate(steps):
        if isinstance(step, (Define, Reserve)):
            before.append(set(range(i)))
            barrier = i
            continue
        reads, writes = _reads(step), _writes(step)
        found = {j for a in (*reads, *writes) for j in wrote.get(a, ())} | {j for a in writes for j in read.get(a, ())}
        before.append(found | {barrier} if barrier else found)
        for table, arrays in ((wrote, writes), (read, reads)):
            for a in arrays:
                table.setdefault(a, []).append(i)
    return before


def _reads(step: Step) -> set[Argument]:
    """The arrays that a step reads, or one inside of it; of a branch or loop all that it uses."""
    return {a for s in walk((step,)) for a in (uses(s, written=False) if isinstance(s, Call) else arrays_of(s))}


def _writes(step: Step) -> set[Argument]:
    return {a for s in walk((step,)) for a in (uses(s, written=True) if isinstance(s, Call) else arrays_of(s))}


def _merged(steps: tuple[Step, ...], new: Argument, old: Argument, kernel_of) -> tuple[Step, ...] | None:
    """The steps with what the writer of `new` reads of `old` read from `new`; None where it does not read each element just where it is written."""
    made = []
    for step in steps:
        if isinstance(step, Call) and new in uses(step, written=True) and old in uses(step, written=False):
            arrays = arrays_of(step)
            function = _one_parameter(step.kernel, arrays.index(old), arrays.index(new))
            if function is None:
                return None
            step = replace(step, kernel=kernel_of(function), arguments=tuple(a for a in step.arguments if a != old))
        made.append(step)
    return tuple(made)


def _one_parameter(kernel: Kernel, read: int, written: int) -> KernelFunction | None:
    """A kernel that finds in the array that it writes what it read in another; None where it is not known to read each element just before it
    writes it."""
    function = kernel.body
    if not isinstance(function, KernelFunction):
        return None
    source, target = function.parameters[read], function.parameters[written]
    statements = list(walk_statements(function.body))
    stores = {s.index for s in statements if isinstance(s, Store) and s.buffer == target.name}
    loads = {e.index for s in statements for root in expressions(s) for e in walk_expression(root) if isinstance(e, Load) and e.buffer == source.name}
    pointers = {b for s in statements for b in _pointers(s)}
    if len(stores) != 1 or loads - stores or target.read or {source.name, target.name} & pointers or source.dtype != target.dtype:
        return None
    parameters = tuple(replace(p, read=True) if p is target else p for p in function.parameters if p is not source)
    body = map_loads(function.body, lambda load: replace(load, buffer=target.name) if load.buffer == source.name else load)
    return replace(function, parameters=parameters, body=body)


def _pointers(statement) -> Sequence[str]:
    """The arrays that a statement hands on as a whole."""
    match statement:
        case Tile():
            return [statement.a, statement.b, statement.result]
        case Invoke(arguments=arguments):
            waiting, found = list(arguments), []
            while waiting:
                argument = waiting.pop()
                if isinstance(argument, Address) and argument.buffer:
                    found.append(argument.buffer)
                elif isinstance(argument, str):
                    found += re.findall(r"\w+", argument)
                elif isinstance(argument, Record):
                    waiting += [value for _, value in argument.fields]
            return found
    return []


def _copied_at_the_end(steps: tuple[Step, ...], new: Argument, tensor, memory: Memory, kernel_of) -> tuple[Step, ...]:
    """The steps with `new` computed in a buffer, which is copied when all is done."""
    buffer = memory.buffer(tensor)
    parameters, size = Parameters(), product(tensor.shape)
    source, target = parameters.read(buffer, tensor.dtype), parameters.write(new, tensor.dtype)
    i = symbol("i", size)
    parallel = worth_sharing(size)
    lowered = finish(parameters, nest((Axis("i", size),), (Store(target, i, Load(source, i, tensor.dtype)),), parallel=parallel), "map", parallel)
    dims = tuple(DimArgument(d) for d in lowered.dimensions)
    origin = tensor.producer.origin if tensor.producer else ()
    copy = Call(kernel_of(lowered.function), (*lowered.arguments, *dims), parallel, False, 0, origin, 0, 2 * tensor.type.nbytes, "map", ("copy",))
    return (*replace_arguments(steps, {new: buffer}), copy)
