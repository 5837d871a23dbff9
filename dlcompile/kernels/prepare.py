"""What a graph needs before it can be cut into kernels. Graph → graph, and still the same model:

    float16 → float32        16-bit floats are storage; arithmetic is done in float32 and rounded after each operator
    conv(x, pad) → conv(pad(x))      padding is explicit, so that it can be written in place
    channels_first → channels_last   for convolutions that no transform has moved
    lstm(x, …) → lstm_sequence(x·W + b, …)     input products of all steps at once (see `kernels.recurrence`)
    constant of strings → make_strings(offsets, bytes)   weights have no pointers in them
    output that is no value of its own → copy     inputs, constants and repeated outputs get a kernel that writes them
"""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import DEFINE, OPERATORS, Graph, Node, Tensor, apply, is_half, is_string, make_constant, provenance, remake
from dlcompile.kernels.recurrence import split_recurrent
from dlcompile.kernels.target import Target

FLOAT32 = np.dtype(np.float32)


def prepare(graph: Graph, target: Target) -> Graph:
    """The graph in the form the scheduler takes."""
    graph = compute_in_float32(graph)
    graph = split_recurrent(graph, target)
    graph = graph.rebuild(Convolutions())
    return store_strings(own_outputs(graph))


NOT_ROUNDED = frozenset({"neg", "abs", "sign", "floor", "ceil", "round", "maximum", "minimum", "select", "reduce_max", "reduce_min", "reduce_window",
                         "sort", "top_k"})
"""operators whose 16-bit results are among their operands, or need no more bits than they have"""

MOVES = ("movement", "indexing", "order")  # families of operators that compute nothing


def compute_in_float32(graph: Graph) -> Graph:
    """f(x: float16) → float16(f(float32(x))): what computes does so in float32 and rounds once, at its end. Between operators values are
    float32 again, so that only the rounding is left of it. Operators are those of the model: values that only nodes of the same origin
    read, such as a product before its bias is added, are not rounded."""
    if not any(is_half(t.dtype) for n in graph.nodes for t in (*n.inputs, *n.outputs)):
        return graph
    narrow: dict[Tensor, Tensor] = {}  # as the graph has it
    wide: dict[Tensor, Tensor] = {}
    loose: set[Tensor] = set()  # those that are not rounded
    readers = graph.users()

    def is_inside(tensor: Tensor, origin: tuple[str, ...]) -> bool:
        read = readers.get(tensor, ())
        return bool(origin and read) and tensor not in graph.outputs and all(n.origin == origin for n in read)

    def widened(tensor: Tensor) -> Tensor:
        if tensor not in wide:
            here = narrow.get(tensor, tensor)
            if not is_half(tensor.dtype):
                wide[tensor] = here
            elif tensor.is_constant:
                wide[tensor] = make_constant(tensor.value.astype(np.float32))
            else:
                wide[tensor] = apply("cast", here, dtype=FLOAT32)
        return wide[tensor]

    def narrowed(tensor: Tensor) -> Tensor:
        if tensor not in narrow:
            here = wide.get(tensor, tensor)
            narrow[tensor] = here if here.dtype == tensor.dtype else apply("cast", here, dtype=tensor.dtype)
        return narrow[tensor]

    def computed(node: Node) -> None:
        if node.op == "cast" and is_half(node.output.dtype) and not is_half(node.inputs[0].dtype):
            narrow[node.output] = apply("cast", widened(node.inputs[0]), dtype=node.output.dtype)  # from doubles too it rounds once
            wide[node.output] = apply("cast", narrow[node.output], dtype=FLOAT32)
            return
        attributes = {k: FLOAT32 if isinstance(v, np.dtype) and is_half(v) else v for k, v in node.attributes.items()}
        inputs = [widened(t) for t in node.inputs]
        if node.op == "cast" and attributes["dtype"] == inputs[0].dtype:
            made = (inputs[0],)
        else:
            made = apply(node.op, *inputs, **attributes)
            made = made if isinstance(made, tuple) else (made,)
        exact = node.op in NOT_ROUNDED or OPERATORS[node.op].family in MOVES or node.op == "cast" and is_half(node.inputs[0].dtype) \
            and node.output.dtype == node.inputs[0].dtype
        exact = exact and loose.isdisjoint(node.inputs)
        for old, new in zip(node.outputs, made, strict=True):
            if is_half(old.dtype) and not exact and node.op != "cast" and is_inside(old, node.origin):
                loose.add(old)
            elif is_half(old.dtype) and not exact:
                narrow[old] = apply("cast", new, dtype=old.dtype)
                new = apply("cast", narrow[old], dtype=FLOAT32)
            wide[old] = new

    for node in graph.nodes:
        with provenance(*node.origin):
            if node.op == "bitcast" or any(isinstance(v, Graph) for v in node.attributes.values()):
                made = apply(node.op, *(narrowed(t) for t in node.inputs), **node.attributes)
                narrow.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True))
            else:
                computed(node)
    outputs = [narrowed(t) if t.producer is not None else t for t in graph.outputs]
    return graph.with_outputs(outputs, {s: widened(t) for s, t in graph.definitions.items()})


class Convolutions:
    """conv(x; padding) → conv(pad(x)), and channels_first → transpose, channels_last, transpose. What several convolutions pad alike is padded once:
    a layer and the derivative by its filters."""

    def __init__(self):
        self._padded: dict[tuple, Tensor] = {}

    def __call__(self, node: Node, inputs: tuple[Tensor, ...]):
        if node.op != "conv_general":
            return None
        x, w = inputs
        attributes = dict(node.attributes)
        if attributes["layout"] == "channels_last":
            return (self._explicit(x, w, attributes),)
        spatial = list(range(2, x.rank))
        attributes["layout"] = "channels_last"
        last = ops.transpose(x, (0, *spatial, 1))
        kernel = ops.transpose(w, (*spatial, 1, 0)) if not w.is_constant else make_constant(
            np.ascontiguousarray(w.value.transpose(*spatial, 1, 0)))
        y = self._explicit(last, kernel, attributes)
        return (ops.transpose(y, (0, x.rank - 1, *range(1, x.rank - 1))),)

    def _explicit(self, x: Tensor, w: Tensor, attributes: dict) -> Tensor:
        padding = attributes["padding"]
        if all(p == (0, 0) for p in padding) or any(d != 1 for d in attributes["lhs_dilation"]):
            return apply("conv_general", x, w, **attributes)
        attributes["padding"] = tuple((0, 0) for _ in padding)
        return apply("conv_general", self._pad(x, (0, *(p[0] for p in padding), 0), (0, *(p[1] for p in padding), 0)), w, **attributes)

    def _pad(self, x: Tensor, low: tuple, high: tuple) -> Tensor:
        """x with zeros around it. Where batch and channels have changed places, as they have in the derivative by filters, images are padded as they
        lie: pad(transpose(x)) → transpose(pad(x))."""
        if x.op == "transpose" and x.producer.attributes["permutation"] == (exchange := (x.rank - 1, *range(1, x.rank - 1), 0)):
            return ops.transpose(self._pad(x.producer.inputs[0], low, high), exchange)
        key = (x, low, high)
        if key not in self._padded:
            self._padded[key] = ops.pad(x, make_constant(np.zeros((), x.dtype)), low, high)
        return self._padded[key]


def store_strings(graph: Graph) -> Graph:
    """constant of strings → make_strings(offsets, bytes)"""
    made: dict[Tensor, Tensor] = {}

    def stored(tensor: Tensor) -> Tensor:
        if not tensor.is_constant or not is_string(tensor.dtype):
            return tensor
        if tensor not in made:
            made[tensor] = apply("make_strings", *ops.encoded(tensor.value), shape=tensor.shape)
        return made[tensor]

    def replace(node: Node, inputs: tuple[Tensor, ...]):
        new = tuple(map(stored, inputs))
        return remake(node, new) if new != inputs else None

    return graph.rebuild(replace)


def own_outputs(graph: Graph) -> Graph:
    """Every output is computed by a node that writes where it is told (a loop does not), and no two are the same value."""
    seen: set[Tensor] = set()
    outputs = []
    for tensor in graph.outputs:
        if tensor.producer is None or tensor in seen or tensor.op in (DEFINE, "while", "scan"):
            tensor = apply("reshape", tensor, shape=tensor.shape)
        seen.add(tensor)
        outputs.append(tensor)
    return graph.with_outputs(outputs)


