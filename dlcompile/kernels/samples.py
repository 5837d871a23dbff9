"""Which part of a model is computed sample by sample rather than layer by layer.

    f(x: [N, …]) → scan(x; y[i] = f(x[i : i+1]))

Layer by layer, each layer reads its weights once and sends the activations of all N samples to memory, where they do not fit a cache; sample by
sample, activations stay in the cache and weights are read N times. Convolutional networks begin with large activations and small filters and
end the other way round, so the beginning is what is worth it, up to the node where the bytes read again are fewest.

The samples are the leading axis: of every tensor of that part, and no operator in it lets one of its indices see another (`RULES`). Nothing
is carried from turn to turn, so that threads take whole samples each (see `kernels.control.lower_scan`).
"""
from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from dlcompile.graph import OPERATORS, DimLike, Graph, Node, Tensor, TensorType, apply, provenance
from dlcompile.kernels import winograd
from dlcompile.kernels.target import Target

USUAL_SAMPLES = 8  # taken for a number that only a run knows
LEAST_GAIN = 0.2  # of the bytes that layer by layer would move beyond the caches
WINOGRAD_WEIGHTS = 4  # times as large as the filters that they are made of

Attributes = dict[str, Any]


def split_samples(graph: Graph, target: Target) -> Graph:
    """The graph with its beginning as a scan over samples, where that pays; the graph itself where it does not."""
    count = next((t.shape[0] for t in graph.inputs if t.rank), 1)
    if count in (0, 1) or graph.definitions:
        return graph
    single = _singles(graph, count)
    length = _best_length(graph, single, count, target)
    return _split(graph, single, graph.nodes[:length], count) if length else graph


# -- one sample -------------------------------------------------------------------------------------------------------------
def _elementwise(node: Node, many: Collection[Tensor]) -> Attributes | None:
    rank = node.output.rank
    return {} if all(t.rank == rank if t in many else t.rank < rank or t.shape[0] == 1 for t in node.inputs) else None


def _product(node: Node, many: Collection[Tensor]) -> Attributes | None:
    (contracted, _), (left, right) = node.attributes["contracting"], node.attributes["batch"]
    a, b = node.inputs
    if left:
        return {} if a in many and b in many and left[0] == right[0] == 0 else None
    return {} if a in many and b not in many and 0 not in contracted else None


def _convolution(node: Node, many: Collection[Tensor]) -> Attributes | None:
    return {} if node.inputs[0] in many and node.inputs[1] not in many else None


def _attention(node: Node, many: Collection[Tensor]) -> Attributes | None:
    return {} if all(t in many or t.rank < node.output.rank or t.shape[0] == 1 for t in node.inputs) and node.inputs[0] in many else None


def _reduction(node: Node, many: Collection[Tensor]) -> Attributes | None:
    return {} if 0 not in node.attributes["axes"] else None


def _window(node: Node, many: Collection[Tensor]) -> Attributes | None:
    a = node.attributes
    return {} if a["window"][0] == a["strides"][0] == 1 and tuple(a["padding"][0]) == (0, 0) else None


def _pad(node: Node, many: Collection[Tensor]) -> Attributes | None:
    a = node.attributes
    return {} if node.inputs[1] not in many and a["low"][0] == 0 and a["high"][0] == 0 else None


def _concatenate(node: Node, many: Collection[Tensor]) -> Attributes | None:
    return {} if node.attributes["axis"] != 0 and all(t in many for t in node.inputs) else None


def _shaped(node: Node, many: Collection[Tensor]) -> Attributes | None:
    x, shape = node.inputs[0], node.attributes["shape"]
    same = shape and x.shape[0] == shape[0] and (node.op == "reshape" or x.rank == len(shape))
    return {"shape": (1, *shape[1:])} if same else None


def _transpose(node: Node, many: Collection[Tensor]) -> Attributes | None:
    return {} if node.attributes["permutation"][0] == 0 else None


def _slice(node: Node, many: Collection[Tensor]) -> Attributes | None:
    a = node.attributes
    return {"limit": (1, *a["limit"][1:])} if a["start"][0] == 0 and a["limit"][0] == node.inputs[0].shape[0] and a["strides"][0] == 1 else None


RULES: dict[str, Callable[[Node, Collection[Tensor]], Attributes | None]] = {
    "dot_general": _product, "conv_general": _convolution, "attention": _attention, "reduce_window": _window, "pad": _pad, "concatenate": _concatenate,
    "reshape": _shaped, "broadcast_to": _shaped, "transpose": _transpose, "slice": _slice, "reverse": _reduction,
    "reduce_sum": _reduction, "reduce_max": _reduction, "reduce_min": _reduction, "reduce_prod": _reduction,
}
"""operator → (node, the tensors whose leading axis is samples) → what changes in its attributes for a single sample; None where samples meet"""


def _singles(graph: Graph, count: DimLike) -> dict[Tensor, Tensor]:
    """For each tensor that can be computed sample by sample, the tensor of one sample; its leading axis has one element."""
    def one(tensor: Tensor) -> tuple[DimLike, ...]:
        return (1, *tensor.shape[1:])

    single: dict[Tensor, Tensor] = {}
    for tensor in graph.inputs:
        if tensor.rank and tensor.shape[0] == count and all(isinstance(d, int) for d in tensor.shape[1:]):
            row = Tensor(TensorType(tensor.dtype, tensor.shape[1:]))
            single[tensor] = apply("reshape", row, shape=one(tensor))
    for node in graph.nodes:
        rule = _elementwise if OPERATORS[node.op].family == "elementwise" else RULES.get(node.op)
        if rule is None or not all(t in single or t.is_constant for t in node.inputs) or not any(t in single for t in node.inputs):
            continue
        if len(node.outputs) != 1 or not node.output.rank or node.output.shape[0] != count:
            continue
        changed = rule(node, single)
        if changed is None:
            continue
        with provenance(*node.origin):
            made = apply(node.op, *(single.get(t, t) for t in node.inputs), **{**node.attributes, **changed})
        if made.shape == one(node.output) and made.type.is_static:
            single[node.output] = made
    return single


# -- how much of it ---------------------------------------------------------------------------------------------------------
def _best_length(graph: Graph, single: dict[Tensor, Tensor], count: DimLike, target: Target) -> int:
    """How many of the nodes, in order, to compute sample by sample where they can be: the number with which the fewest bytes are moved."""
    samples = count if isinstance(count, int) else USUAL_SAMPLES
    moved = [_moved(node, single, samples, target) for node in graph.nodes]
    cost = whole = sum(layered for layered, _ in moved)
    least, length, last = (1 - LEAST_GAIN) * whole, 0, 0
    for position, (layered, sampled) in enumerate(moved, 1):
        cost += sampled - layered
        last = layered or last  # what the beginning ends with is for all samples again
        if cost + last < least:
            least, length = cost + last, position
    while 0 < length < len(moved) and moved[length] == (0, 0):
        length += 1  # what follows a product is computed with it
    return length


def _moved(node: Node, single: dict[Tensor, Tensor], samples: int, target: Target) -> tuple[int, int]:
    """Bytes beyond the caches: (activations, written and read, if the node is computed for all samples; weights if it is for one after another)."""
    if node.outputs[0] not in single or node.op not in ("dot_general", "conv_general", "reduce_window", "attention"):
        return 0, 0
    activations = samples * single[node.output].type.nbytes
    weights = sum(t.value.nbytes for t in node.inputs if t.is_constant) * (WINOGRAD_WEIGHTS if winograd.applies(node) else 1)
    return 2 * activations if activations > target.l2_bytes else 0, samples * weights


# -- the scan ---------------------------------------------------------------------------------------------------------------
def _split(graph: Graph, single: dict[Tensor, Tensor], first: Collection[Node], count: DimLike) -> Graph:
    inside = {n for n in first if n.outputs[0] in single}
    read_outside = {t for n in graph.nodes if n not in inside for t in n.inputs} | set(graph.outputs)
    results = [n.output for n in graph.nodes if n in inside and n.output in read_outside]
    rows = [apply("reshape", single[t], shape=t.shape[1:]) for t in results]
    inputs = [t for t in graph.inputs if t in single]
    body = Graph(f"{graph.name}_sample", [single[t].producer.inputs[0] for t in inputs], rows)
    with provenance(*dict.fromkeys(o for t in results for o in t.producer.origin)):
        stacks = apply("scan", *inputs, body=body, num_carry=0, num_scanned=len(inputs), length=count, reverse=False)
    by_samples = dict(zip(results, stacks))
    return graph.rebuild(lambda node, _: [by_samples[node.output]] if node in inside and node.output in by_samples else None)
