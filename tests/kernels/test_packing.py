"""Right operands that only a run brings, however they lie: packed for the tile that reads them."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Graph, make_input
from dlcompile.kernels.schedule import schedule
from tests.kernels.build import EMULATED, RUNNABLE, Case, check
from tests.kernels.test_forms import single, tensor


def cases() -> list[Case]:
    dot = ops.dot_general
    return [
        single("rows", lambda a, b: ops.matmul(a, b), tensor(9, 13), tensor(13, 37)),
        single("columns", lambda a, b: dot(a, b, contracting=((1,), (1,))), tensor(9, 13), tensor(37, 13)),
        single("every other", lambda a, b: ops.matmul(a, ops.slice(b, (0, 0), (13, 80), (1, 2))), tensor(9, 13), tensor(13, 80)),
        single("batches", lambda a, b: ops.matmul(a, ops.transpose(b, (1, 0, 2))), tensor(3, 9, 13), tensor(13, 3, 20)),
        single("heads", lambda a, b: dot(a, b, contracting=((0, 1), (0, 2))), tensor(3, 7, 24), tensor(3, 4, 7, 32)),
        single("heads that fill no panel", lambda a, b: dot(a, b, contracting=((0, 1), (0, 2))), tensor(3, 7, 24), tensor(3, 5, 7, 11)),
        single("three runs of columns", lambda a, b: dot(a, b, contracting=((0,), (1,))), tensor(7, 10), tensor(2, 7, 3, 5)),
        single("terms of two axes", lambda a, b: dot(a, b, contracting=((1, 2), (0, 2))), tensor(9, 4, 6), tensor(4, 18, 6)),
        single("a convolution's filters", lambda x, w: ops.conv_general(x, w, layout="channels_last"), tensor(2, 6, 7, 5), tensor(3, 2, 5, 19)),
        single("filters of groups", lambda x, w: ops.conv_general(x, w, layout="channels_last", groups=2), tensor(2, 6, 7, 10), tensor(3, 2, 5, 24)),
    ]


@pytest.mark.parametrize("target", RUNNABLE + EMULATED, ids=lambda t: t.name)
def test_against_the_definition(target, tmp_path) -> None:
    made = cases()
    program = schedule(Graph("g", [t for c in made for t, _ in c.inputs], [t for c in made for t in c.outputs]), target)
    assert sum(call.form == "pack" for call in program.calls) >= len(made) - 2  # some lie as if packed
    check(made, target, tmp_path)


def test_what_lies_as_if_packed_is_read_as_it_lies() -> None:
    a, b = make_input("a", np.float32, (9, 13)), make_input("b", np.float32, (13, 16))
    assert [call.form for call in schedule(Graph("g", [a, b], [ops.matmul(a, b)]), "x86-64-v4").calls] == ["contraction"]
