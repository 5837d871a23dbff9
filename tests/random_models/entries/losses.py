"""Losses, and single steps of optimizers."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import Tolerance

LOSS = Tolerance(16, 8, 4)
TRAINING = "ai.onnx.preview.training"


@entry("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(b: Builder, op: str) -> None:
    batch, classes, spatial = b.choice((1, 2, 5)), b.choice((2, 3, 7)), [b.choice((1, 2, 3)) for _ in range(b.choice((0, 0, 1, 2)))]
    x = b.fresh(b.choice((v.FLOAT32, v.FLOAT64)), (batch, classes, *spatial), finite=True)
    b.pin(x, 1)
    target = b.numbers.integers(0, classes, (batch, *spatial)).astype(b.choice((np.int64, np.int32)))
    given = {"reduction": b.choice(("none", "mean", "sum"))}
    if b.chance(0.4):
        given["ignore_index"] = b.choice((0, 1, -7))  # -1 the evaluator takes for none
        if given["ignore_index"] == -7:
            target = np.where(b.numbers.random(target.shape) < 0.3, -7, target).astype(target.dtype)
        if np.all(target == given["ignore_index"]):
            target.flat[0] = 1 - max(given["ignore_index"], 0)  # a mean over nothing
    weights = b.given(b.numbers.uniform(0.25, 2, classes).astype(x.dtype), 0.5, False, [0]) if b.chance(0.5) else None
    outputs = b.integer(1, 2) if op.startswith("Soft") else 1
    b.add(op, [x, b.given(target, 0.2, False), weights], outputs, tolerance=LOSS, **given)


@entry("Adagrad", "Adam", "Momentum")
def optimizer(b: Builder, op: str) -> None:
    shape, dtype = b.shape(0, 3), b.choice((v.FLOAT32, v.FLOAT64))
    rate, step = b.given(np.array(b.choice((0.5, 0.125)), dtype), 0.3, False), b.given(np.array(b.choice((0, 1, 3)), np.int64), 0.3, False)
    x, gradient = b.fresh(dtype, shape, finite=True), b.fresh(dtype, shape, finite=True)
    squares = [b.given(np.square(v.ordinary(b.numbers, dtype, shape)), 0.2, False)]
    given: dict = {"norm_coefficient": b.choice((0.0, 0.25))}
    state = squares
    if op == "Adam":
        state = [b.fresh(dtype, shape, finite=True), *squares]
        given |= {"alpha": b.choice((0.5, 0.75)), "beta": b.choice((0.5, 0.875)), "epsilon": 0.125}
    elif op == "Adagrad":
        given |= {"decay_factor": b.choice((0.0, 0.5)), "epsilon": 0.125}
    else:
        given |= {"alpha": 0.5, "beta": b.choice((0.5, 0.75)), "mode": b.choice(("standard", "nesterov"))}
    b.add(op, [rate, step, x, gradient, *state], 1 + len(state), tolerance=Tolerance(16, 4, 4), domain=TRAINING, **given)
