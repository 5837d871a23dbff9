"""The order of steps: where the threads of the team have to wait for one another, and from when to when each buffer is needed."""
from __future__ import annotations

from dataclasses import dataclass, replace

from dlcompile.kernels.steps import (
    Argument,
    Branch,
    BufferArgument,
    Call,
    Loop,
    OutputArgument,
    Step,
    VariableArgument,
    arrays_of,
    inner,
    uses,
    walk,
)

Written = dict[tuple[Argument, bool], bool]
"""(array, whether it was written or read) since the team last waited → whether several threads did"""


def place_barriers(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with `barrier` set on calls that read what a call since the last wait wrote, unless one thread does both; and on those that write over
    what has been read, as the next value of an input does.

    At a definition, a branch and a loop the team waits anyway; so it does after every turn of a loop, which hands over addresses.
    """
    return _with_barriers(steps, {})[0]


def _with_barriers(steps: tuple[Step, ...], written: Written) -> tuple[tuple[Step, ...], Written]:
    made: list[Step] = []
    for step in steps:
        match step:
            case Call():
                step, written = _call(step, written)
            case Branch():
                then, left = _with_barriers(step.then, {})
                otherwise, right = _with_barriers(step.otherwise, {})
                step = replace(step, then=then, otherwise=otherwise)
                written = {a: left.get(a, False) or right.get(a, False) for a in (*left, *right)}
            case Loop():
                test, after_test = _with_barriers(step.test, {})
                body, _ = _with_barriers(step.body, {} if step.going is not None else after_test)
                step = replace(step, test=test, body=body)
                written = {}
            case _:
                written = {}
        made.append(step)
    return tuple(made), written


def _call(call: Call, written: Written) -> tuple[Call, Written]:
    read, wrote = uses(call, written=False), uses(call, written=True)
    waited_for = [*((a, True) for a in read), *((a, False) for a in wrote if isinstance(a, OutputArgument))]
    wait = any(key in written and (written[key] or call.parallel) for key in waited_for)
    written = {} if wait else dict(written)
    for key in (*((a, False) for a in read), *((a, True) for a in wrote)):
        written[key] = written.get(key, False) or call.parallel
    return replace(call, barrier=wait), written


# -- lifetimes ----------------------------------------------------------------------------------------------------------------
@dataclass
class _Position:
    """A step in the walk over all of them. `last`: the number of the last step inside it."""

    step: Step
    last: int
    waits_before: bool
    waits_after: bool = False


def lifetimes(steps: tuple[Step, ...], count: int) -> list[tuple[int, int]]:
    """(first, last) step that needs each of `count` buffers. Calls with no wait between them may run at once, so a lifetime covers them all;
    what a loop finds when it begins, it needs to its end."""
    positions: list[_Position] = []
    _number(steps, positions)
    aliases = _aliases(steps)
    begin_of, end_of = _windows(positions)
    spans: dict[int, list[int]] = {}
    for number, position in enumerate(positions):
        for buffer in _buffers(position.step, aliases):
            span = spans.setdefault(buffer, [begin_of[number], end_of[number]])
            span[1] = max(span[1], end_of[number])
    loops = [(n, p.last) for n, p in enumerate(positions) if isinstance(p.step, Loop)]
    for span in spans.values():
        for begin, end in reversed(loops):  # inner ones first
            if span[0] <= begin <= span[1]:
                span[1] = max(span[1], end)
    return [tuple(spans.get(i, (0, 0))) for i in range(count)]


def _number(steps: tuple[Step, ...], positions: list[_Position]) -> None:
    for step in steps:
        position = _Position(step, len(positions), step.barrier if isinstance(step, Call) else True, not isinstance(step, Call))
        positions.append(position)
        for block in inner(step):
            _number(block, positions)
            if isinstance(step, Loop):
                positions[-1].waits_after = True
        position.last = len(positions) - 1


def _windows(positions: list[_Position]) -> tuple[list[int], list[int]]:
    """For each step the first and the last of those that may run at the same time."""
    begin_of, start = [], 0
    for number, position in enumerate(positions):
        if position.waits_before or number and positions[number - 1].waits_after:
            start = number
        begin_of.append(start)
    end_of, end = [0] * len(positions), len(positions) - 1
    for number in reversed(range(len(positions))):
        if positions[number].waits_after:
            end = number
        end_of[number] = end
        if positions[number].waits_before:
            end = number - 1
    return begin_of, end_of


def _aliases(steps: tuple[Step, ...]) -> dict[int, tuple[Argument, ...]]:
    """The arrays that each variable may stand for."""
    found: dict[int, tuple[Argument, ...]] = {}
    for step in walk(steps):
        if isinstance(step, Loop):
            for carry in step.carries:
                found[carry.now.index] = (carry.initial, *carry.places)
                found[carry.next.index] = carry.places
            for part in step.parts:
                found[part.variable.index] = (part.array,)
    return found


def _buffers(step: Step, aliases: dict[int, tuple[Argument, ...]]) -> set[int]:
    """The buffers a step uses itself, through variables too."""
    found: set[int] = set()
    waiting = list(arrays_of(step))
    while waiting:
        argument = waiting.pop()
        if isinstance(argument, BufferArgument):
            found.add(argument.index)
        elif isinstance(argument, VariableArgument):
            waiting += aliases.get(argument.index, ())
    return found

