"""A `Program`: what scheduling hands to code generation. Everything the library must hold, nothing of how C spells it.

A program is a list of steps over one arena (see `kernels.steps`). Sizes and offsets are bytes, as ints or `Dim`s over the model's symbols.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dlcompile.graph import Dim, DimLike, TensorType, substitute, symbols_of
from dlcompile.kernels.steps import (
    Argument,
    BoxArgument,
    Branch,
    BufferArgument,
    Call,
    Carry,
    ConstantArgument,
    Define,
    DimArgument,
    Element,
    InputArgument,
    Kernel,
    Loop,
    OutputArgument,
    Part,
    Reserve,
    Step,
    VariableArgument,
    inner,
    map_steps,
    walk,
)

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class Port:
    """An input or output of the model: the model's own name for it, and its type."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena: `nbytes` needed from step `first` to step `last` (both inclusive, as `walk` counts)."""

    nbytes: DimLike
    first: int
    last: int


@dataclass(frozen=True)
class Constraint:
    """Two dimensions the model needs to be equal; checked before a run writes anything, or where they are known only later, when they
    are known. `origin` names the model's node. `stage`: the earliest stage to check them at, for those of a branch that may not be taken."""

    left: DimLike
    right: DimLike
    origin: str
    stage: int = 0


@dataclass(frozen=True)
class Program:
    """A whole model, scheduled. `symbols` are the names of its symbolic dimensions, in order of first appearance in the inputs."""

    name: str
    symbols: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: tuple[np.ndarray, ...]  # C-contiguous; each is placed at the next multiple of ALIGNMENT
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    constraints: tuple[Constraint, ...] = ()
    threads: int | None = None  # most threads that can pay for this program (1 for a tiny one); None: as many as there are
    metadata: dict[str, str] = field(default_factory=dict)
    variables: int = 0  # how many `VariableArgument`s there are
    boxes: int = 0
    updates: tuple[tuple[int, int], ...] = ()  # (output, the input that it is the next value of)

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls, in textual order."""
        return tuple(s for s in walk(self.steps) if isinstance(s, Call))

    @property
    def defines(self) -> tuple[Define, ...]:
        """The steps that begin stages 1, 2, …"""
        return tuple(s for s in walk(self.steps) if isinstance(s, Define))

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The dimensions that become known when the model runs, in textual order."""
        return tuple(name for d in self.defines for name in d.symbols)

    @property
    def stages(self) -> dict[str, int]:
        """The stage at which each dimension is known; 0 for those of the inputs."""
        return dict.fromkeys(self.symbols, 0) | {name: d.stage for d in self.defines for name in d.symbols}

    def stage_of(self, dim: DimLike) -> int:
        """The stage at which the value of a dimension is known."""
        stages = self.stages if isinstance(dim, Dim) else {}
        return max((stages[s.name] for s in symbols_of(dim)), default=0)

    def map_calls(self, function: Callable[[Call], Call]) -> Program:
        """The program with each call replaced."""
        return replace(self, steps=map_steps(self.steps, lambda s: function(s) if isinstance(s, Call) else s))

    def substitute(self, values: Mapping[str, Dim]) -> Program:
        """The program with its dimensions called otherwise: `values` gives the symbol for each name."""
        def new(dim: DimLike) -> DimLike:
            return substitute(dim, values)

        def port(old: Port) -> Port:
            return Port(old.name, TensorType(old.type.dtype, tuple(new(d) for d in old.type.shape)))

        def element(old: Element) -> Element:
            return Element(old.argument, new(old.index))

        def step(old: Step) -> Step:
            match old:
                case Call():
                    arguments = tuple(DimArgument(new(a.value)) if isinstance(a, DimArgument) else a for a in old.arguments)
                    return replace(old, arguments=arguments, scratch=new(old.scratch), flops=new(old.flops), bytes=new(old.bytes))
                case Define():
                    return replace(old, symbols=tuple(str(values.get(s, s)) for s in old.symbols), sources=tuple(map(element, old.sources)))
                case Reserve():
                    return replace(old, nbytes=new(old.nbytes))
                case Branch():
                    return replace(old, predicate=element(old.predicate))
            carries = tuple(replace(c, nbytes=new(c.nbytes)) for c in old.carries)
            parts = tuple(replace(p, nbytes=new(p.nbytes), shape=tuple(map(new, p.shape))) for p in old.parts)
            return replace(old, carries=carries, parts=parts, length=None if old.length is None else new(old.length),
                           going=None if old.going is None else element(old.going))

        return replace(
            self, symbols=tuple(str(values.get(s, s)) for s in self.symbols), inputs=tuple(map(port, self.inputs)),
            outputs=tuple(map(port, self.outputs)), buffers=tuple(replace(b, nbytes=new(b.nbytes)) for b in self.buffers),
            steps=map_steps(self.steps, step),
            constraints=tuple(replace(c, left=new(c.left), right=new(c.right)) for c in self.constraints))

    @property
    def constant_offsets(self) -> tuple[int, ...]:
        """Byte offset of each constant in the weights."""
        offsets, end = [], 0
        for array in self.constants:
            end = -(-end // ALIGNMENT) * ALIGNMENT
            offsets.append(end)
            end += array.nbytes
        return tuple(offsets)

    @property
    def constant_bytes(self) -> int:
        return self.constant_offsets[-1] + self.constants[-1].nbytes if self.constants else 0


__all__ = ["ALIGNMENT", "Argument", "BoxArgument", "Branch", "Buffer", "BufferArgument", "Call", "Carry", "ConstantArgument", "Constraint",
           "Define", "DimArgument", "Element", "InputArgument", "Kernel", "Loop", "OutputArgument", "Part", "Port", "Program", "Reserve",
           "Step", "VariableArgument", "inner", "map_steps", "walk"]
