"""Einstein summation, written as products, reductions and transpositions."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph import Tensor, make_constant
from dlcompile.ops.core import TensorLike, as_tensors, broadcast_to, dot_general, iota, reduce_sum, reshape, transpose
from dlcompile.ops.elementwise import eq, mul, select


def einsum(equation: str, *operands: TensorLike) -> Tensor:
    """Sums of products by subscripts, as `numpy.einsum`: "ij,jk->ik". An ellipsis stands for leading axes that go together."""
    tensors = list(as_tensors(*operands))
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise ShapeError(f"einsum {equation!r} has {len(terms)} terms for {len(tensors)} operands")
    spare = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ".translate({ord(c): None for c in text}))
    widest = max((t.rank - len(term.replace("...", "")) for term, t in zip(terms, tensors) if "..." in term), default=0)
    dots = [next(spare) for _ in range(widest)]
    terms = [term.replace("...", "".join(dots[widest - (t.rank - len(term.replace("...", ""))):])) for term, t in zip(terms, tensors)]
    if arrow:
        right = right.replace("...", "".join(dots))
    else:
        letters = "".join(terms)
        right = "".join(dots) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots))
    for term, t in zip(terms, tensors):
        if len(term) != t.rank:
            raise ShapeError(f"einsum {equation!r}: term {term!r} for an operand of {t.rank} axes")
    labelled = [_diagonal(t, term) for t, term in zip(tensors, terms)]
    t, term = labelled[0]
    for position, (other, letters) in enumerate(labelled[1:], 1):
        later = set(right).union(*(l for _, l in labelled[position + 1:]))
        t, term = _pair(t, term, other, letters, later)
    gone = tuple(i for i, c in enumerate(term) if c not in right)
    if gone:
        t, term = reduce_sum(t, gone), "".join(c for c in term if c in right)
    if set(term) != set(right):
        raise ShapeError(f"einsum {equation!r}: the result's subscripts are not those of the operands")
    return t if term == right else transpose(t, [term.index(c) for c in right])


def _pair(a: Tensor, a_term: str, b: Tensor, b_term: str, later: set[str]) -> tuple[Tensor, str]:
    """The product of two operands, summed over what neither the result nor a later operand has."""
    for _ in range(2):  # letters that only one operand has and nobody wants are summed beforehand
        alone = tuple(i for i, c in enumerate(a_term) if c not in b_term and c not in later)
        if alone:
            a, a_term = reduce_sum(a, alone), "".join(c for c in a_term if c in b_term or c in later)
        a, a_term, b, b_term = b, b_term, a, a_term
    common = [c for c in a_term if c in b_term]
    stretched = [c for c in common if a.shape[a_term.index(c)] != b.shape[b_term.index(c)]]
    if stretched:  # an axis of extent 1 against a longer one: broadcast by multiplying
        order = a_term + "".join(c for c in b_term if c not in a_term)
        y = mul(_spread(a, a_term, order), _spread(b, b_term, order))
        gone = tuple(i for i, c in enumerate(order) if c not in later)
        return (reduce_sum(y, gone), "".join(c for c in order if c in later)) if gone else (y, order)
    batch = [c for c in common if c in later]
    contracted = [c for c in common if c not in later]
    y = dot_general(a, b, contracting=([a_term.index(c) for c in contracted], [b_term.index(c) for c in contracted]),
                    batch=([a_term.index(c) for c in batch], [b_term.index(c) for c in batch]))
    return y, "".join(batch) + "".join(c for c in a_term if c not in common) + "".join(c for c in b_term if c not in common)


def _spread(t: Tensor, term: str, order: str) -> Tensor:
    """`t` with its axes in the order of the letters, and axes of extent 1 for those it lacks."""
    own = [c for c in order if c in term]
    t = transpose(t, [term.index(c) for c in own])
    extents = iter(t.shape)
    return reshape(t, tuple(next(extents) if c in term else 1 for c in order))


def _diagonal(t: Tensor, term: str) -> tuple[Tensor, str]:
    """Axes with the same letter reduced to their diagonal."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first, second = (i for i, c in enumerate(term) if c == letter) if term.count(letter) == 2 else (
                term.index(letter), term.index(letter, term.index(letter) + 1))
            if t.shape[first] != t.shape[second]:
                t = broadcast_to(t, tuple(t.shape[first] if i == second else d for i, d in enumerate(t.shape)))
            here = eq(iota(np.int64, t.shape, first), iota(np.int64, t.shape, second))
            t = reduce_sum(select(here, t, make_constant(np.zeros((), t.dtype))), (second,))
            term = term[:second] + term[second + 1:]
    return t, term
