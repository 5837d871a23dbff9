"""Each primitive that has a derivative: functions that consist of little else, and their arguments.

    name: [(function, arrays), …]    arrays are drawn anew for each test, by functions of no arguments
"""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import make_input
from tests.autodiff.helpers import RNG, graph_of, normal, scalar


def within(low: float, high: float, *shape: int):
    return lambda: RNG.uniform(low, high, size=shape)


def some(*shape: int):
    return lambda: normal(*shape)


def away(*shape: int):
    """Different numbers, none of them near another: sorting them and picking the largest does not change with a small step."""
    return lambda: RNG.permutation(np.arange(np.prod(shape)) - np.prod(shape) / 3).reshape(shape) * 0.37


def given(array):
    return lambda: np.asarray(array)


DOMAINS = {"sqrt": (0.5, 3), "rsqrt": (0.5, 3), "log": (0.5, 3), "log1p": (-0.5, 3), "asin": (-0.8, 0.8), "acos": (-0.8, 0.8), "acosh": (1.5, 4),
           "atanh": (-0.8, 0.8), "tan": (-1, 1)}
UNARY = ("neg", "abs", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh",
         "acosh", "atanh", "erf", "logistic")
BINARY = ("add", "sub", "mul", "div", "rem", "pow", "maximum", "minimum", "atan2")
SHAPES = (((3, 5), (3, 5)), ((3, 1, 5), (2, 1)), ((4,), ()), ((0, 2), (1, 1)))

CASES: dict[str, list] = {
    **{name: [(getattr(ops, name), [within(*DOMAINS.get(name, (-2, 2)), *shape)]) for shape in ((3, 5), (0, 2), ())] for name in UNARY},
    **{name: [(getattr(ops, name), [within(0.5, 2, *shape) if name in ("pow", "div", "rem") else some(*shape) for shape in pair]) for pair in SHAPES]
       for name in BINARY},
}
CASES["pow"] += [(lambda a: ops.pow(a, 3.0), [some(4)]), (lambda a: ops.pow(a, np.array([0.0, 1, 2, -1])), [within(0.5, 2, 3, 4)])]
CASES["div"] += [(lambda a: ops.div(a, 3.0), [some(4)])]


def _branches(a_shape=(3,)):
    a, b = (make_input(n, np.float64, a_shape) for n in "ab")
    c, d = (make_input(n, np.float64, a_shape) for n in "ab")
    return graph_of("then", [a, b], ops.sin(a) * b, a), graph_of("else", [c, d], ops.exp(c), c * c)


def _cond(flag, x, y):
    made = ops.cond(flag, *_branches(), x, y)
    return made[0] * made[1] + made[1]


def _scan(reverse: bool):
    def function(start, rows, weight):
        """A counter among the carries, a stacked result, and a captured matrix."""
        width = start.shape[0]
        h, k, row = make_input("h", np.float64, (width,)), scalar("k", np.int64), make_input("row", np.float64, (width,))
        w = make_input("w", np.float64, (width, width))
        new = ops.tanh(ops.matmul(w, h) + row * ops.cast(k, np.float64))
        body = graph_of("body", [h, k, row, w], new, k + np.int64(1), new * h)
        last, _, stacked = ops.scan(body, start, np.int64(1), rows, weight, num_carry=2, num_scanned=1, length=rows.shape[0], reverse=reverse)
        return ops.concatenate([ops.expand_dims(last, 0), stacked], 0)

    return function


def _while(x, w):
    def inputs():
        return [make_input("x", np.float64, (3,)), scalar("k", np.int64), make_input("w", np.float64, (3,))]

    x1, k1, w1 = inputs()
    x2, k2, w2 = inputs()
    last, _, stacked, _ = ops.while_loop(graph_of("condition", [x1, k1, w1], ops.lt(k1, np.int64(4))),
                                         graph_of("body", [x2, k2, w2], ops.sin(x2 * w2), k2 + np.int64(1), x2 * x2), x, np.int64(0), w, num_carry=2)
    return last * ops.reduce_sum(stacked, 0)


CASES |= {
    "select": [(lambda a, b: ops.select(ops.gt(a, 0.0), a * a, b), [some(3, 4), some(4)])],
    "cast": [(lambda x: ops.cast(ops.cast(x, np.float64), np.float64) * x, [some(3)])],
    "reshape": [(lambda x: ops.reshape(x, (x.shape[0], x.shape[1] * x.shape[2])), [some(3, 4, 5)]), (lambda x: ops.reshape(x, (1, 1)), [some()])],
    "transpose": [(lambda x: ops.transpose(x, (1, 2, 0)), [some(3, 4, 5)])],
    "broadcast_to": [(lambda x: ops.broadcast_to(x, (2, 3, 4, 5)), [some(3, 1, 5)]), (lambda x: ops.broadcast_to(x, (2, 0)), [some(1)])],
    "reverse": [(lambda x: ops.reverse(x, (0, 2)), [some(3, 4, 5)])],
    "concatenate": [(lambda a, b: ops.concatenate([a, b, a * a], 1), [some(2, 3), some(2, 1)]),
                    (lambda a, b: ops.concatenate([a, b], 0), [some(0, 3), some(2, 3)])],
    "slice": [(lambda x: x[1:, 0:2, 1:4], [some(3, 4, 5)]), (lambda x: x[::2, 1::3, 0:5:2], [some(3, 4, 5)]),
              (lambda x: x[:, 1:1], [some(3, 4)]), (lambda x: x[4::7], [some(6)])],
    "pad": [(lambda x, v: ops.pad(x, v, (1, 0, 2), (0, 3, 1)), [some(3, 4, 5), some()]), (lambda x: ops.pad(x, 0.0, (-1, 2), (1, -3)), [some(3, 4)]),
            (lambda x, v: ops.pad(x, v, (1,), (2,)), [some(0), some()])],
    "gather": [(lambda x: ops.gather(x, np.array([[1, 3], [1, 0]]), 1), [some(3, 4, 5)]), (lambda x: ops.gather(x, np.int64(2), 0), [some(3, 4)]),
               (lambda x, i: ops.gather(x, i, 1), [some(2, 3), given([0, 7, -3, 1])])],
    "gather_nd": [(lambda x, i: ops.gather_nd(x, i), [some(3, 4, 5), given([[0, 1], [2, 3], [0, 1]])]),
                  (lambda x, i: ops.gather_nd(x, i, 1), [some(2, 4, 3), given([[[0], [3]], [[-5], [9]]])]),
                  (lambda x: ops.gather_nd(x, np.zeros((2, 0), np.int64)), [some(3)])],
    "take_along_axis": [(lambda x: ops.take_along_axis(x, np.array([[0, 4, 4]] * 3), 1), [some(3, 5)]),
                        (lambda x, i: ops.take_along_axis(x, i, 0), [some(3, 4), given([[0, 9, -9, 1]])])],
    "scatter_nd": [(lambda x, u, h=how: ops.scatter_nd(x, np.array([[0, 1], [2, -1], [0, 1], [5, 0]]), u, h), [away(3, 4, 2), away(4, 2)])
                   for how in ("none", "add", "mul", "max", "min")]
                  + [(lambda x, u: ops.scatter_nd(x, np.zeros((2, 0), np.int64), u, "add"), [some(3), some(2, 3)])],
    "scatter_elements": [(lambda x, u, i, h=how: ops.scatter_elements(x, i, u, 1, h), [away(3, 4), away(2, 5), given([[0, 1, 1, -1, 7], [3, -9, 3, 3, 2]])])
                         for how in ("none", "add", "mul", "max", "min")],
    "reduce_sum": [(lambda x: ops.reduce_sum(x, (0, 2)), [some(3, 4, 5)]), (lambda x: ops.reduce_sum(x, 1, True), [some(3, 0)])],
    "reduce_max": [(lambda x: ops.reduce_max(x, (0, 2), True), [away(3, 4, 5)]), (lambda x: ops.reduce_max(x), [away(7)])],
    "reduce_min": [(lambda x: ops.reduce_min(x, 1), [away(3, 4, 5)])],
    "reduce_prod": [(lambda x: ops.reduce_prod(x, (0, 2)), [some(3, 4, 2)]), (lambda x: ops.reduce_prod(x, 1), [given([[0.0, 2, 3], [0, 0, 5], [1, 2, 4]])])],
    "cumsum": [(lambda x, e=e, r=r: ops.cumsum(x, 1, e, r), [some(3, 4, 2)]) for e in (False, True) for r in (False, True)],
    "cumprod": [(lambda x, e=e, r=r: ops.cumprod(x, 1, e, r), [given([[0.7, 0, 2, -3], [0, 1.5, 0, 4], [2, 3, -0.5, 1]])])
                for e in (False, True) for r in (False, True)] + [(lambda x: ops.cumprod(x, 0), [some(0, 2)])],
    "sort": [(lambda x, d=d: ops.sort(x, 1, d), [away(3, 5, 2)]) for d in (False, True)] + [(lambda x: ops.sort(x, 0), [some(0)])],
    "top_k": [(lambda x, m=m: ops.top_k(x, 2, 0, m)[0], [away(5, 3)]) for m in (False, True)],
    "dot_general": [(lambda a, b: ops.dot_general(a, b, contracting=((0, 3), (2, 1)), batch=((2,), (0,))), [some(2, 3, 4, 5), some(4, 5, 2, 6)]),
                    (ops.matmul, [some(2, 3), some(3, 4)]), (ops.matmul, [some(2, 0), some(0, 4)])],
    "conv_general": [(lambda x, w: ops.conv_general(x, w, strides=(2, 1), padding=((1, 2), (0, 1)), rhs_dilation=(1, 2)), [some(2, 3, 6, 5), some(4, 3, 3, 2)]),
                     (lambda x, w: ops.conv_general(x, w, groups=2, lhs_dilation=(2,), padding=((3, -1),), layout="channels_last"),
                      [some(2, 5, 4), some(3, 2, 6)])],
    "reduce_window": [(lambda x, k=kind: ops.reduce_window(x, k, (1, 3, 2), (1, 2, 2), ((0, 0), (1, 1), (0, 0))), [away(2, 5, 6)])
                      for kind in ("sum", "max", "min")],
    "cond": [(_cond, [given(flag), some(3), some(3)]) for flag in (True, False)],
    "scan": [(_scan(reverse), [some(4), some(t, 4), some(4, 4)]) for reverse in (False, True) for t in (0, 1, 5)],
    "while": [(_while, [some(3), some(3)])],
}

FIXED = {"conv_general", "reduce_window", "cond", "while"}
"""primitives whose cases have shapes that must be numbers, and a reason to be tested with symbols elsewhere"""
