"""Functions of arrays that are traced and compiled when they are called, once for each form of their arguments."""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcompile.compiler import PRECISIONS
from dlcompile.errors import ArgumentError
from dlcompile.functional import tree
from dlcompile.functional.backends import BACKENDS, CompileOptions, Run, checked_backend, default_backend
from dlcompile.functional.specs import EXPECTED, TensorSpec, as_array, float_type, is_numbers
from dlcompile.functional.tracing import input_roots, is_traced, label_of, places, traced
from dlcompile.functional.tree import Structure
from dlcompile.kernels.target import Target


def jit(fn: Callable, *, backend: str | None = None, static_argnums: int | Sequence[int] = (), target: str | Target = "native",
        precision: str = "default", threads: int | None = None) -> Jitted:
    """`fn` as a function that is compiled when it is called.

        >>> @jit
        ... def affine(x, params):
        ...     return {"y": x @ params["w"] + params["b"]}
        >>> affine(np.ones((2, 3), np.float32), {"w": np.ones((3, 1), np.float32), "b": 0.5})
        {'y': array([[3.5],
               [3.5]], dtype=float32)}

    Arguments are arrays, and tuples, lists and dicts of them. It is traced and compiled for their tree, shapes and element types, and what
    has been compiled is kept. Python's numbers, and lists of numbers, are arrays too: integers int64, floats of the type of the first array
    of floats among the arguments, or float32. Called with symbolic tensors, inside another trace, it is `fn` itself.

    backend:         "c" compiles with `dlcompile.compile`, "numpy" evaluates with the interpreter; None: `default_backend()`.
    static_argnums:  positions of arguments that are handed to `fn` as they are, and compiled in: whatever is hashable.
    target, precision, threads:  those of `dlcompile.compile`, for the backend "c".

    ArgumentError names the function and the argument that it cannot take.
    """
    return Jitted(fn, backend, static_argnums, CompileOptions(target, precision, threads))


@dataclass(frozen=True)
class _Program:
    """A function made ready for one form of its arguments."""

    run: Run
    structure: Structure


class Jitted:
    """What `jit` returns. `cache_size()` says for how many forms of arguments there is a program."""

    def __init__(self, fn: Callable, backend: str | None = None, static_argnums: int | Sequence[int] = (),
                 options: CompileOptions | None = None, called: Callable | None = None):
        """called: the function that errors, inputs and the library are named after; `fn` by default."""
        if not callable(fn):
            raise ArgumentError(f"jit takes a function, not {type(fn).__name__}")
        self._options = options or CompileOptions()
        if self._options.precision not in PRECISIONS:
            raise ArgumentError(f"precision is {' or '.join(map(repr, PRECISIONS))}, not {self._options.precision!r}")
        functools.update_wrapper(self, fn)
        self._function, self._called = fn, called or fn
        self._label = label_of(self._called)
        self._backend = None if backend is None else checked_backend(backend)
        self._static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
        self._programs: dict[Hashable, _Program] = {}
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        dynamic, static = self._split(args)
        leaves, structure = tree.flatten((dynamic, kwargs), is_numbers)
        if is_traced(leaves):
            return self._function(*args, **kwargs)
        arrays = self._arrays(leaves, structure, static)
        program = self._program(arrays, structure, static)
        return tree.unflatten(program.structure, program.run(arrays) if program.structure.size else ())

    def cache_size(self) -> int:
        """For how many forms of arguments there is a program."""
        return len(self._programs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method, with the instance as the first argument."""
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<jit {self._label}>"

    # -- arguments ----------------------------------------------------------------------------------------------------------
    def _split(self, args: tuple) -> tuple[tuple, tuple[tuple[int, Any], ...]]:
        """(arguments that are arrays, (position, value) of those that are not)."""
        places = {position % len(args) if -len(args) <= position < 0 else position for position in self._static}
        missing = [position for position in places if not 0 <= position < len(args)]
        if missing:
            raise ArgumentError(f"{self._label}: static argument {missing[0]} is not among the {len(args)} positional ones")
        return tuple(a for i, a in enumerate(args) if i not in places), tuple((i, args[i]) for i in sorted(places))

    def _bound(self, static: tuple[tuple[int, Any], ...]) -> Callable:
        """The function of the dynamic arguments and a dict of those by name."""
        def call(dynamic: tuple, keywords: dict) -> Any:
            args = list(dynamic)
            for position, value in static:
                args.insert(position, value)
            return self._function(*args, **keywords)

        return call

    def _names(self, structure: Structure, static: tuple[tuple[int, Any], ...], spell: Callable) -> list[str]:
        """The places of the leaves, by their parameters' names."""
        positional, keywords = structure.children
        children = list(positional.children)
        for position, _ in static:
            children.insert(position, Structure(type(None)))
        return spell(self._called, Structure(tuple, tuple(range(len(children))), tuple(children)), keywords)

    def _arrays(self, leaves: Sequence[Any], structure: Structure, static: tuple[tuple[int, Any], ...]) -> list[np.ndarray]:
        floats, arrays = float_type(leaves), []
        for i, leaf in enumerate(leaves):
            try:
                arrays.append(as_array(leaf, floats))
            except TypeError as error:
                place = self._names(structure, static, places)[i]
                raise ArgumentError(f"{self._label}: argument {place}: {error}; expected {EXPECTED}") from None
        return arrays

    # -- programs -----------------------------------------------------------------------------------------------------------
    def _program(self, arrays: Sequence[np.ndarray], structure: Structure, static: tuple[tuple[int, Any], ...]) -> _Program:
        backend = self._backend or default_backend()
        key = (backend, structure, tuple((i, type(value), value) for i, value in static), tuple((a.dtype, a.shape) for a in arrays))
        try:
            found = self._programs.get(key)
        except TypeError:
            raise ArgumentError(f"{self._label}: a static argument must be hashable; of {', '.join(type(v).__name__ for _, v in static)} "
                                "one is not") from None
        if found is None:
            with self._lock:
                found = self._programs.get(key)
                if found is None:
                    found = self._programs[key] = self._made(backend, arrays, structure, static)
        return found

    def _made(self, backend: str, arrays: Sequence[np.ndarray], structure: Structure, static: tuple[tuple[int, Any], ...]) -> _Program:
        specs = [TensorSpec(a.shape, a.dtype) for a in arrays]
        made = traced(self._bound(static), self._label, specs, structure, self._names(structure, static, input_roots))
        run = BACKENDS[backend](made.graph, self._options) if made.structure.size else lambda arrays: ()
        return _Program(run, made.structure)
