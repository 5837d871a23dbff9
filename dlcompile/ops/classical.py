"""What classical models (trees, support vectors, linear ones) are made of."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import Tensor, apply
from dlcompile.ops.composites import softmax
from dlcompile.ops.core import cast, concatenate, reduce_max, reduce_sum, reshape
from dlcompile.ops.elementwise import abs as absolute
from dlcompile.ops.elementwise import add, div, eq, exp, gt, log, logistic, lt, mul, neg, select, sqrt, sub


def apply_trees(x: Tensor, *tables: Tensor, targets: int, aggregate: str) -> Tensor:
    """Every row of x [rows, features] goes down every tree; [rows, targets]: the weights of the leaves it comes to, by target, summed up, or the
    least or greatest ("SUM", "MIN", "MAX"). Tables: root and depth of each tree; feature, threshold, mode, both following nodes, and first weight
    of each node; target and weight."""
    return apply("tree_ensemble", x, *tables, targets=targets, aggregate=aggregate)


def softmax_zero(x: Tensor) -> Tensor:
    """Softmax along the last axis in which what is 0 (within 1e-7) stays 0."""
    most = reduce_max(x, x.rank - 1, True)
    counted = gt(absolute(x), np.asarray(1e-7, x.dtype))
    e = select(counted, exp(sub(x, most)), mul(x, exp(neg(most))))
    total = reduce_sum(e, x.rank - 1, True)
    return select(eq(total, np.asarray(0, x.dtype)), np.asarray(0.5, x.dtype), div(e, total))


def probit(x: Tensor) -> Tensor:
    """The inverse of the normal distribution function, by Winitzki's approximation, which ONNX Runtime uses."""
    def number(value: float) -> np.ndarray:
        return np.asarray(value, x.dtype)

    y = sub(mul(x, number(2)), number(1))
    square = mul(sub(number(1), y), add(number(1), y))
    logarithm = log(square)
    v = add(number(2 / (np.pi * 0.147)), mul(number(0.5), logarithm))
    root = sqrt(add(neg(v), sqrt(sub(mul(v, v), mul(number(1 / 0.147), logarithm)))))
    inverse = select(eq(square, number(0)), number(0), select(lt(y, number(0)), neg(root), root))
    return mul(number(1.41421356), inverse)


POST_TRANSFORMS = {"NONE": lambda x: x, "SOFTMAX": lambda x: softmax(x, -1), "LOGISTIC": logistic, "SOFTMAX_ZERO": softmax_zero, "PROBIT": probit}


def post_transform(x: Tensor, name: str) -> Tensor:
    """What ai.onnx.ml's models do to their scores [rows, classes] in the end."""
    if name not in POST_TRANSFORMS:
        raise UnsupportedOperatorError(f"post_transform {name!r} is not one of {', '.join(POST_TRANSFORMS)}")
    return POST_TRANSFORMS[name](x)


def two_classes(score: Tensor, name: str, positive: bool) -> tuple[Tensor, Tensor]:
    """(index of the class [rows], scores [rows, 2]) of one score [rows, 1]: above 1/2 the second class where all weights are positive, which makes
    the score a probability; above 0 otherwise."""
    index = cast(gt(score, np.asarray(0.5 if positive else 0, score.dtype)), np.int64)
    if name == "PROBIT":
        scores = probit(score)
    elif positive:
        scores = concatenate([sub(np.asarray(1, score.dtype), score), score], 1)
    else:
        scores = post_transform(concatenate([neg(score), score], 1), name)
    return reshape(index, (score.shape[0],)), cast(scores, np.float32)


__all__ = ["apply_trees", "softmax_zero", "probit", "post_transform", "two_classes"]
