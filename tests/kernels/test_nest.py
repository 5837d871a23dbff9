"""Loop nests: splitting, merging, and where variables go."""
import numpy as np

from dlcompile.graph import symbol
from dlcompile.kernels.ir import Let, Load, Loop, Number, Store
from dlcompile.kernels.nest import Axis, block_transposed, collapse, merge, nest, split

F32 = np.dtype(np.float32)


def copy(target, source) -> tuple:
    return (Store("y", target, Load("x", source, F32)),)


def test_merge_axes_that_every_index_treats_as_one() -> None:
    a, b = Axis("a", 5), Axis("b", 7)
    axes, statements = merge((a, b), copy(a.symbol * 7 + b.symbol, a.symbol * 14 + b.symbol * 2))
    assert axes == (Axis("b", 35),)
    q = Axis("b", 35).symbol
    assert statements == copy(q, q * 2)


def test_axes_with_a_gap_between_rows_stay_apart() -> None:
    a, b = Axis("a", 5), Axis("b", 7)
    axes, _ = merge((a, b), copy(a.symbol * 7 + b.symbol, a.symbol * 8 + b.symbol))
    assert axes == (a, b)


def test_merge_with_symbolic_extent() -> None:
    n = symbol("n")
    a, b = Axis("a", 3), Axis("b", n)
    axes, _ = merge((a, b), copy(a.symbol * n + b.symbol, a.symbol * n + b.symbol))
    assert axes == (Axis("b", 3 * n),)


def test_split_removes_divisions() -> None:
    i = Axis("i", 12 * 64)
    axes, statements = split((i,), copy(i.symbol, (i.symbol % 64) * 12 + i.symbol // 64))
    assert [a.extent for a in axes] == [12, 64]
    outer, inner = (a.symbol for a in axes)
    assert statements == copy(outer * 64 + inner, inner * 12 + outer)


def test_split_sees_through_a_block_with_an_offset() -> None:
    block, j = Axis("block", 8), Axis("j", 32)
    column = block.symbol * 32 + j.symbol
    axes, statements = split((block, j), copy(column, (column // 64) * 1000 + column % 64))
    assert [a.extent for a in axes] == [4, 2, 32]
    assert "//" not in str(statements[0].value.index)


def test_collapse_binds_the_old_variables() -> None:
    a, b, c = Axis("a", 3), Axis("b", 5), Axis("c", 8)
    axes, statements = collapse((a, b, c), copy(a.symbol + b.symbol + c.symbol, 0))
    assert axes == (Axis("p", 15), c)
    assert [s.name for s in statements if isinstance(s, Let)] == ["a", "b"]


def test_a_variable_is_bound_in_the_outermost_loop_that_knows_it() -> None:
    a, b = Axis("a", 3), Axis("b", 5)
    statements = (Let("u", Number(1.0, F32)), Let("v", Load("x", a.symbol, F32)), *copy(a.symbol * 5 + b.symbol, b.symbol))
    body = nest((a, b), statements, parallel=False)
    assert isinstance(body[0], Let) and body[0].name == "u"
    loop = body[1]
    assert isinstance(loop, Loop) and loop.axis == "a" and loop.body[0].name == "v"
    assert loop.body[1].axis == "b" and loop.body[1].kind == "vector"


def test_a_transposition_is_walked_in_blocks() -> None:
    a, b = Axis("a", 64), Axis("b", 10)
    axes, _ = block_transposed((a, b), copy(a.symbol * 10 + b.symbol, b.symbol * 64 + a.symbol))
    assert [x.extent for x in axes] == [4, 10, 16]


def test_loops_that_never_run_are_not_shared_out() -> None:
    a, b, c = Axis("a", symbol("n")), Axis("b", 0), Axis("c", 8)
    body = nest((a, b, c), copy(a.symbol + c.symbol, 0), parallel=True)
    assert isinstance(body[-1], Loop) and body[-1].kind == "serial"
