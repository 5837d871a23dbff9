"""Operators compiled on random shapes, static and symbolic, on every target: one library holds a case for each operator."""
from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.graph import apply, make_input, symbol
from dlcompile.operators.elementwise import INTEGER, ROWS
from tests.kernels.build import EMULATED, RUNNABLE, Case, check

EXTENTS = st.sampled_from([1, 2, 3, 5, 7, 13, 17, 33])
REDUCTIONS = ("sum", "prod", "max", "min")


@pytest.mark.parametrize("target", RUNNABLE + EMULATED, ids=lambda t: t.name)
@settings(max_examples=2, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(data=st.data(), seed=st.integers(0, 2**20), symbolic=st.booleans())
def test_operators(target, data, seed: int, symbolic: bool) -> None:
    random, cases = np.random.default_rng(seed), []

    def operand(shape, dtype=np.float32):
        number = sum(len(c.inputs) for c in cases) + len(pending)
        values = random.uniform(0.1, 0.9, shape) if np.dtype(dtype).kind == "f" else random.integers(1, 2 if dtype == np.bool_ else 9, shape)
        dims = tuple(symbol(f"d{e}") if symbolic and e != 1 else e for e in shape)  # equal extents are one symbol
        pending.append((make_input(f"x{number}", dtype, dims), np.asarray(values).astype(dtype)))
        return pending[-1][0]

    def add(name, make, tolerance=2e-5):
        pending.clear()
        result = make()
        cases.append(Case(name, list(pending), [result], tolerance))

    pending: list = []
    shape = tuple(data.draw(st.lists(EXTENTS, min_size=1, max_size=4)))
    thin = tuple(e if data.draw(st.booleans()) else 1 for e in shape)
    for name, (arity, accepts, *_) in ROWS.items():
        dtype = np.int32 if accepts == INTEGER else np.bool_ if accepts.startswith("bool") else np.float32
        low = (lambda x: ops.add(x, 1.5)) if name == "acosh" else (lambda x: x)
        add(name, lambda: apply(name, low(operand(shape, dtype)), *([operand(thin, dtype)] if arity == 2 else [])))
    for name in REDUCTIONS:
        axes = tuple(a for a in range(len(shape)) if data.draw(st.booleans()))
        add(f"reduce_{name} {axes}", lambda: apply(f"reduce_{name}", operand(shape), axes=axes, keepdims=bool(seed % 2)))
    order = data.draw(st.permutations(range(len(shape))))
    add("transpose", lambda: ops.mul(ops.transpose(operand(shape), order), 2.0))
    add("concatenate", lambda: ops.concatenate([operand(shape), operand(shape)], len(shape) - 1))
    m, k, n = (data.draw(EXTENTS) for _ in range(3))
    add("dot_general", lambda: ops.matmul(operand((2, m, k)), operand((2, k, n))))
    weights = random.standard_normal((3, 3, 4, n)).astype(np.float32)
    add("conv_general", lambda: ops.conv_general(operand((1, m, k, 4)), weights, padding=((1, 1), (1, 1)), layout="channels_last"))
    add("reduce_window", lambda: ops.reduce_window(operand((1, m, k, n)), "max", (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))))
    add("attention", lambda: ops.attention(operand((2, m, 8)), operand((2, k, 8)), operand((2, k, 8)), scale=0.3))
    places = random.integers(0, shape[0], (3, 2))
    add("gather", lambda: ops.gather(operand(shape), places, 0))
    add("gather_nd", lambda: ops.gather_nd(operand(shape), places[:, :1]))
    add("take_along_axis", lambda: ops.take_along_axis(operand((m, k)), random.integers(0, k, (m, 2)) if not symbolic else np.zeros((1, 2), np.int64), 1))
    add("scatter_nd", lambda: ops.scatter_nd(operand((m, k)), random.integers(0, m, (2, 1)), operand((2, k)), "add"))
    add("scatter_elements", lambda: ops.scatter_elements(operand((m, k)), np.zeros((1, 1), np.int64), random.random((1, 1), np.float32)))
    add("pad", lambda: ops.pad(operand(shape), 0.5, (1,) * len(shape), (0,) * len(shape)))
    add("cumsum", lambda: ops.cumsum(operand(shape), 0))
    add("argmax", lambda: ops.argmax(operand(shape), len(shape) - 1))
    for kind, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        w, r = (random.standard_normal((1, gates * n, e)).astype(np.float32) * np.float32(0.3) for e in (4, n))
        add(kind, lambda: getattr(ops, kind)(operand((m, 2, 4)), w, r)[0])
    with tempfile.TemporaryDirectory() as directory:
        check(cases, target, Path(directory))
