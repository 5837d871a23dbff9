"""Resize and its relatives."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, Tolerance

SCALES = (0.5, 1.0, 2.0, 0.25, 1.5, 3.0, 0.75)


@entry("Resize")
def resize(b: Builder, op: str) -> None:
    dims = b.choice((1, 2, 2))
    x = b.fresh(v.FLOAT32,
                (b.choice((1, 2)), b.choice((1, 2)), *(b.choice((1, 2, 3, 4, 5, 7)) for _ in range(dims))), finite=True)
    mode = b.choice(("nearest", "linear", "cubic"))
    given: dict = {"mode": mode}
    if b.chance(0.8):
        given["coordinate_transformation_mode"] = b.choice(("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
                                                            *(("half_pixel_symmetric",) if b.opset >= 19 else ())))
    if mode == "nearest" and b.chance(0.7):
        given["nearest_mode"] = b.choice(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    if mode == "cubic":
        given |= {"cubic_coeff_a": b.choice((-0.5, -0.75))} if b.chance(0.5) else {}
        given |= {"exclude_outside": 1} if b.chance(0.3) else {}
    if mode != "nearest" and b.opset >= 18 and b.chance(0.3):
        given["antialias"] = 1
        b.pin(x, *range(2, x.rank))
    axes = list(range(2, 2 + dims)) if b.opset >= 18 and b.chance(0.4) else None
    if axes:
        given["axes"] = axes
    lead = [] if axes else [1.0, 1.0]
    tail = [b.choice(SCALES) for _ in range(dims)]
    if b.chance(0.5):
        inputs = [x, None, b.constant(np.array([*lead, *tail], np.float32))]
    else:
        shape = [max(1, int(e * s)) for e, s in zip(x.shape[2:], tail)]
        inputs = [x, None, None, b.integers([*(() if axes else x.shape[:2]), *shape])]
    if given.get("coordinate_transformation_mode") == "half_pixel_symmetric" and mode == "nearest":
        raise Unsuitable("places that are half-way between elements but for how they are rounded")
    rounded = any(e * s % 1 for e, s in zip(x.shape[2:], tail))
    if given.get("coordinate_transformation_mode") == "align_corners" and rounded:
        raise Unsuitable("the evaluator aligns corners that lie between elements")
    if given.get("coordinate_transformation_mode") == "pytorch_half_pixel" and any(int(e * s) == 1 for e, s in zip(x.shape[2:], tail)):
        raise Unsuitable("the evaluator takes -0.5 for the position of a single element, not 0")
    if any(int(e * s) < 1 for e, s in zip(x.shape[2:], tail)):
        raise Unsuitable("nothing left")
    b.add(op, inputs, tolerance=EXACT if mode == "nearest" else Tolerance(16, 16, 16), **given)
