"""Every kernel form against the interpreter, on every target this machine can run: shapes around tile edges, static and symbolic."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

import dlcompile.operators  # noqa: F401  (fills the table of operators)
from dlcompile import ops
from dlcompile.codegen import generate
from dlcompile.graph import Graph, Tensor, apply, make_input, symbol
from dlcompile.kernels.schedule import schedule
from dlcompile.operators.elementwise import FLOAT, INTEGER, ROWS
from dlcompile.runtime import load
from dlcompile.toolchain import build
from tests.kernels.build import EMULATED, RUNNABLE, Case, check

RNG = np.random.default_rng(7)
COUNTER = itertools.count()


def tensor(*shape, dtype=np.float32, symbolic: bool = False, values: np.ndarray | None = None) -> tuple[Tensor, np.ndarray]:
    """An input and an array for it; with `symbolic` every axis is a symbol of its own."""
    array = values if values is not None else (
        RNG.standard_normal(shape) if np.dtype(dtype).kind == "f" else RNG.integers(0, 5, shape)).astype(dtype)
    number = next(COUNTER)
    dims = tuple(symbol(f"n{number}_{a}") for a in range(array.ndim)) if symbolic else array.shape
    return make_input(f"x{number}", array.dtype, dims), array


def single(name: str, make, *inputs, tolerance: float = 1e-5) -> Case:
    outputs = make(*(t for t, _ in inputs))
    return Case(name, inputs, outputs if isinstance(outputs, (tuple, list)) else [outputs], tolerance)


EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1.5, 3.7, -88.0, 88.0, 1e-30, np.inf, -np.inf, np.nan, 1e6, -7.25, 2.0], np.float32)
DOMAIN = {"asin": 1.0, "acos": 1.0, "atanh": 1.0, "tan": 1.2, "sin": 100.0, "cos": 100.0}
"""operators tested within a bound where the definition itself is fickle elsewhere"""


def elementwise_cases() -> list[Case]:
    cases = []
    for name, (arity, accepts, *_) in ROWS.items():
        if accepts == INTEGER:
            a, b = tensor(values=np.array([0, 1, -5, 7, 2**31 - 1, -2**31], np.int32)), tensor(values=np.array([0, 1, 3, 31, 32, 40], np.int32))
            cases.append(single(name, lambda x, y, n=name: apply(n, x, y), a, b))
            continue
        values = EDGES if name not in DOMAIN else np.linspace(-DOMAIN[name], DOMAIN[name], 41, dtype=np.float32)
        if accepts == "bool or integer":
            values = np.array([0, 1, 1, 0], np.bool_)
        if arity == 1:
            for pair in (tensor(values=values), tensor(values=values, symbolic=True)):
                cases.append(single(name, lambda x, n=name: apply(n, x), pair, tolerance=2e-6))
            if accepts == FLOAT and name not in ("floor", "ceil", "round"):
                wide = values.astype(np.float64)
                cases.append(single(f"{name} f64", lambda x, n=name: apply(n, x), tensor(values=wide), tolerance=1e-12))
        else:
            grid = np.meshgrid(values[:9] if name == "pow" else values, values[:9] if name == "pow" else values)
            cases.append(single(name, lambda x, y, n=name: apply(n, x, y), *(tensor(values=np.ascontiguousarray(g)) for g in grid),
                                tolerance=2e-6))
    for name in ("add", "sub", "mul", "div", "rem", "maximum", "minimum"):
        for dtype in (np.int64, np.int32, np.int8, np.uint8):
            bounds = np.iinfo(dtype)
            values = np.array([bounds.min, bounds.max, 0, 1, 3, bounds.max - 1], dtype)
            a, b = np.meshgrid(values, values)
            cases.append(single(f"{name} {np.dtype(dtype)}", lambda x, y, n=name: apply(n, x, y), tensor(values=np.ascontiguousarray(a)),
                                tensor(values=np.ascontiguousarray(b))))
    return cases


def cast_cases() -> list[Case]:
    sources = {np.float32: np.array([0, -1.5, 2.9, 300, -129, 1e10, np.nan, np.inf], np.float32), np.int64: np.array([0, -1, 300, 2**40], np.int64),
               np.bool_: np.array([True, False]), np.float16: np.array([0, 1.5, -2.7], np.float16), np.uint8: np.array([0, 255, 7], np.uint8)}
    targets = (np.float32, np.float64, np.float16, np.int64, np.int32, np.int8, np.uint8, np.bool_)
    return [single(f"cast to {np.dtype(to)}", lambda x, to=to: ops.cast(x, to), tensor(values=values)) for values in sources.values()
            for to in targets if np.dtype(to) != values.dtype]


def movement_cases() -> list[Case]:
    cases = []
    for symbolic in (False, True):
        def x(*shape, dtype=np.float32, symbolic=symbolic):
            return tensor(*shape, dtype=dtype, symbolic=symbolic)
        cases += [
            single("transpose", lambda t: ops.transpose(t, (2, 0, 1)), x(5, 17, 33)),
            single("transpose of a matrix", lambda t: ops.transpose(t, (1, 0)), x(131, 77)),
            single("transpose behind an axis", lambda t: ops.transpose(t, (0, 3, 1, 2)), x(2, 5, 9, 23)),
            single("transpose of few", lambda t: ops.transpose(t, (1, 0)), x(3, 50)),
            single("transpose of nothing", lambda t: ops.transpose(t, (1, 0)), x(0, 50)),
            single("transpose of a slice", lambda t: ops.transpose(ops.slice(t, (0, 2), (t.shape[0], 20)), (1, 0)), x(40, 31)),
            single("transpose, mul", lambda t: ops.mul(ops.transpose(t, (0, 2, 1)), 2.0), x(3, 50, 40)),
            single("reverse", lambda t: ops.reverse(t, (0, 2)), x(2, 3, 7)),
            single("broadcast", lambda t: ops.broadcast_to(ops.reshape(t, (t.shape[0], 1)), (t.shape[0], 9)), x(6)),
            single("pad", lambda t: ops.pad(t, 1.5, (1, 0, 2), (0, 3, 1)), x(2, 3, 4)),
            single("pad of a sum", lambda t: ops.pad(ops.add(t, 1.0), 0.0, (1, 2), (2, 1)), x(5, 6)),
            single("concatenate", lambda a, b: ops.concatenate([ops.mul(a, 2.0), b, a], 1), tensor(3, 4), tensor(3, 5)),
            single("gather", lambda t, i: ops.gather(t, i, 0), x(7, 5), tensor(values=np.array([[0, 6, 3], [2, 2, 1]]))),
            single("gather, inner axis", lambda t, i: ops.gather(t, i, 1), x(7, 5), tensor(values=np.array([4, 0, 0]))),
            single("take_along_axis", lambda t, i: ops.take_along_axis(t, i, 1), x(2, 5), tensor(values=np.array([[4, 0, 1], [0, 0, 2]]))),
            single("gather_nd", lambda t, i: ops.gather_nd(t, i), x(3, 4, 5), tensor(values=np.array([[0, 1], [2, 3]]))),
            single("merged axes", lambda t: ops.mul(ops.reshape(ops.transpose(t, (1, 0, 2)), (t.shape[1], -1)), 3.0), x(4, 6, 8)),
        ]
    cases += [
        single("slice", lambda t: ops.slice(t, (1, 0), (9, 11), (2, 3)), tensor(10, 12)),
        single("empty", lambda t: ops.mul(t, 2.0), tensor(0, 5)),
        single("scalar", lambda t: ops.exp(t), tensor(values=np.array(0.5, np.float32))),
        single("split heads", lambda t: ops.add(ops.transpose(ops.reshape(t, (2, 7, 4, 8)), (0, 2, 1, 3)), 1.0), tensor(2, 7, 32)),
        single("the same tensor twice", lambda t: ops.transpose(ops.concatenate([ops.reduce_max(t, (1,), True)] * 2, 2), (0, 2, 1)), tensor(2, 6, 5)),
        single("gather of windows", lambda t: ops.gather(ops.reduce_window(t, "max", (1, 2, 2), (1, 1, 1)), np.array([1, 0, 1]), 1), tensor(2, 4, 5)),
        single("gather of sums", lambda t: ops.gather(ops.reduce_sum(t, (2,)), np.array([3, 0, 1]), 1), tensor(2, 4, 5)),
        single("iota", lambda t: ops.add(ops.cast(ops.iota(np.int64, t.shape, 1), np.float32), t), tensor(3, 5)),
    ]
    return cases


def row_cases() -> list[Case]:
    cases = []
    for symbolic in (False, True):
        for shape in ((1, 1), (3, 17), (2, 3, 100), (5, 64)):
            x = lambda: tensor(*shape, symbolic=symbolic)  # noqa: E731
            cases += [single(f"softmax {shape}", lambda t: dlcompile_softmax(t), x()),
                      single(f"layer normalization {shape}", lambda t: normalized(t), x()),
                      single(f"sum {shape}", lambda t: ops.reduce_sum(t, (0,)), x()),
                      single(f"mean of squares {shape}", lambda t: ops.sqrt(ops.reduce_mean(ops.mul(t, t), (t.rank - 1,), True)), x())]
    for axes, shape in (((1, 2), (2, 5, 7, 40)), ((1, 2), (1, 7, 7, 200)), ((0,), (9, 300)), ((2, 3), (2, 3, 4, 5)), ((0, 2), (3, 4, 5))):
        for name in ("sum", "max", "min", "prod"):
            cases.append(single(f"{name} over {axes} of {shape}", lambda t, n=name, a=axes: apply(f"reduce_{n}", t, axes=a, keepdims=False),
                                tensor(*shape), tolerance=1e-4))
    cases += [
        single("max with NaN", lambda t: ops.reduce_max(t, (1,)), tensor(values=np.array([[1, np.nan, 2], [3, 2, 1]], np.float32))),
        single("softmax with -inf", dlcompile_softmax, tensor(values=np.array([[0, -np.inf, 1], [-np.inf] * 3], np.float32))),
        single("instance normalization, channels last", lambda t: ops.mul(ops.sub(t, ops.reduce_mean(t, (1, 2), True)), 2.0), tensor(2, 6, 5, 24)),
        single("argmax", lambda t: ops.argmax(t, 1), tensor(values=np.array([[1, 3, 3], [2, 2, 2], [0, np.nan, 9]], np.float32))),
        single("argmin, last", lambda t: ops.argmin(t, 1, True, True), tensor(values=np.array([[1, 3, 1], [2, 2, 2]], np.float32))),
        single("cumsum", lambda t: ops.cumsum(t, 1), tensor(3, 6)),
        single("cumsum, exclusive and reversed", lambda t: ops.cumsum(t, 0, True, True), tensor(4, 3)),
        single("integer sum", lambda t: ops.reduce_sum(t, (1,)), tensor(4, 50, dtype=np.int32)),
        single("all and any", lambda t: (ops.reduce_and(ops.gt(t, 0.0), (1,)), ops.reduce_or(ops.gt(t, 2.0), (1,))), tensor(6, 9)),
    ]
    return cases


def dlcompile_softmax(t: Tensor) -> Tensor:
    shifted = ops.exp(ops.sub(t, ops.reduce_max(t, (t.rank - 1,), True)))
    return ops.div(shifted, ops.reduce_sum(shifted, (t.rank - 1,), True))


def normalized(t: Tensor) -> Tensor:
    centered = ops.sub(t, ops.reduce_mean(t, (t.rank - 1,), True))
    variance = ops.reduce_mean(ops.mul(centered, centered), (t.rank - 1,), True)
    return ops.mul(centered, ops.rsqrt(ops.add(variance, 1e-5)))


LAST = RNG.standard_normal((24, 24)).astype(np.float32)


def product_cases() -> list[Case]:
    cases = []
    for m, k, n in ((1, 1, 1), (1, 784, 10), (7, 5, 33), (13, 31, 17), (29, 64, 48), (97, 3, 129), (2, 200, 600)):
        w, b = RNG.standard_normal((k, n)).astype(np.float32), RNG.standard_normal(n).astype(np.float32)
        for symbolic in (False, True):
            rows = symbol(f"rows{next(COUNTER)}") if symbolic else m
            x = (make_input("x", np.float32, (rows, k)), RNG.standard_normal((m, k)).astype(np.float32))
            cases.append(single(f"dense {m}x{k}x{n}", lambda t, w=w, b=b: ops.maximum(ops.add(ops.matmul(t, w), b), 0.0), x))
    cases += [
        single("batched", lambda a, b: ops.matmul(a, b), tensor(2, 3, 17, 20), tensor(2, 3, 20, 35)),
        single("a times b transposed", lambda a, b: ops.dot_general(a, b, contracting=((2,), (2,)), batch=((0,), (0,))), tensor(3, 9, 16), tensor(3, 21, 16)),
        single("a transposed times b", lambda a, b: ops.dot_general(a, b, contracting=((0,), (0,))), tensor(19, 23), tensor(19, 40)),
        single("heads", heads, tensor(2, 11, 24), tensor(2, 11, 24)),
        single("symbolic batched", lambda a, b: ops.dot_general(a, ops.reshape(b, (a.shape[0], a.shape[2], b.shape[2])), contracting=((2,), (1,)),
                                                                batch=((0,), (0,))), tensor(3, 5, 8, symbolic=True), tensor(3, 8, 37, symbolic=True)),
        single("residual", lambda a, r: ops.add(ops.reshape(ops.matmul(a, np.ones((6, 8), np.float32)), r.shape), r), tensor(10, 6), tensor(2, 5, 8)),
        single("double", lambda a, b: ops.matmul(a, b), tensor(4, 6, dtype=np.float64), tensor(6, 5, dtype=np.float64), tolerance=1e-12),
        single("integers", lambda a, b: ops.matmul(a, b), tensor(4, 6, dtype=np.int32), tensor(6, 5, dtype=np.int32)),
        *(single(f"tiles along steps of a batch that comes first, {shape}", lambda t, p=p: ops.add(ops.tanh(
            ops.matmul(ops.transpose(t, p), LAST)), ops.transpose(t, p)), (make_input("x", np.float32, dims), RNG.standard_normal(shape).astype(np.float32)))
          for shape, p in (((2, 37, 24), (1, 0, 2)), ((3, 5, 41, 24), (2, 0, 1, 3)), ((3, 41, 5, 24), (1, 0, 2, 3)))
          for dims in (shape, (*(symbol(f"e{next(COUNTER)}_{a}") for a in range(len(shape) - 1)), 24))),
        single("half", lambda a, b: ops.matmul(a, b), tensor(4, 6, dtype=np.float16), tensor(6, 5, dtype=np.float16), tolerance=2e-3),
    ]
    return cases


def heads(q: Tensor, k: Tensor) -> Tensor:
    split = [ops.transpose(ops.reshape(t, (2, 11, 3, 8)), (0, 2, 1, 3)) for t in (q, k)]
    scores = ops.dot_general(*split, contracting=((3,), (3,)), batch=((0, 1), (0, 1)))
    return ops.reshape(ops.transpose(scores, (0, 2, 1, 3)), (2, 11, 33))


def convolution_cases() -> list[Case]:
    cases = []
    shapes = [  # batch, height, width, channels, out, kernel, padding, stride, groups, dilation
        (1, 14, 14, 16, 32, 3, 1, 1, 1, 1), (2, 13, 17, 5, 35, 3, 1, 2, 1, 1), (1, 23, 23, 3, 16, 7, 3, 2, 1, 1), (1, 9, 9, 24, 24, 3, 1, 1, 24, 1),
        (1, 9, 11, 70, 70, 5, 2, 2, 70, 1), (1, 8, 8, 16, 32, 3, 1, 1, 4, 1), (1, 12, 12, 8, 8, 3, 2, 1, 1, 2), (3, 7, 7, 40, 21, 1, 0, 1, 1, 1),
        (1, 15, 15, 9, 33, 1, 0, 2, 1, 1), (1, 1, 1, 8, 8, 3, 1, 1, 1, 1), (1, 10, 10, 1, 4, 3, 0, 1, 1, 1), (2, 35, 3, 8, 20, 3, 1, 1, 1, 1), (1, 6, 6, 12, 24, 3, 1, 1, 12, 1)]
    for n, h, w, c, o, k, p, s, g, d in shapes:
        kernel = RNG.standard_normal((k, k, c // g, o)).astype(np.float32)
        for layout in ("channels_last", "channels_first"):
            def conv(t, kernel=kernel, p=p, s=s, g=g, d=d, layout=layout):
                weights = kernel if layout == "channels_last" else np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
                return ops.maximum(ops.conv_general(t, weights, strides=(s, s), padding=((p, p), (p, p)), rhs_dilation=(d, d), groups=g, layout=layout), 0.0)
            shape = (n, h, w, c) if layout == "channels_last" else (n, c, h, w)
            cases.append(single(f"conv {shape} {o} {k} {p} {s} {g} {d} {layout}", conv, tensor(*shape)))
    number = next(COUNTER)
    image = make_input("image", np.float32, (symbol(f"b{number}"), symbol(f"h{number}"), symbol(f"w{number}"), 8))
    kernel = RNG.standard_normal((3, 3, 8, 16)).astype(np.float32)
    pair = (image, RNG.standard_normal((2, 11, 13, 8)).astype(np.float32))
    cases.append(single("conv, symbolic", lambda t: ops.conv_general(t, kernel, strides=(2, 2), padding=((1, 1), (1, 1)), layout="channels_last"), pair))
    cases.append(single("conv of a concatenation, padded in place", concatenated, tensor(1, 8, 8, 8)))
    cases.append(single("1-d", lambda t: ops.conv_general(t, np.ones((3, 4, 5), np.float32), padding=((1, 1),), layout="channels_last"), tensor(2, 10, 4)))
    cases.append(single("3-d", lambda t: ops.conv_general(t, np.ones((2, 2, 2, 3, 4), np.float32), layout="channels_last"), tensor(1, 4, 5, 6, 3)))
    cases.append(single("spread input", lambda t: ops.conv_general(t, np.ones((3, 3, 2, 4), np.float32), lhs_dilation=(2, 2), padding=((1, 1), (2, 1)),
                                                                   layout="channels_last"), tensor(1, 5, 6, 2)))
    for c, o, g in ((4, 20, 1), (10, 38, 2), (5, 5, 5)):
        weights = tensor(3, 3, c // g, o), tensor(o, c // g, 3, 3), tensor(o, c // g, 3, 3, symbolic=True)
        for w, layout in zip(weights, ("channels_last", "channels_first", "channels_first")):
            image = tensor(1, 6, 6, c) if layout == "channels_last" else tensor(1, c, 6, 6, symbolic=w is weights[2])
            cases.append(single(f"weights are no constant, {o} of {c} in {g}, {layout}",
                                lambda t, w, g=g, layout=layout: ops.conv_general(t, w, groups=g, layout=layout), image, w))
    return cases


def concatenated(t: Tensor) -> Tensor:
    kernel = np.linspace(-1, 1, 3 * 3 * 8 * 8, dtype=np.float32).reshape(3, 3, 8, 8)
    def conv(x, k):
        return ops.conv_general(x, k, padding=((1, 1), (1, 1)), layout="channels_last")
    a = ops.maximum(conv(t, kernel), 0.0)
    b = ops.maximum(conv(a, kernel), 0.0)
    joined = ops.concatenate([a, b], 3)
    return ops.add(conv(joined, np.concatenate([kernel, -kernel], 2)), a)


def window_cases() -> list[Case]:
    cases = []
    for kind in ("max", "min", "sum"):
        for shape, window, strides, padding in (
                ((1, 9, 9, 16), (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))),
                ((2, 3, 8, 8), (1, 1, 2, 2), (1, 1, 2, 2), ((0, 0),) * 4),
                ((1, 12, 12, 200), (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0),) * 4),
                ((1, 5, 40), (1, 2, 3), (1, 1, 1), ((0, 0), (0, 1), (1, 1)))):
            cases.append(single(f"{kind} {shape} {window}", lambda t, k=kind, w=window, s=strides, p=padding: ops.reduce_window(t, k, w, s, p),
                                tensor(*shape)))
    cases.append(single("average, then scaled", lambda t: ops.mul(ops.reduce_window(t, "sum", (1, 2, 2, 1), (1, 2, 2, 1)), 0.25), tensor(1, 8, 8, 12)))
    return cases


def attention_cases() -> list[Case]:
    cases = []
    for symbolic in (False, True):
        for queries, keys, width, values in ((1, 1, 4, 4), (7, 13, 8, 8), (33, 65, 16, 20), (130, 129, 32, 32)):
            def x(*shape, symbolic=symbolic):
                array = RNG.standard_normal(shape).astype(np.float32)
                number = next(COUNTER)
                dims = (*(symbol(f"a{number}_{i}") if symbolic else e for i, e in enumerate(shape[:-1])), shape[-1])
                return make_input(f"x{number}", np.float32, dims), array
            if symbolic:  # batch, heads and keys are the same symbols in every operand
                b, h, s, t = (symbol(f"{n}{next(COUNTER)}") for n in "bhst")
                q, k, v = ((make_input("x", np.float32, (b, h, rows, last)), RNG.standard_normal((2, 3, extent, last)).astype(np.float32))
                           for rows, extent, last in ((s, queries, width), (t, keys, width), (t, keys, values)))
                mask = (make_input("m", np.float32, (b, 1, 1, t)), RNG.standard_normal((2, 1, 1, keys)).astype(np.float32))
            else:
                q, k, v = x(2, 3, queries, width), x(2, 3, keys, width), x(2, 3, keys, values)
                mask = x(2, 1, 1, keys)
            name = f"attention {queries} {keys} {width} {values}"
            cases += [single(name, lambda q, k, v: ops.attention(q, k, v), q, k, v),
                      single(f"{name}, masked", lambda q, k, v, m: ops.attention(q, k, v, m, scale=0.3), q, k, v, mask)]
            if not symbolic:
                cases.append(single(f"{name}, mask for each query", lambda q, k, v, m: ops.attention(q, k, v, m), q, k, v, x(queries, keys)))
    cases += [
        single("causal", lambda q, k, v: ops.attention(q, k, v, causal=True), tensor(2, 40, 8), tensor(2, 40, 8), tensor(2, 40, 8)),
        single("heads split and joined", attended_heads, tensor(2, 50, 96)),
        single("keys at -inf", lambda q, k, v, m: ops.attention(q, k, v, m), tensor(1, 3, 4), tensor(1, 5, 4), tensor(1, 5, 4),
               tensor(values=np.array([[0, -np.inf, 0, -np.inf, 0], [-np.inf] * 4 + [0], [-np.inf] * 5], np.float32))),
    ]
    return cases


def attended_heads(x: Tensor) -> Tensor:
    """Queries, keys and values as slices of one product, heads transposed out and in again: all of it views around one kernel."""
    y = ops.matmul(x, np.linspace(-1, 1, 96 * 96 * 3, dtype=np.float32).reshape(96, 288))
    parts = [ops.slice(y, (0, 0, i * 96), (2, 50, (i + 1) * 96)) for i in range(3)]
    q, k, v = (ops.transpose(ops.reshape(p, (2, 50, 4, 24)), (0, 2, 1, 3)) for p in parts)
    return ops.reshape(ops.transpose(ops.attention(q, k, v, scale=0.01), (0, 2, 1, 3)), (2, 50, 96))


def recurrent_cases() -> list[Case]:
    cases = []
    settings = [  # operator, steps, batch, inputs, hidden, direction, optional operands, attributes
        ("lstm", 5, 1, 6, 16, "forward", (), {}), ("lstm", 4, 9, 3, 21, "bidirectional", ("b", "sequence_lens", "initial_h", "initial_c", "p"), {}),
        ("lstm", 3, 2, 4, 7, "reverse", ("b",), {"clip": 0.5, "input_forget": True}),
        ("lstm", 3, 2, 4, 8, "forward", ("b",), {"activations": ("HardSigmoid", "Relu", "Softsign"), "alphas": (0.3,), "betas": (0.4,)}),
        ("gru", 5, 1, 6, 33, "bidirectional", ("b", "initial_h"), {"linear_before_reset": True}),
        ("gru", 4, 8, 3, 16, "forward", ("b", "sequence_lens"), {"linear_before_reset": False}), ("gru", 2, 3, 3, 5, "reverse", (), {}),
        ("rnn", 4, 2, 3, 18, "bidirectional", ("b",), {}), ("rnn", 3, 1, 2, 4, "forward", ("initial_h",), {"activations": ("Relu",)})]
    for kind, steps, batch, width, hidden, direction, present, attributes in settings:
        gates, directions = {"rnn": 1, "gru": 3, "lstm": 4}[kind], 2 if direction == "bidirectional" else 1
        shapes = {"b": (directions, 2 * gates * hidden), "initial_h": (directions, batch, hidden), "initial_c": (directions, batch, hidden),
                  "p": (directions, 3 * hidden)}
        w, r = ((RNG.standard_normal(s) * 0.5).astype(np.float32) for s in ((directions, gates * hidden, width), (directions, gates * hidden, hidden)))
        optional = [np.arange(1, batch + 1, dtype=np.int32).clip(max=steps) if n == "sequence_lens" else
                    (RNG.standard_normal(shapes[n]) * 0.5).astype(np.float32) for n in present]

        def layer(x, *given, kind=kind, w=w, r=r, optional=optional, present=present, direction=direction, attributes=attributes):
            return getattr(ops, kind)(x, w, r, *(given or optional), present=present, direction=direction, **attributes)

        name = f"{kind} {steps} {batch} {hidden} {direction}"
        cases.append(single(name, layer, tensor(steps, batch, width)))
        if not present:
            cases.append(single(f"{name}, symbolic", layer, (make_input("x", np.float32, (symbol(f"t{len(cases)}"), symbol(f"n{len(cases)}"), width)),
                                                             RNG.standard_normal((steps, batch, width)).astype(np.float32))))
    given = [tensor(1, 32), tensor(1, 2, 4)]
    cases.append(single("lstm, its state given at run time", lambda x, b, h: ops.lstm(x, np.ones((1, 16, 3), np.float32), np.ones((1, 16, 4), np.float32),
                                                                                     b, h, present=("b", "initial_h")), tensor(3, 2, 3), *given))
    return cases


def scatter_cases() -> list[Case]:
    cases = []
    for reduction in ("none", "add", "mul", "max", "min"):
        cases += [
            single(f"scatter_nd {reduction}", lambda t, i, u, r=reduction: ops.scatter_nd(t, i, u, r), tensor(5, 6),
                   tensor(values=np.array([[0], [3], [-1], [0]])), tensor(4, 6)),
            single(f"scatter_nd of elements {reduction}", lambda t, i, u, r=reduction: ops.scatter_nd(t, i, u, r), tensor(3, 4, symbolic=True),
                   tensor(values=np.array([[0, 1], [2, 3], [9, 0]])), tensor(3)),
            single(f"scatter_elements {reduction}", lambda t, i, u, r=reduction: ops.scatter_elements(t, i, u, 1, r), tensor(2, 5),
                   tensor(values=np.array([[4, 0, 4], [1, -1, 2]])), tensor(2, 3))]
    return cases


CASES = {"attention": attention_cases, "recurrent": recurrent_cases, "scatter": scatter_cases, "elementwise": elementwise_cases, "cast": cast_cases, "movement": movement_cases, "row": row_cases, "product": product_cases,
         "convolution": convolution_cases, "window": window_cases}


@pytest.mark.parametrize("target", RUNNABLE + EMULATED, ids=lambda t: t.name)
@pytest.mark.parametrize("form", CASES)
def test_form(form: str, target, tmp_path) -> None:
    check(CASES[form](), target, tmp_path)


def test_dimensions_may_be_called_as_loop_variables_are(tmp_path) -> None:
    """p, m, i0, n1, b, j, rb and nb are names of dimensions as good as any."""
    p, m, i0, n1, j, nb = (symbol(n) for n in ("p", "m", "i0", "n1", "j", "nb"))
    x = make_input("x", np.float32, (p, m, i0))
    y = make_input("y", np.float32, (n1, j, nb))
    arrays = [RNG.standard_normal((2, 19, 24)).astype(np.float32), RNG.standard_normal((3, 5, 7)).astype(np.float32)]
    cases = [single("rows", lambda t, u: dlcompile_softmax(ops.transpose(ops.mul(t, 2.0), (0, 2, 1))), (x, arrays[0]), (y, arrays[1])),
             single("products", lambda u: ops.matmul(u, ops.transpose(u, (0, 2, 1))), (make_input("u", np.float32, (n1, j, nb)), arrays[1]))]
    cases[0].outputs.append(ops.transpose(ops.add(y, 1.0), (2, 0, 1)))
    check(cases, RUNNABLE[-1], tmp_path)


@pytest.mark.parametrize("symbolic", [False, True])
def test_long_sums_are_added_up_in_parts(symbolic, tmp_path) -> None:
    """Adding 20,000 numbers one after another would be off by 1e-5 and more."""
    (x, array), (y, image) = tensor(20011, 40, symbolic=symbolic), tensor(1, 300, 70, 24, symbolic=symbolic)
    array, image = np.abs(array) + 1, np.abs(image) + 1
    graph = Graph("sums", [x, y], [ops.reduce_sum(x, (0,)), ops.reduce_mean(y, (1, 2))], output_names=["a", "b"])
    model = load(build(generate(schedule(graph, RUNNABLE[-1]), RUNNABLE[-1]), tmp_path / "sums.so"))
    for got, exact in zip(model(array, image), (array.sum(0, dtype=np.float64), image.mean((1, 2), dtype=np.float64))):
        assert np.abs(got / exact - 1).max() < 3e-6
