"""The steps of a program: calls of kernels on arguments, and the branches and loops around them.

Dimensions that are known only when the model runs become known in a `Define`; with each of these begins a *stage*, numbered from 1 in
textual order: what has a size that the stage decides lies in memory of its own.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Union

from dlcompile.graph import DimLike, Shape
from dlcompile.kernels.ir import KernelFunction


# -- what a kernel is given ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class InputArgument:
    """A kernel argument: the caller's array for input `index`."""

    index: int


@dataclass(frozen=True)
class OutputArgument:
    """A kernel argument: the caller's array for output `index`."""

    index: int


@dataclass(frozen=True)
class ConstantArgument:
    """A kernel argument: the address of constant `index` in the weights."""

    index: int


@dataclass(frozen=True)
class BufferArgument:
    """A kernel argument: the address of arena buffer `index`."""

    index: int


@dataclass(frozen=True)
class DimArgument:
    """A kernel argument: an int64_t, the value of a dimension."""

    value: DimLike


@dataclass(frozen=True)
class VariableArgument:
    """A kernel argument: an address that changes in a loop: where what it carries lies at the moment, or the part of an array that
    belongs to a turn."""

    index: int


@dataclass(frozen=True)
class BoxArgument:
    """A kernel argument: the address of box `index`, memory that grows to the size asked for (see `Reserve`)."""

    index: int


Argument = Union[InputArgument, OutputArgument, ConstantArgument, BufferArgument, DimArgument, VariableArgument, BoxArgument]


# -- steps --------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Kernel:
    """A kernel under a name: its Kernel IR, or the text of one that is written by hand.

    Text is `body`, what stands between the function's braces, indented by four spaces, with `parameters` as (C type, name) after the leading
    `dlc_team *team`, and the csrc `headers` it needs. `weight` says how long the C compiler is expected to take over it.
    """

    name: str  # a C identifier without the model's prefix
    parameters: tuple[tuple[str, str], ...]
    body: KernelFunction | str
    headers: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Call:
    """A kernel applied to arguments.

    parallel:  all threads of the team enter it and split its work; otherwise only thread 0 does.
    barrier:   the team waits for everybody before this call (it reads what an earlier call wrote).
    scratch:   bytes of private scratch a thread needs in it (`team->scratch`).
    origin:    names of the model's own nodes computed here.
    flops, bytes: work of it in a run, in all turns of a loop whose number is known; for profiles and cost.
    product:   the number of the product or convolution that it computes, or a part of it (see `kernels.choices`).
    """

    kernel: Kernel
    arguments: tuple[Argument, ...]
    parallel: bool = True
    barrier: bool = True
    scratch: DimLike = 0
    origin: tuple[str, ...] = ()
    flops: DimLike = 0
    bytes: DimLike = 0
    form: str = "map"
    operators: tuple[str, ...] = ()
    product: int | None = None


@dataclass(frozen=True)
class Element:
    """An element in memory: the `index`-th of the array at `argument`."""

    argument: Argument
    index: DimLike = 0


@dataclass(frozen=True)
class Define:
    """From here on the dimensions called `symbols` are known: each is the int64 at its source. `stage` is what begins here. There may be no
    symbols: a branch that is taken only if certain dimensions are equal begins a stage to check that."""

    symbols: tuple[str, ...]
    sources: tuple[Element, ...]
    stage: int
    origin: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reserve:
    """What is written to `target` next needs `nbytes` of memory, which is known only now: a box, an output of the model whose size it does
    not tell, or a variable that is the next place of a `Carry` or the turn's `Part` of a box."""

    target: Argument
    nbytes: DimLike


@dataclass(frozen=True)
class Branch:
    """One of two lists of steps, as the bool `predicate` says. The team waits before it."""

    predicate: Element
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]
    origin: tuple[str, ...] = ()


@dataclass(frozen=True)
class Carry:
    """What a loop hands from turn to turn, in one of two `places`. The variable `now` is the address of what a turn reads, `next` of what it
    writes; they change places after it. At first `now` is `initial`; where the places are boxes, the `nbytes` at `initial` are copied."""

    now: VariableArgument
    next: VariableArgument
    initial: Argument
    places: tuple[Argument, Argument]
    nbytes: DimLike = 0

    @property
    def grows(self) -> bool:
        """Whether what is carried may have another size after a turn."""
        return isinstance(self.places[0], BoxArgument)


@dataclass(frozen=True)
class Part:
    """The part of an array that belongs to a turn: `variable` is the address `array` + turn * `nbytes`. Where `nbytes` is None, `array` is a
    box and the parts are of the size that each turn reserves, one after the other; `shape` is theirs, the same in every turn or an error."""

    variable: VariableArgument
    array: Argument
    nbytes: DimLike | None = None
    shape: Shape = ()

    @property
    def grows(self) -> bool:
        """Whether the array gets longer with every turn."""
        return self.nbytes is None


@dataclass(frozen=True)
class Loop:
    """Steps that are repeated: `length` times (any number of times for None), and no longer than the bool `going` is true after the
    steps `test`. The team waits before it and after every turn. `counter`: where the number of turns is left as an int64.

    private: where turns need nothing of one another, the buffers that a turn uses and leaves. Threads then take whole turns for themselves,
    with these buffers in their scratch; turns left over, fewer than there are threads, all take together. None where turns follow one
    another."""

    carries: tuple[Carry, ...]
    parts: tuple[Part, ...]
    body: tuple[Step, ...]
    length: DimLike | None = None
    reverse: bool = False
    test: tuple[Step, ...] = ()
    going: Element | None = None
    counter: Argument | None = None
    origin: tuple[str, ...] = ()
    private: tuple[int, ...] | None = None


Step = Union[Call, Define, Reserve, Branch, Loop]


def inner(step: Step) -> tuple[tuple[Step, ...], ...]:
    """The lists of steps inside a step, in textual order."""
    match step:
        case Branch():
            return step.then, step.otherwise
        case Loop():
            return step.test, step.body
    return ()


def arrays_of(step: Step) -> list[Argument]:
    """The arrays a step uses itself."""
    match step:
        case Call():
            return [a for a in step.arguments if not isinstance(a, DimArgument)]
        case Define():
            return [s.argument for s in step.sources]
        case Reserve():
            return [step.target]
        case Branch():
            return [step.predicate.argument]
        case Loop():
            own = [a for c in step.carries for a in (c.initial, *c.places)] + [p.array for p in step.parts]
            return [*own, *([step.going.argument] if step.going else []), *([step.counter] if step.counter else [])]
    return []


def uses(call: Call, *, written: bool) -> list[Argument]:
    """The arrays that a call writes, or those that it reads."""
    return [a for a, p in zip(arrays_of(call), call.kernel.body.parameters) if (p.written if written else p.read)]


def replace_arguments(steps: tuple[Step, ...], new: Mapping[Argument, Argument]) -> tuple[Step, ...]:
    """The steps with other arrays in place of some."""
    def element(old: Element) -> Element:
        return replace(old, argument=new.get(old.argument, old.argument))

    def one(step: Step) -> Step:
        match step:
            case Call():
                return replace(step, arguments=tuple(new.get(a, a) for a in step.arguments))
            case Define():
                return replace(step, sources=tuple(map(element, step.sources)))
            case Reserve():
                return replace(step, target=new.get(step.target, step.target))
            case Branch():
                return replace(step, predicate=element(step.predicate))
        carries = tuple(replace(c, initial=new.get(c.initial, c.initial), places=tuple(new.get(p, p) for p in c.places)) for c in step.carries)
        parts = tuple(replace(p, array=new.get(p.array, p.array)) for p in step.parts)
        return replace(step, carries=carries, parts=parts, going=step.going and element(step.going), counter=new.get(step.counter, step.counter))

    return map_steps(steps, one)


def map_steps(steps: tuple[Step, ...], function: Callable[[Step], Step]) -> tuple[Step, ...]:
    """The steps with each one replaced, after those inside it."""
    made = []
    for step in steps:
        if isinstance(step, Branch):
            step = replace(step, then=map_steps(step.then, function), otherwise=map_steps(step.otherwise, function))
        elif isinstance(step, Loop):
            step = replace(step, test=map_steps(step.test, function), body=map_steps(step.body, function))
        made.append(function(step))
    return tuple(made)


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All steps, those inside others after them: their numbers are what lifetimes are told in."""
    for step in steps:
        yield step
        for block in inner(step):
            yield from walk(block)
