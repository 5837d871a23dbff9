"""Control flow: branches and loops whose bodies are graphs.

A body is closed: it reads its own inputs only. What it needs of the graph around it is handed in as captured operands, after the others.
"""
from __future__ import annotations

from dlcompile.graph import DimLike, Graph, Tensor, apply
from dlcompile.ops.core import TensorLike, as_tensor


def cond(predicate: TensorLike, then_branch: Graph, else_branch: Graph, *operands: TensorLike) -> tuple[Tensor, ...]:
    """The results of `then_branch` where the bool scalar `predicate` holds, else those of `else_branch`; only that one is run.

    Both take the operands and yield results of the same types.
    """
    return apply("cond", as_tensor(predicate), *map(as_tensor, operands), then_branch=then_branch, else_branch=else_branch)


def while_loop(condition: Graph, body: Graph, *operands: TensorLike, num_carry: int) -> tuple[Tensor, ...]:
    """The carries when `condition` first fails. The first `num_carry` operands are the carries, the others captured.

    condition(carries, captured) → bool scalar, asked before each turn; body(carries, captured) → the next carries, of the same types.
    """
    return apply("while", *map(as_tensor, operands), condition=condition, body=body, num_carry=num_carry)


def scan(body: Graph, *operands: TensorLike, num_carry: int, num_scanned: int, length: DimLike, reverse: bool = False) -> tuple[Tensor, ...]:
    """A loop of `length` steps over the leading axis of the scanned operands, from the end where `reverse`.

    operands: `num_carry` carries, `num_scanned` scanned ones [length, …], captured ones. body(carries, slices, captured) → the next
    carries and this step's outputs. Returns the last carries and the outputs stacked [length, …].
    """
    return apply("scan", *map(as_tensor, operands), body=body, num_carry=num_carry, num_scanned=num_scanned, length=length,
                 reverse=bool(reverse))
