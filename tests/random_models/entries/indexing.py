"""Operators that read and write where indices say."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable, Value
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, SUM


def indices(b: Builder, shape: tuple[int, ...], extent: int, dtypes=(v.INT64, v.INT32), negative: bool = True) -> Value:
    """Positions on an axis, from either end; known when the model is compiled, or an input."""
    if not extent and int(np.prod(shape)):
        raise Unsuitable("no positions")
    low = -extent if negative else 0
    numbers = b.numbers.integers(low, extent, shape) if extent else np.zeros(shape)
    return b.given(numbers.astype(b.choice(dtypes)), 0.5, reuse=False)


@entry("Gather")
def gather(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axis = b.axis(x.rank)
    given = {} if axis == 0 and b.chance(0.5) else {"axis": axis}
    b.add(op, [x, indices(b, b.shape(0, 2), x.shape[axis])], tolerance=EXACT, **given)


@entry("GatherElements")
def gather_elements(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axis = b.axis(x.rank)
    shape = [b.integer(0, 4) if i == axis % x.rank else b.integer(0 if b.chance(0.1) else min(e, 1), e) for i, e in enumerate(x.shape)]
    b.add(op, [x, indices(b, tuple(shape), x.shape[axis])], tolerance=EXACT, axis=axis)


@entry("GatherND")
def gather_nd(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    batch = b.choice([n for n in range(x.rank)]) if b.chance(0.3) else 0
    depth = b.integer(1, x.rank - batch)
    outer = (*x.shape[:batch], *b.shape(0, 2)) if batch else b.shape(0, 2)
    columns = [np.zeros(outer, np.int64) if not e else b.numbers.integers(-e, e, outer) for e in x.shape[batch:batch + depth]]
    if not all(x.shape[batch:batch + depth]) and int(np.prod(outer)):
        raise Unsuitable("no positions")
    b.add(op, [x, b.given(np.stack(columns, -1), 0.5, reuse=False, pinned=[-1])], tolerance=EXACT, **({"batch_dims": batch} if batch else {}))


def _reduction(b: Builder, known: dict[str, int]) -> dict[str, str]:
    names = [n for n, since in known.items() if b.opset >= since]
    return {"reduction": b.choice(names)} if names and b.chance(0.6) else {}


@entry("ScatterElements")
def scatter_elements(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axis = b.axis(x.rank)
    reduction = _reduction(b, {"none": 16, "add": 16, "mul": 16, "max": 18, "min": 18})
    shape = [b.integer(min(e, 1), e) for e in x.shape]
    extent = x.shape[axis]
    if reduction.get("reduction", "none") == "none":
        # which of two writes to one place stays is not said: every line gets different places
        lines = b.numbers.random(shape[:axis % x.rank] + [extent] + shape[axis % x.rank + 1:]).argsort(axis)
        places = np.take(lines, range(shape[axis]), axis)
        places = np.where(b.numbers.random(places.shape) < 0.3, places - extent, places)
        places = b.given(places.astype(b.choice((v.INT64, v.INT32))), 0.5, reuse=False)
    else:
        if x.dtype == v.BOOL:
            raise Unsuitable("arithmetic on bool")
        places = indices(b, tuple(shape), extent)
    b.add(op, [x, places, b.fresh(x.dtype, tuple(shape))], tolerance=SUM if reduction else EXACT, axis=axis, **reduction)


@entry("ScatterND")
def scatter_nd(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    reduction = _reduction(b, {"none": 16, "add": 16, "mul": 16, "max": 18, "min": 18})
    depth = b.integer(1, x.rank)
    cells = int(np.prod(x.shape[:depth]))
    if not cells:
        raise Unsuitable("no positions")
    if reduction.get("reduction", "none") == "none":
        flat = b.numbers.permutation(cells)[:b.integer(0, min(cells, 6))]
    else:
        if x.dtype == v.BOOL:
            raise Unsuitable("arithmetic on bool")
        flat = b.numbers.integers(0, cells, b.integer(0, 6))
    columns = np.stack(np.unravel_index(flat, x.shape[:depth]), -1).astype(np.int64)
    columns = np.where(b.numbers.random(columns.shape) < 0.3, columns - np.array(x.shape[:depth]), columns)
    updates = b.fresh(x.dtype, (len(flat), *x.shape[depth:]))
    b.add(op, [x, b.given(columns, 0.5, reuse=False, pinned=[-1]), updates], tolerance=SUM if reduction else EXACT, **reduction)


@entry("OneHot")
def one_hot(b: Builder, op: str) -> None:
    depth = b.integer(1, 6)
    dtype = b.choice((v.INT64, v.INT32))
    x = b.given(b.numbers.integers(-depth - 2, depth + 3, b.shape(0, 3)).astype(dtype), 0.3, reuse=False)
    pair = b.given(v.ordinary(b.numbers, b.dtype(b.types(op, 2)), (2,)), 0.5, reuse=False)
    b.add(op, [x, b.constant(np.array(depth, np.int64)), pair], tolerance=EXACT, **({"axis": b.axis(x.rank + 1)} if b.chance(0.7) else {}))


@entry("TopK")
def top_k(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1, finite=True, exact=True)
    axis = b.axis(x.rank)
    k = b.integer(0, x.shape[axis])
    # equal elements: the order of their indices is said, and tested, for largest alone
    b.add(op, [x, b.integers([k])], outputs=2, tolerance=EXACT, axis=axis, largest=b.integer(0, 1), sorted=1)


@entry("ArgMax", "ArgMin")
def arg_max(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1, finite=True, accept=lambda value: 0 not in value.shape)
    given = {name: draw() for name, draw in (("axis", lambda: b.axis(x.rank)), ("keepdims", lambda: b.integer(0, 1)),
                                             ("select_last_index", lambda: b.integer(0, 1))) if b.chance(0.6)}
    b.add(op, [x], tolerance=EXACT, **given)


@entry("CumSum", "CumProd")
def cumulative(b: Builder, op: str) -> None:
    if op == "CumProd" and b.opset < 26:
        raise Unsuitable(op)
    x = b.pick(b.types(op), low=1, finite=True)
    given = {name: b.integer(0, 1) for name in ("exclusive", "reverse") if b.chance(0.5)}
    b.add(op, [x, b.constant(np.array(b.axis(x.rank), b.choice((np.int64, np.int32))))], tolerance=SUM, **given)


@entry("Compress")
def compress(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    if b.chance(0.3):
        return b.add(op, [x, b.constant(b.numbers.random(min(x.array.size, b.integer(0, 9))) < 0.5)], tolerance=EXACT)
    axis = b.axis(x.rank)
    b.add(op, [x, b.constant(b.numbers.random(b.integer(0, x.shape[axis])) < 0.5)], tolerance=EXACT, axis=axis)


