"""Canonical contractions: constants as [K, N], no needless batch, no reshapes around, siblings as one."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlcompile import ops
from dlcompile.graph import Graph, Node, Tensor, apply, is_float, is_integer, make_constant, provenance
from dlcompile.transforms.rewrite import Answer, Table, made_by, uses
from dlcompile.transforms.shapes import all_finite, factor_reshape, is_identity, is_view, permute

SIBLING_LIMIT = 4096  # columns: a merged product this wide gains nothing from more
VIEWS = ("reshape", "transpose", "slice", "attention")  # readers that can work on a piece of a larger result as it lies


# -- what a dot_general says ------------------------------------------------------------------------------------------------
def axes_of(node: Node, side: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(batch, free, contracting) axes of operand `side` of a dot_general; the result's shape is batch, left free, right
    free."""
    batch, contracting = tuple(node.attributes["batch"][side]), tuple(node.attributes["contracting"][side])
    free = tuple(a for a in range(node.inputs[side].rank) if a not in batch and a not in contracting)
    return batch, free, contracting


def is_linear(node: Node) -> bool:
    """x[…, K] · w[K, N] with a constant w and no batch: the product a dense layer computes."""
    if node.op != "dot_general" or node.attributes["batch"][0]:
        return False
    x, w = node.inputs
    return w.is_constant and w.rank == 2 and node.attributes["contracting"] == ((x.rank - 1,), (0,))


# -- operands ---------------------------------------------------------------------------------------------------------------
def constant_right_operand(node: Node) -> Answer:
    """dot(x, c) → dot(x, c'), with the constant c transposed to [batch, contracting, free]."""
    constant = node.inputs[1]
    batch, free, contracting = axes_of(node, 1)
    order = (*batch, *contracting, *free)
    if not constant.is_constant or is_identity(order) or (uses(constant) > 1 and not is_view(constant.shape, order)):
        return None
    moved = make_constant(np.ascontiguousarray(constant.value.transpose(order)))
    axes = tuple(range(len(batch) + len(contracting)))
    return ops.dot_general(node.inputs[0], moved, contracting=(node.attributes["contracting"][0], axes[len(batch):]),
                           batch=(node.attributes["batch"][0], axes[:len(batch)]))


def transposed_operand(node: Node) -> Answer:
    """dot(transpose(x, p), y) → dot(x, y) over p[axes], where batch axes stay in front and free axes in order; right
    operand alike."""
    for side, tensor in enumerate(node.inputs):
        inner = tensor.producer
        if inner is None or inner.op != "transpose":
            continue
        p = inner.attributes["permutation"]
        batch, free, contracting = axes_of(node, side)
        moved = [p[a] for a in free if tensor.shape[a] != 1]
        if tuple(p[a] for a in batch) != tuple(range(len(batch))) or moved != sorted(moved):
            continue
        made_by(tensor, "transpose")
        inputs = [inner.inputs[0] if s == side else t for s, t in enumerate(node.inputs)]
        attributes = {name: tuple(permute(p, axes) if s == side else axes for s, axes in enumerate(node.attributes[name]))
                      for name in ("contracting", "batch")}
        return ops.reshape(ops.dot_general(*inputs, **attributes), node.output.shape)
    return None


def unit_batch(node: Node) -> Answer:
    """dot over a batch axis of extent 1 → dot without it: the left operand's is a free axis, the right operand's is
    dropped."""
    (left, right), (lhs, rhs) = node.attributes["batch"], node.inputs
    units = [i for i, axis in enumerate(right) if rhs.shape[axis] == 1 and lhs.shape[left[i]] == 1]
    if not units:
        return None
    dropped = [right[i] for i in units]
    kept = [a for a in range(rhs.rank) if a not in dropped]
    contracting = (node.attributes["contracting"][0], tuple(kept.index(a) for a in node.attributes["contracting"][1]))
    batch = tuple(tuple(axis for i, axis in enumerate(axes) if i not in units) for axes in (left, right))
    y = ops.dot_general(lhs, ops.reshape(rhs, permute(rhs.shape, kept)), contracting=contracting,
                        batch=(batch[0], tuple(kept.index(a) for a in batch[1])))
    return ops.reshape(y, node.output.shape)


def broadcast_right_operand(node: Node) -> Answer:
    """dot(x, broadcast_to(w) over the batch) → dot(x, w) without batch: one product with a taller left operand."""
    batch, free, contracting = axes_of(node, 1)
    inner = node.inputs[1].producer
    if not batch or inner is None or inner.op != "broadcast_to" or batch != tuple(range(len(batch))):
        return None
    w = inner.inputs[0]
    lead = node.inputs[1].rank - w.rank
    own = tuple(a for a in batch if a >= lead and w.shape[a - lead] != 1)
    if own or any(a < lead or w.shape[a - lead] != node.inputs[1].shape[a] for a in (*free, *contracting)):
        return None
    left_batch, left_free, left_contracting = axes_of(node, 0)
    if [*left_batch, *left_free] != sorted((*left_batch, *left_free)):
        return None
    made_by(node.inputs[1], "broadcast_to")
    count = len(batch)
    w = ops.reshape(w, node.inputs[1].shape[count:])
    return ops.dot_general(node.inputs[0], w, contracting=(left_contracting, tuple(a - count for a in contracting)))


# -- reshapes around --------------------------------------------------------------------------------------------------------
def reshape_around(node: Node) -> Answer:
    """reshape(f(dot(reshape(x), w))) → f(dot(x, w)), where the reshapes leave the last axis alone and f adds or
    multiplies by vectors."""
    chain: list[Node] = []
    tensor = node.inputs[0]
    while (step := tensor.producer) is not None and step.op in ("add", "mul") and _is_vector(step.inputs[1]):
        chain.append(step)
        tensor = step.inputs[0]
    dot = tensor.producer
    if dot is None or not is_linear(dot) or node.output.rank == 0 or node.output.shape[-1] != dot.output.shape[-1]:
        return None
    inner = dot.inputs[0].producer
    if inner is None or inner.op != "reshape":
        return None
    x = inner.inputs[0]
    if x.shape != (*node.output.shape[:-1], dot.inputs[0].shape[-1]):
        return None
    for tensor in (node.inputs[0], *(step.inputs[0] for step in chain), dot.inputs[0]):
        made_by(tensor, "add", "mul", "dot_general", "reshape")
    y = ops.dot_general(x, dot.inputs[1], contracting=((x.rank - 1,), (0,)))
    for step in reversed(chain):
        y = apply(step.op, y, step.inputs[1])
    return y


def _is_vector(tensor: Tensor) -> bool:
    return tensor.is_constant and tensor.rank <= 1


def transposed_before_flattening(node: Node) -> Answer:
    """dot(reshape(transpose(x, p)), w) → dot(reshape(x), w') where the reshape merges what p moves into the contracting
    axis and w is constant: the rows of w are put in x's order instead."""
    if not is_linear(node):
        return None
    reshape = node.inputs[0].producer
    if reshape is None or reshape.op != "reshape" or reshape.inputs[0].op != "transpose":
        return None
    transpose = reshape.inputs[0].producer
    x, p, w = transpose.inputs[0], transpose.attributes["permutation"], node.inputs[1]
    groups = factor_reshape(transpose.output.shape, reshape.output.shape)
    last = next((g for g in groups or () if g[0] and g[1] and g[1][-1] == reshape.output.rank - 1), None)
    if last is None or len(last[1]) != 1:
        return None
    outside = [p[a] for a in range(len(p)) if a not in last[0] and transpose.output.shape[a] != 1]
    merged = [p[a] for a in last[0]]  # axes of x, in the order in which w's rows count them
    if not all(isinstance(x.shape[a], int) for a in merged) or outside != sorted(outside) or max(outside, default=-1) > min(merged):
        return None
    made_by(node.inputs[0], "reshape")
    made_by(reshape.inputs[0], "transpose")
    rows = w.value.reshape(*(x.shape[a] for a in merged), -1)
    order = [merged.index(a) for a in sorted(merged)]
    rows = np.ascontiguousarray(rows.transpose(*order, len(merged))).reshape(w.shape)
    return ops.dot_general(ops.reshape(x, reshape.output.shape), make_constant(rows), **node.attributes)


# -- one-hot rows ----------------------------------------------------------------------------------------------------------
def one_hot_product(node: Node) -> Answer:
    """dot(one_hot(i, n), w) → gather([w; 0], i), the row of zeros being that of indices which are not in [0, n).

    For a finite constant w: 0 times infinity would not be 0.
    """
    if not is_linear(node) or not is_float(node.output.dtype) or not all_finite(node.inputs[1].value):
        return None
    indices = _one_hot_indices(node.inputs[0])
    if indices is None:
        return None
    w = node.inputs[1].value
    table = make_constant(np.concatenate([w, np.zeros((1, w.shape[1]), w.dtype)]))
    if indices.dtype.kind == "i":  # what is too large is clamped to the last row anyway
        last = np.asarray(len(w), indices.dtype)
        indices = ops.select(ops.lt(indices, np.zeros((), indices.dtype)), last, indices)
    return ops.gather(table, indices, 0)


def _one_hot_indices(tensor: Tensor) -> Tensor | None:
    """i where `tensor` is 1 at i along the last axis and 0 elsewhere: cast(i == [0, 1, …, n-1])."""
    cast = made_by(tensor, "cast")
    equal = made_by(cast.inputs[0], "eq") if cast else None
    if not equal:
        return None
    x, line = equal.inputs
    n = tensor.shape[-1]
    if not line.is_constant or line.shape != (n,) or x.shape != (*tensor.shape[:-1], 1) or not is_integer(x.dtype):
        return None
    if not np.array_equal(line.value, np.arange(n)) or n > np.iinfo(x.dtype).max:
        return None
    return ops.reshape(x, x.shape[:-1])


# -- siblings ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Sibling:
    """A product of a constant with an operand that others share, and the addition of a bias to it, where there is
    one."""

    product: Node
    bias: Node | None

    @property
    def result(self) -> Tensor:
        return (self.bias or self.product).output

    @property
    def width(self) -> int:
        return self.product.inputs[1].shape[1]

    @property
    def bias_value(self) -> np.ndarray:
        return self.bias.inputs[1].value if self.bias else np.zeros(self.width, self.product.output.dtype)


def merge_siblings(graph: Graph) -> Graph:
    """dot(x, w1) + b1, dot(x, w2) + b2 → slices of dot(x, [w1 w2]) + [b1 b2]: query, key and value projections as one
    product.

    For constant w, and where the results are only looked at by views and attention: anything else would rather be
    computed in the product's own kernel.
    """
    families = _families(graph)
    member = {sibling.result: (family, index) for family in families for index, sibling in enumerate(family)}
    made: dict[int, Tensor] = {}

    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        if len(node.outputs) != 1 or node.output not in member:
            return None
        family, index = member[node.output]
        if id(family) not in made:
            x = inputs[0].producer.inputs[0] if family[index].bias else inputs[0]
            made[id(family)] = _merged(x, family)
        y = made[id(family)]
        start = sum(sibling.width for sibling in family[:index])
        lead = (0,) * (y.rank - 1)
        return (ops.slice(y, (*lead, start), (*y.shape[:-1], start + family[index].width)),)

    return graph.rebuild(replace) if families else graph


def _families(graph: Graph) -> list[list[_Sibling]]:
    users = graph.users()
    products: dict[tuple, list[_Sibling]] = {}
    for node in graph.nodes:
        if is_linear(node):
            key = (node.inputs[0], node.inputs[1].dtype)
            products.setdefault(key, []).append(_Sibling(node, _bias(node, users)))

    def is_only_viewed(tensor: Tensor) -> bool:
        return tensor not in graph.outputs and all(reader.op in VIEWS for reader in users.get(tensor, ()))

    return [family for family in products.values() if len(family) > 1 and sum(s.width for s in family) <= SIBLING_LIMIT
            and all(is_only_viewed(s.result) for s in family)]


def _bias(node: Node, users: dict[Tensor, list[Node]]) -> Node | None:
    """The addition of a constant [N] that is the only reader of a product."""
    readers = users.get(node.output, [])
    if len(readers) == 1 and readers[0].op == "add" and readers[0].inputs[0] is node.output:
        bias = readers[0].inputs[1]
        if bias.is_constant and bias.shape == (node.output.shape[-1],):
            return readers[0]
    return None


def _merged(x: Tensor, family: Sequence[_Sibling]) -> Tensor:
    nodes = [node for sibling in family for node in (sibling.product, sibling.bias) if node]
    with provenance(*(name for node in nodes for name in node.origin)):
        weights = make_constant(np.concatenate([s.product.inputs[1].value for s in family], axis=1))
        y = ops.dot_general(x, weights, contracting=((x.rank - 1,), (0,)))
        if any(s.bias for s in family):
            y = ops.add(y, make_constant(np.concatenate([s.bias_value for s in family])))
        return y


MATMUL: Table = (
    ("dot_general", constant_right_operand),
    ("dot_general", transposed_operand),
    ("dot_general", unit_batch),
    ("dot_general", broadcast_right_operand),
    ("dot_general", transposed_before_flattening),
    ("dot_general", one_hot_product),
    ("reshape", reshape_around),
)
