"""The C text of a few small kernels, kept as files: a change of what is generated shows as a difference that a person can read.

After a change that is meant, run the tests once with DLCOMPILE_UPDATE_GOLDEN=1 and look at the difference.
"""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import dlcompile.operators  # noqa: F401  (fills the table of operators)
from dlcompile import ops
from dlcompile.codegen.printer import print_kernel
from dlcompile.graph import Graph, apply, make_input, symbol
from dlcompile.kernels.schedule import schedule

GOLDEN = Path(__file__).parent / "golden"
SEQ = symbol("seq")


def constant(*shape: int) -> np.ndarray:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def softmax() -> Graph:
    x = make_input("x", "float32", (SEQ, 100))
    shifted = apply("exp", ops.sub(x, apply("reduce_max", x, axes=(1,), keepdims=True)))
    return Graph("softmax", [x], [ops.div(shifted, apply("reduce_sum", shifted, axes=(1,), keepdims=True))])


def dense_relu() -> Graph:
    x = make_input("x", "float32", (SEQ, 48))
    return Graph("dense_relu", [x], [ops.maximum(ops.add(ops.matmul(x, constant(48, 64)), constant(64)), 0.0)])


def convolution_residual() -> Graph:
    x = make_input("x", "float32", (1, 14, 14, 32))
    y = apply("conv_general", x, ops.as_tensor(constant(3, 3, 32, 32)), strides=(1, 1), padding=((1, 1), (1, 1)), lhs_dilation=(1, 1),
              rhs_dilation=(1, 1), groups=1, layout="channels_last")
    return Graph("convolution_residual", [x], [ops.maximum(ops.add(y, x), 0.0)])


def winograd() -> Graph:
    x = make_input("x", "float32", (SEQ, 30, 30, 24))
    return Graph("winograd", [x], [ops.maximum(ops.conv_general(x, constant(3, 3, 24, 40), layout="channels_last"), 0.0)])


def long_sums() -> Graph:
    x, y = (make_input(name, "float32", (20_000, n)) for name, n in (("x", 70), ("y", 64)))
    return Graph("long_sums", [x, y], [ops.mul(ops.matmul(ops.transpose(x), y), 0.5)])


def max_pool() -> Graph:
    x = make_input("x", "float32", (1, 8, 8, 16))
    return Graph("max_pool", [x], [apply("reduce_window", x, kind="max", window=(1, 3, 3, 1), strides=(1, 2, 2, 1),
                                         padding=((0, 0), (1, 1), (1, 1), (0, 0)), dilation=(1, 1, 1, 1))])


def embedding() -> Graph:
    ids = make_input("ids", "int64", (symbol("batch"), SEQ))
    return Graph("embedding", [ids], [ops.gather(ops.as_tensor(constant(50, 24)), ids, axis=0)])


def channels_last() -> Graph:
    x = make_input("x", "float32", (1, 3, 32, 32))
    return Graph("channels_last", [x], [ops.transpose(x, (0, 2, 3, 1))])


@pytest.mark.parametrize("build", [softmax, dense_relu, convolution_residual, winograd, long_sums, max_pool, embedding, channels_last])
def test_text(build) -> None:
    program = schedule(build(), "x86-64-v3", precision="strict" if build is convolution_residual else "default")
    pieces = []
    for call in program.calls:
        text = print_kernel(call.kernel.body)
        parameters = ", ".join(f"{kind} {name}" if not kind.endswith("restrict") else f"{kind} {name}" for kind, name in text.parameters)
        pieces.append(f"void {call.kernel.name}(dlc_team *team, {parameters})\n{{\n{text.body}}}\n")
    text = "\n".join(pieces)
    path = GOLDEN / f"{build.__name__}.c"
    if os.environ.get("DLCOMPILE_UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.exists(), "no golden text yet: run with DLCOMPILE_UPDATE_GOLDEN=1 and read it"
    assert text == path.read_text()
