"""The library forms: operators that a function of csrc/ computes whole, given pointers, strides and sizes."""
from __future__ import annotations

from collections.abc import Callable

from dlcompile.graph import Node, Tensor
from dlcompile.kernels import attention, ordering, random, recurrence, scatter, selection, text, trees
from dlcompile.kernels.access import Storage
from dlcompile.kernels.group import Context, Group, Lowered

FORMS: dict[str, Callable[[Group, Context], Lowered]] = {
    "attention": attention.lower_attention,
    "scatter_nd": scatter.lower_scatter,
    "scatter_elements": scatter.lower_scatter,
    "sort": ordering.lower_ordering,
    "top_k": ordering.lower_ordering,
    "mt19937": random.lower_mt19937,
    "flatnonzero": selection.lower_flatnonzero,
    "unique": selection.lower_unique,
    "non_max_suppression": selection.lower_non_max_suppression,
    "make_strings": text.lower_make_strings,
    "tree_ensemble": trees.lower_trees,
    "count_ngrams": text.lower_count_ngrams,
    **dict.fromkeys(text.CALLS, text.lower_text),
    "lstm_sequence": recurrence.lower_sequence,
    "gru_sequence": recurrence.lower_sequence,
    "rnn_sequence": recurrence.lower_sequence,
}
"""operator → how its kernel is made"""

OPERANDS: dict[str, Callable[[Node, Callable[[Tensor], Storage | None]], set[Tensor]]] = {
    "attention": attention.operands_to_copy,
    "scatter_nd": lambda node, stored: set(),
    "scatter_elements": lambda node, stored: set(),
    "sort": ordering.operands_to_copy,
    "top_k": ordering.operands_to_copy,
    "flatnonzero": selection.operands_to_copy,
    "unique": selection.operands_to_copy,
    "non_max_suppression": selection.operands_to_copy,
    **dict.fromkeys((*text.CALLS, "count_ngrams"), text.operands_to_copy),
    "tree_ensemble": trees.operands_to_copy,
}
"""operator → the operands that have to be copied before its kernel can read them; without a row, all that are views"""

MOVES_RESULT = frozenset({"attention"})
"""operators whose kernel stores its result through views that only rearrange"""


def operands_to_copy(node: Node, stored: Callable[[Tensor], Storage | None]) -> set[Tensor]:
    """The operands of `node` that do not lie as its kernel needs them."""
    if node.op in OPERANDS:
        return OPERANDS[node.op](node, stored)
    return {t for t in node.inputs if stored(t) is None}
