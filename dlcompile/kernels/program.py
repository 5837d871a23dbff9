"""A `Program`: what scheduling hands to code generation. Everything the library must hold, nothing of how C spells it.

A program is a list of calls of kernels over one arena. Sizes and offsets are bytes, as ints or `Dim`s over the model's symbols.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Union

import numpy as np

from dlcompile.graph import Dim, DimLike, TensorType, substitute
from dlcompile.kernels.ir import KernelFunction

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class Port:
    """An input or output of the model: the model's own name for it, and its type."""

    name: str
    type: TensorType


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


Argument = Union[InputArgument, OutputArgument, ConstantArgument, BufferArgument, DimArgument]


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena: `nbytes` needed from call `first` to call `last` (both inclusive, indices into `Program.calls`)."""

    nbytes: DimLike
    first: int
    last: int


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
    flops, bytes: work of one call, for profiles and cost.
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


@dataclass(frozen=True)
class Constraint:
    """Two dimensions the model needs to be equal; checked before a run writes anything. `origin` names the model's node."""

    left: DimLike
    right: DimLike
    origin: str


@dataclass(frozen=True)
class Program:
    """A whole model, scheduled. `symbols` are the names of its symbolic dimensions, in order of first appearance in the inputs."""

    name: str
    symbols: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: tuple[np.ndarray, ...]  # C-contiguous; each is placed at the next multiple of ALIGNMENT
    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    constraints: tuple[Constraint, ...] = ()
    threads: int | None = None  # most threads that can pay for this program (1 for a tiny one); None: as many as there are
    metadata: dict[str, str] = field(default_factory=dict)

    def substitute(self, values: Mapping[str, Dim]) -> Program:
        """The program with its dimensions called otherwise: `values` gives the symbol for each name."""
        def new(dim: DimLike) -> DimLike:
            return substitute(dim, values)

        def port(old: Port) -> Port:
            return Port(old.name, TensorType(old.type.dtype, tuple(new(d) for d in old.type.shape)))

        def call(old: Call) -> Call:
            arguments = tuple(DimArgument(new(a.value)) if isinstance(a, DimArgument) else a for a in old.arguments)
            return replace(old, arguments=arguments, scratch=new(old.scratch), flops=new(old.flops), bytes=new(old.bytes))

        return replace(
            self, symbols=tuple(str(values.get(s, s)) for s in self.symbols), inputs=tuple(map(port, self.inputs)),
            outputs=tuple(map(port, self.outputs)), buffers=tuple(replace(b, nbytes=new(b.nbytes)) for b in self.buffers),
            calls=tuple(map(call, self.calls)),
            constraints=tuple(Constraint(new(c.left), new(c.right), c.origin) for c in self.constraints))

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
