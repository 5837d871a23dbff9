"""Reductions, softmax, normalisations."""
from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, EXTREMUM, ITERATED, SUM, Tolerance

NORMALIZATION = Tolerance(8, 16)
IN_FLOAT32 = {"LayerNormalization", "RMSNormalization", "GroupNormalization"}  # stash_type: float64 too is summed in float32, or better
MOVED = 18  # the opset in which the axes of most reductions became an input


@entry("ReduceSum", "ReduceProd", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
       "ReduceSumSquare")
def reduce(b: Builder, op: str) -> None:
    def suits(value) -> bool:
        if op == "ReduceLogSum" and v.is_float(value.dtype) and not np.all(value.array > 0):
            return False  # a sum near 0, where whether there is a logarithm is a matter of rounding
        if op in ("ReduceSum", "ReduceMean") and v.is_float(value.dtype) and not value.finite and _may_overflow(value.array):
            return False  # an infinity beside numbers whose sum is another one: the order decides what comes out
        if v.is_float(value.dtype) or not rooted:
            return op != "ReduceMean" or v.is_float(value.dtype) or value.moderate and value.array.size > 0
        return value.array.size > 0 and bool(np.all((value.array > 0) & (value.array < 30)))

    rooted = op in ("ReduceL2", "ReduceLogSum", "ReduceLogSumExp")
    # a root or logarithm of what wrapped around, and an infinite one made an integer, are nowhere defined
    x = b.pick(b.types(op), finite=op in ("ReduceLogSumExp", "ReduceProd"), accept=suits)
    axes = b.axes(x.rank)
    given = {"keepdims": b.integer(0, 1)} if b.chance(0.7) else {}
    as_input = b.opset >= (13 if op == "ReduceSum" else MOVED)
    if as_input and b.chance(0.4):
        given["noop_with_empty_axes"] = b.integer(0, 1)
    inputs = [x]
    if b.chance(0.85) and (axes or as_input):
        if as_input:
            inputs.append(b.integers(axes))
        else:
            given["axes"] = axes
    b.add(op, inputs, tolerance=EXTREMUM if op in ("ReduceMax", "ReduceMin") else ITERATED if op in ("ReduceProd", "ReduceLogSumExp") else SUM, **given)


def _may_overflow(array: np.ndarray) -> bool:
    """Whether a sum of some of the finite elements may be infinite."""
    size = np.abs(array.astype(np.float64))
    with np.errstate(over="ignore"):
        return not size[np.isfinite(size)].sum() < float(ml_dtypes.finfo(array.dtype).max)


@entry("Softmax", "LogSoftmax", "Hardmax")
def softmax(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1, finite=True, exact=op == "Hardmax")
    b.add(op, [x], tolerance=EXACT if op == "Hardmax" else Tolerance(8, 2, 2), **({"axis": b.axis(x.rank)} if b.chance(0.7) else {}))


@entry("LayerNormalization", "RMSNormalization")
def layer_normalization(b: Builder, op: str) -> None:
    if b.opset < {"LayerNormalization": 17, "RMSNormalization": 23}[op]:
        raise Unsuitable(op)
    x = b.pick(b.types(op), low=1, accept=lambda value: 0 not in value.shape and value.moderate)
    axis = b.axis(x.rank)
    shape = x.shape[axis:] if axis < 0 else x.shape[axis:]
    inputs = [x, b.fresh(x.dtype, shape, finite=True)]
    if op == "LayerNormalization" and b.chance(0.6):
        inputs.append(b.fresh(x.dtype, shape, finite=True))
    outputs = b.integer(1, 3) if op == "LayerNormalization" and x.dtype == v.FLOAT32 else 1
    b.add(op, inputs, outputs, tolerance=stashed(op, x), axis=axis, **({"epsilon": b.choice((1e-3, 1e-5, 0.5))} if b.chance(0.5) else {}))


def stashed(op: str, x) -> Tolerance:
    return Tolerance(2.0**32, 2.0**32) if op in IN_FLOAT32 and x.dtype == v.FLOAT64 else NORMALIZATION


@entry("InstanceNormalization", "GroupNormalization", "BatchNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN")
def normalization(b: Builder, op: str) -> None:
    if op == "GroupNormalization" and b.opset < 21:
        raise Unsuitable(op)
    low = {"InstanceNormalization": 3, "GroupNormalization": 3, "LRN": 4, "MeanVarianceNormalization": 4, "BatchNormalization": 2}.get(op, 1)
    x = b.pick(b.types(op), low=low, high=4, accept=lambda value: 0 not in value.shape and value.moderate)
    given = {"epsilon": b.choice((1e-3, 0.25))} if "p" not in op[:2] and op != "LRN" and op != "MeanVarianceNormalization" and b.chance(0.5) else {}
    channels = x.shape[1] if x.rank > 1 else 1
    per_channel = lambda: b.fresh(x.dtype, (channels,), finite=True)  # noqa: E731
    if op == "LpNormalization":
        return b.add(op, [x], tolerance=NORMALIZATION, axis=b.axis(x.rank), p=b.integer(1, 2))
    if op == "MeanVarianceNormalization":
        return b.add(op, [x], tolerance=NORMALIZATION, **({"axes": b.axes(x.rank, 1)} if b.chance(0.5) else {}))
    if op == "LRN":
        given = {name: b.choice((0.5, 0.75, 1.0)) for name in ("alpha", "beta", "bias") if b.chance(0.5)}
        return b.add(op, [x], tolerance=NORMALIZATION, size=b.choice((1, 2, 3, 5)), **given)
    if op == "BatchNormalization":
        variance = b.given(b.numbers.uniform(0.3, 2, (channels,)).astype(x.dtype), 0.7)
        return b.add(op, [x, per_channel(), per_channel(), per_channel(), variance], tolerance=NORMALIZATION, **given)
    if op == "GroupNormalization":
        given["num_groups"] = b.choice([g for g in range(1, channels + 1) if channels % g == 0])
    b.add(op, [x, per_channel(), per_channel()], tolerance=stashed(op, x), **given)


@entry("Einsum")
def einsum(b: Builder, op: str) -> None:
    equation, shapes = b.choice((("ij,jk->ik", "ij jk"), ("bij,bjk->bik", "bij bjk"), ("i,j->ij", "i j"), ("ij->ji", "ij"), ("ii->i", "ii"),
                                 ("ii", "ii"), ("ij->", "ij"), ("bhid,bhjd->bhij", "bhid bhjd"), ("ij,ij->j", "ij ij"), ("i,i", "i i"),
                                 ("ij,jk,kl->il", "ij jk kl"), ("bij->bj", "bij"), (" b i , i -> b", "bi i"), ("...ij->...ji", "bij"),
                                 ("...i,ij->...j", "bhi ij"), ("iji->j", "iji"), ("ij,k->kji", "ij k")))
    extents = {letter: b.choice((0, 1, 2, 3, 5, 8)) for letter in "bhijkld"}
    dtype = b.dtype(b.types(op))
    values = [b.fresh(dtype, tuple(extents[letter] for letter in word), finite=True) for word in shapes.split()]
    b.add(op, values, tolerance=SUM, equation=equation)


