"""Results of a size that depends on data; windows."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, Tolerance


@entry("NonZero")
def nonzero(b: Builder, op: str) -> None:
    b.add(op, [b.pick(b.types(op), low=1, exact=True)], tolerance=EXACT)


@entry("Unique")
def unique(b: Builder, op: str) -> None:
    x = b.pick([t for t in b.types(op) if t != v.BOOL], low=1, exact=True, accept=lambda value: value.finite and value.array.size > 0)
    given = {"sorted": b.integer(0, 1)} if b.chance(0.6) else {}
    given |= {"axis": b.axis(x.rank)} if b.chance(0.4) else {}
    b.add(op, [x], outputs=b.integer(1, 4), tolerance=EXACT, **given)


@entry("NonMaxSuppression")
def non_max_suppression(b: Builder, op: str) -> None:
    batch, classes, boxes = b.choice((1, 2)), b.choice((1, 2)), b.choice((1, 4, 9))
    corners = b.numbers.integers(0, 12, (batch, boxes, 2)) * 0.5
    sizes = b.numbers.integers(1, 9, (batch, boxes, 2)) * 0.5
    given = {"center_point_box": b.integer(0, 1)} if b.chance(0.4) else {}
    places = b.given(np.concatenate([corners, sizes if given.get("center_point_box") else corners + sizes], -1).astype(np.float32), 0.2, False, [2])
    scores = b.given(b.numbers.permutation(batch * classes * boxes).reshape(batch, classes, boxes).astype(np.float32) / 64, 0.2, False, [0, 1, 2])
    limits = [np.array([b.integer(0, 4)], np.int64), np.array([b.choice((0.0, 0.4, 0.55))], np.float32), np.array([b.choice((0.0, 0.2))], np.float32)]
    b.add(op, [places, scores, *(b.constant(limit) for limit in limits[:b.integer(1, 3)])], tolerance=EXACT, **given)


@entry("HannWindow", "HammingWindow", "BlackmanWindow", since=17)
def window(b: Builder, op: str) -> None:
    given = {"periodic": b.integer(0, 1)} if b.chance(0.6) else {}
    b.add(op, [b.constant(np.array(b.integer(2, 17), np.int64))], tolerance=Tolerance(4, 0, 4), **given)


@entry("TensorScatter", since=24)
def tensor_scatter(b: Builder, op: str) -> None:
    batch, length, size = b.choice((1, 2)), b.choice((3, 5)), b.choice((1, 2, 4))
    steps = b.integer(1, length)
    mode = b.choice(("linear", "circular"))
    cache = b.fresh(b.dtype(b.types(op)), (batch, 2, length, size))
    update = b.fresh(cache.dtype, (batch, 2, steps, size))
    most = length - steps if mode == "linear" else length - 1
    start = b.given(b.numbers.integers(0, most + 1, batch).astype(np.int64), 0.3, False) if b.chance(0.8) else None
    b.add(op, [cache, update, start], tolerance=EXACT, mode=mode)
