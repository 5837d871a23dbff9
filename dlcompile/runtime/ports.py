"""What a compiled model tells about itself, in Python's types."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: its name in the model, element type, and shape: an int for each static dimension, an expression as text for
    each symbolic one.

    axes: (symbol, scale, offset) of each dimension, as `dlc_dim` in the C header. storage: the type that buffers know it by.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | str, ...]
    axes: tuple[tuple[int, int, int], ...]
    storage: np.dtype
    parameter: str

    @property
    def is_static(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class CallInfo:
    """A call of a kernel: the model's own nodes it computes (`origin`) and their operators."""

    kernel: str
    form: str
    origin: tuple[str, ...]
    operators: tuple[str, ...]
    parallel: bool
    barrier: bool


@dataclass(frozen=True)
class CallProfile:
    """What a call took: `seconds` of one run, its floating-point operations and the bytes of the arrays it touches (-1: beyond 64 bits)."""

    call: CallInfo
    seconds: float
    flops: int
    bytes: int


@dataclass(frozen=True)
class ModelInfo:
    """What a library says about itself. `threads`: the most that can pay, None for any number. `metadata`: what the model file brought."""

    name: str
    version: str
    compiler: str
    target: str
    features: tuple[str, ...]
    header: str
    symbols: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    calls: tuple[CallInfo, ...]
    metadata: Mapping[str, str]
    weights_bytes: int
    threads: int | None
