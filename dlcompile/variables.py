"""Variables: what a model keeps from one call to the next. Weights, running statistics, an optimizer's moments, the counters of random numbers.

A `Variable` holds an array. While a function is traced it stands for a tensor instead: reading one makes it an input of the graph that is being
built, assigning makes what is assigned an output. So a training step is a graph from old values to new ones, and nothing in it is hidden.

    with tracing() as trace:
        loss = step(x, y)                        # reads and assigns variables
    trace.read      {variable: the tensor that stands for its value before}
    trace.written   {variable: the tensor of its value after}
"""
from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.graph import Tensor, TensorType, as_dtype, dtype_name, make_input
from dlcompile.ops.methods import install

_trace: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("dlcompile_trace", default=None)


class Trace:
    """The variables that a traced function has read and assigned, in the order in which it met them first."""

    def __init__(self):
        self.read: dict[Variable, Tensor] = {}
        self.written: dict[Variable, Tensor] = {}

    def value(self, variable: Variable) -> Tensor:
        """The tensor that stands for a variable now."""
        if variable in self.written:
            return self.written[variable]
        if variable not in self.read:
            self.read[variable] = make_input(f"variable{len(self.read)}", variable.dtype, variable.shape)
        return self.read[variable]


@contextlib.contextmanager
def tracing() -> Iterator[Trace]:
    """A context in which variables stand for tensors. One inside another is the same trace: a traced function may call another one."""
    trace = _trace.get()
    if trace is not None:
        yield trace
        return
    token = _trace.set(Trace())
    try:
        yield _trace.get()
    finally:
        _trace.reset(token)


def is_tracing() -> bool:
    """Whether variables stand for tensors now."""
    return _trace.get() is not None


def current_trace() -> Trace | None:
    """The trace that is going on."""
    return _trace.get()


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """A context in which variables are arrays though a function is traced: for what is done once, when it is traced, and not by the graph."""
    token = _trace.set(None)
    try:
        yield
    finally:
        _trace.reset(token)


class Variable:
    """An array that a model keeps.

    initializer: its first value: an array or number, or a function (shape, dtype) → array.
    shape:       of the value, where `initializer` is a function.
    dtype:       of the value; that of the array, or float32, by default.
    trainable:   whether optimizers change it.
    name:        how messages, summaries and files call it.

    In a trace it may be used wherever a tensor may, outside it is used as an array (`numpy()`, `np.asarray`).
    """

    _counter = itertools.count()

    def __init__(self, initializer: Any, shape: Sequence[int] | None = None, dtype: Any = None, trainable: bool = True, name: str | None = None):
        if callable(initializer):
            if shape is None:
                raise ArgumentError("a variable whose initializer is a function needs a shape")
            dtype = as_dtype(dtype or np.float32)
            initializer = initializer(tuple(shape), dtype=dtype)
        array = np.array(initializer, dtype=None if dtype is None else as_dtype(dtype))
        if dtype is None and array.dtype == np.float64 and not isinstance(initializer, (np.ndarray, np.generic)):
            array = array.astype(np.float32)  # Python's numbers say nothing of precision
        if shape is not None and array.shape != tuple(shape):
            raise ShapeError(f"the first value of a variable of shape {tuple(shape)} has shape {array.shape}")
        self._array = array
        self.trainable = trainable
        self.name = name or f"variable_{next(self._counter)}"
        self.path = self.name
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        self.constraint: Callable[[Tensor], Tensor] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def rank(self) -> int:
        return self._array.ndim

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    @property
    def value(self) -> Tensor | np.ndarray:
        """In a trace the tensor that stands for it, otherwise its array."""
        trace = _trace.get()
        return self._array if trace is None else trace.value(self)

    def numpy(self) -> np.ndarray:
        """A copy of the array."""
        return self._array.copy()

    def assign(self, value: Any) -> Variable:
        """Change the value. ShapeError and DTypeError where the new one is of another type; arrays and numbers are converted."""
        trace = _trace.get()
        if trace is None:
            if isinstance(value, Tensor):
                raise ArgumentError(f"{self.name}: a symbolic tensor can be assigned only while a function is traced")
            self._check_shape(np.shape(value))
            self._array = np.array(value, dtype=self.dtype)
            return self
        tensor = ops.as_tensor(value, None if isinstance(value, (Tensor, Variable)) else self.dtype)
        self._check_shape(tensor.shape)
        if tensor.dtype != self.dtype:
            raise DTypeError(f"{self.name} is {dtype_name(self.dtype)}, what is assigned {dtype_name(tensor.dtype)}; cast it")
        trace.value(self)  # the value before is an input, so that the step can update it in place
        trace.written[self] = ops.stop_gradient(tensor)  # a derivative by the variable is not one by what it was computed from
        return self

    def assign_add(self, value: Any) -> Variable:
        return self.assign(self.value + value)

    def assign_sub(self, value: Any) -> Variable:
        return self.assign(self.value - value)

    def _check_shape(self, shape: Sequence) -> None:
        if tuple(shape) != self.shape:
            raise ShapeError(f"{self.name} has shape {self.shape}; a value of shape {tuple(shape)} cannot be assigned to it")

    def __tensor__(self) -> Tensor:
        """What functions of `dlcompile.ops` take it for."""
        value = self.value
        return value if isinstance(value, Tensor) else ops.as_tensor(value)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if _trace.get() is not None:
            raise ArgumentError(f"{self.name} has no array while a function is traced; use it as a tensor")
        return self._array.astype(dtype) if dtype is not None and np.dtype(dtype) != self.dtype else self._array

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __repr__(self) -> str:
        return f"<Variable {self.path}: {self.type}>"


install(Variable)

__all__ = ["Trace", "Variable", "current_trace", "is_tracing", "tracing", "untraced"]
