"""What a layer expects of its inputs, and the error where they are something else."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlcompile import tree
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.graph import as_dtype, dtype_name
from dlcompile.layers.symbolic import Shape, shape_of
from dlcompile.registry import Configurable


class InputSpec(Configurable):
    """The shape, or the number of axes, or the extents of some axes, that an input of a layer must have.

    shape: with None for what may be anything. ndim, min_ndim, max_ndim: the number of axes. axes: {axis: extent}. dtype: the type.
    allow_last_axis_squeeze: an axis of extent 1 at the end may be missing, or be too many. optional: None may be given instead.
    """

    def __init__(self, dtype: Any = None, shape: Sequence[int | None] | None = None, ndim: int | None = None, max_ndim: int | None = None,
                 min_ndim: int | None = None, axes: Mapping[int, int | None] | None = None, allow_last_axis_squeeze: bool = False,
                 name: str | None = None, optional: bool = False):
        self.dtype = None if dtype is None else dtype_name(as_dtype(dtype))
        self.shape: Shape | None = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.min_ndim, self.max_ndim, self.name, self.optional = min_ndim, max_ndim, name, optional
        self.axes = {int(axis): extent for axis, extent in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        most = self.ndim if self.ndim is not None else max_ndim
        if most is not None and any(not -most <= axis < most for axis in self.axes):
            raise ArgumentError(f"axes {sorted(self.axes)} of an input with at most {most} axes")

    def get_config(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "shape": self.shape, "ndim": self.ndim, "max_ndim": self.max_ndim, "min_ndim": self.min_ndim,
                "axes": self.axes}

    def __repr__(self) -> str:
        told = {"shape": self.shape, "ndim": self.ndim if self.shape is None else None, "min_ndim": self.min_ndim,
                "max_ndim": self.max_ndim, "axes": self.axes or None, "dtype": self.dtype}
        return f"InputSpec({', '.join(f'{key}={value}' for key, value in told.items() if value is not None)})"

    def complaint(self, value: Any) -> str | None:
        """What a tensor lacks; None for one that is as expected."""
        shape = shape_of(value)
        rank, expected = len(shape), self.shape
        if self.allow_last_axis_squeeze and expected is not None:
            if rank == len(expected) + 1 and shape[-1] == 1:
                return None
            if rank == len(expected) - 1 and expected[-1] == 1:
                expected = expected[:-1]
        if expected is not None and (rank != len(expected) or any(m is not None and n is not None and m != n for m, n in zip(expected, shape))):
            return f"must have shape {self.shape}"
        if expected is None and self.ndim is not None and rank != self.ndim:
            return f"must have {self.ndim} axes"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"must have at least {self.min_ndim} axes"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"must have at most {self.max_ndim} axes"
        for axis, extent in self.axes.items():
            if extent is not None and -rank <= axis < rank and shape[axis] not in (extent, None):
                return f"must have extent {extent} along axis {axis}"
        return None


def check_inputs(layer: str, expected: Any, inputs: Any) -> None:
    """ShapeError, DTypeError or ArgumentError that names the layer, the input, its shape, and what it should be."""
    if expected is None:
        return
    wanted = tree.flatten(expected)
    if isinstance(inputs, Mapping) and all(spec.name is not None for spec in wanted):
        missing = [spec.name for spec in wanted if spec.name not in inputs and not spec.optional]
        if missing:
            raise ArgumentError(f"layer {layer!r} takes inputs {', '.join(repr(s.name) for s in wanted)}; missing: {', '.join(map(repr, missing))}")
        given = [inputs.get(spec.name) for spec in wanted]
    else:
        given = tree.flatten(inputs)
    if len(given) != len(wanted):
        raise ArgumentError(f"layer {layer!r} takes {len(wanted)} input{'s' if len(wanted) != 1 else ''}, {len(given)} are given"
                            + (f": shapes {', '.join(str(shape_of(t)) for t in given if hasattr(t, 'shape'))}" if given else ""))
    for index, (spec, value) in enumerate(zip(wanted, given)):
        which = f"input {spec.name!r}" if spec.name else f"input {index}" if len(wanted) > 1 else "the input"
        if value is None and spec.optional:
            continue
        if not hasattr(value, "shape"):
            raise ArgumentError(f"layer {layer!r}: {which} is a tensor or an array, not {type(value).__name__}")
        found = spec.complaint(value)
        if found is not None:
            raise ShapeError(f"layer {layer!r}: {which} {found}, it has shape {shape_of(value)}")
        if spec.dtype is not None and dtype_name(as_dtype(value.dtype)) != spec.dtype:
            raise DTypeError(f"layer {layer!r}: {which} must be {spec.dtype}, it is {value.dtype}")


__all__ = ["InputSpec", "check_inputs"]
