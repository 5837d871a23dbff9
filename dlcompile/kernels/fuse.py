"""Fusion: which nodes become one kernel.

Nodes are visited from the outputs back. A node joins the group of its readers when all of them are in one group and the group's form can
take it; views are never computed, so a reader behind a view counts as a reader. What is left alone is a group of its own, and its
result is stored. The three ways to join:

    map        an elementwise node (or view) into any group that reads it element by element
    row        a reduction into a group that is elementwise over what it reduces, or already reduces along the same axes
    epilogue   a tile anchor (contraction, convolution) into an elementwise group over its result
"""
from __future__ import annotations

from collections.abc import Callable

from dlcompile.graph import DEFINE, OPERATORS, Graph, Node, Tensor
from dlcompile.kernels.access import VIEWS, CannotFuse
from dlcompile.kernels.emit import is_elementwise
from dlcompile.kernels.group import EXPENSIVE, Group
from dlcompile.kernels.library import MOVES_RESULT
from dlcompile.kernels.rows import ARGUMENT_REDUCTIONS, PLAIN_REDUCTIONS

TILE, ROW, WINDOW, MAP, CUMULATIVE = "tile", "row", "window", "map", "cumulative"

WINDOWS = frozenset({"reduce_window"})
CUMULATIVES = frozenset({"cumsum", "cumprod"})
ASSEMBLED = frozenset({"pad", "concatenate"})  # results put together from pieces that may be written in place
FREE = frozenset({"iota", "dims"})  # computed wherever they are read
STEPS = frozenset({DEFINE, "cond", "while", "scan"})  # no kernels, but steps of the program (see `kernels.control`)


def form_of(node: Node, is_tile: Callable[[Node], bool]) -> str:
    """The form that compiles a node on its own; the operator's name for one that has a kernel of its own."""
    if is_elementwise(node):
        return MAP
    if node.op in PLAIN_REDUCTIONS or node.op in ARGUMENT_REDUCTIONS:
        return ROW
    if node.op in WINDOWS:
        return WINDOW
    if node.op in CUMULATIVES:
        return CUMULATIVE
    if node.op in ("dot_general", "conv_general"):
        return TILE if is_tile(node) else WINDOW
    return node.op


def is_free(node: Node) -> bool:
    """Whether a node is never stored unless somebody needs it in memory: a view, or a value that costs nothing."""
    return node.op in VIEWS or node.op in FREE


def fuse(graph: Graph, *, is_tile: Callable[[Node], bool], forced: frozenset[Tensor], can_lower: Callable[[Group], bool]) -> list[Group]:
    """The groups of a graph, each after the groups it reads from.

    forced: tensors that must be stored (operands that a kernel reads through a pointer, graph outputs).
    can_lower: whether a tentative group can be one kernel.
    """
    readers = graph.users()
    group_of: dict[Node, Group] = {}

    def groups_reading(node: Node) -> set[Group | None]:
        """The groups that read a node's results, through views that are not groups themselves; None stands for "must be stored"."""
        found: set[Group | None] = set()
        for tensor in node.outputs:
            if tensor in forced:
                found.add(None)
            for reader in readers.get(tensor, ()):
                if reader in group_of:
                    found.add(group_of[reader])
                elif is_free(reader):
                    found |= groups_reading(reader)
        return found

    def views_between(node: Node, group: Group) -> set[Node]:
        found: set[Node] = set()
        for tensor in node.outputs:
            for reader in readers.get(tensor, ()):
                if reader not in group_of and is_free(reader):
                    found |= {reader} | views_between(reader, group)
        return found

    for node in reversed(graph.nodes):
        if is_free(node) and not any(t in forced for t in node.outputs):
            continue
        form = form_of(node, is_tile)
        reading = groups_reading(node)
        if len(reading) == 1 and None not in reading and len(node.outputs) == 1:
            (group,) = reading
            between = views_between(node, group)
            if _may_join(node, form, group, between) and _try(node, form, group, between, can_lower):
                for joined in {node} | between:
                    group_of[joined] = group
                continue
        anchors = [] if form == MAP else [node]
        group_of[node] = Group(form, {node}, node.outputs, anchors)
    groups = list(dict.fromkeys(group_of.values()))
    for group in groups:
        _take_views(group)
    position = {node: index for index, node in enumerate(graph.nodes)}
    return sorted(groups, key=lambda g: position[g.outputs[0].producer])


def _take_views(group: Group) -> None:
    """Add the views and free values a group computes for itself; several groups may have the same ones."""
    waiting = list(group.nodes)
    while waiting:
        for tensor in waiting.pop().inputs:
            producer = tensor.producer
            if producer is not None and producer not in group.nodes and is_free(producer):
                group.nodes.add(producer)
                waiting.append(producer)


def _may_join(node: Node, form: str, group: Group, between: set[Node]) -> bool:
    """Whether joining makes sense, as far as can be seen without lowering."""
    if group.form not in (MAP, ROW, WINDOW, TILE):
        return False
    if any(n.op in ASSEMBLED for n in _direct_readers(node, between, group)):
        return False  # written in place there, it costs nothing (see `kernels.place`)
    if node.op in ASSEMBLED:
        made_by = {t.producer for t in node.inputs if t.producer is not None}
        return group.form == MAP and not group.anchors and all(is_elementwise(n) for n in made_by) and not _computed_again(node, group)
    if form == MAP:
        if any(a in _direct_readers(node, between, group) for a in group.anchors if group.form == TILE):
            return False  # a tile operation reads memory
        if group.form == WINDOW and any(a in _direct_readers(node, between, group) for a in group.anchors):
            return node.op == "cast"  # a window's elements are read several times
        return not _computed_again(node, group)
    if form == ROW:
        if node.op in ARGUMENT_REDUCTIONS:
            return group.form == MAP and not group.anchors
        return group.form in (MAP, ROW) and all(a.op in PLAIN_REDUCTIONS and _same_reduction(a, node) for a in group.anchors)
    if form in (TILE, WINDOW):
        return group.form == MAP and not group.anchors
    if form in MOVES_RESULT:
        return all(n.op in VIEWS for n in group.nodes)
    return False


def _direct_readers(node: Node, between: set[Node], group: Group) -> set[Node]:
    tensors = {t for n in {node} | between for t in n.outputs}
    return {n for n in group.nodes if any(t in tensors for t in n.inputs)}


def _computed_again(node: Node, group: Group) -> bool:
    """Whether the group would compute an element of `node` several times: it is broadcast there, and worth more than a load."""
    size = node.output.type.size
    for reader in group.nodes:
        if node.output in reader.inputs and OPERATORS[reader.op].family == "elementwise" and reader.output.type.size != size:
            return not _between_reductions(node, reader.output.type.size)
    for reader in group.nodes:
        if reader.op == "broadcast_to" and node.output in reader.inputs and reader.output.type.size != size:
            return not _between_reductions(node, reader.output.type.size)
        if reader.op in ("gather", "gather_nd", "take_along_axis", "slice") and node.output is reader.inputs[0]:
            return node.op in EXPENSIVE
    return False


def _between_reductions(node: Node, full_size) -> bool:
    """Whether `node` is computed from reductions of tensors of the given size: then it is computed once a row, between the phases."""
    size = node.output.type.size
    waiting, seen = [node], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.op in PLAIN_REDUCTIONS:
            if current.inputs[0].type.size == full_size:
                return True
            continue
        if is_elementwise(current) and current.output.type.size == size:
            waiting += [t.producer for t in current.inputs if t.producer is not None]
    return False


def _same_reduction(a: Node, b: Node) -> bool:
    return a.inputs[0].shape == b.inputs[0].shape and set(a.attributes["axes"]) == set(b.attributes["axes"])


MOST_NODES = 64  # of a kernel: the C compiler's time grows faster than a function, and expressions are as deep as chains are long


def _try(node: Node, form: str, group: Group, between: set[Node], can_lower: Callable[[Group], bool]) -> bool:
    """Join, and undo it where the group cannot be lowered then."""
    if len(group.nodes) + len(between) >= MOST_NODES:
        return False
    before = (group.form, set(group.nodes), list(group.anchors))
    group.nodes |= {node} | between
    if form != MAP:
        group.anchors.append(node)
        group.form = form
    try:
        if can_lower(group):
            return True
    except CannotFuse:
        pass
    group.form, group.nodes, group.anchors = before
    return False
