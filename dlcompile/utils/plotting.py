"""Drawings of models: a box for each layer, arrows from what it is given to what it gives. SVG, drawn here, without other programs, or PNG."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from dlcompile import activations, tree
from dlcompile.errors import ArgumentError
from dlcompile.layers import InputLayer, KerasTensor, Layer, OpsFunction
from dlcompile.layers.symbolic import Operation
from dlcompile.models import Model
from dlcompile.models.files import write_whole
from dlcompile.utils.layout import layout
from dlcompile.utils.raster import png

CHARACTER, LINE, MARGIN = 7.3, 16.0, 8.0
"""pixels: the width of a character of the font, the height of a line, the room around a text"""

STYLE = ("text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#111}.t{font-weight:bold;fill:#fff}rect{fill:#fff;stroke:#333}"
         ".h{fill:#333}.g{fill:#f3f5f8;stroke:#889}path{fill:none;stroke:#333}")
ARROW = ('<marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
         '<path d="M0,0L8,4L0,8z" style="fill:#333"/></marker>')


@dataclass(frozen=True)
class Options:
    """What a drawing shows."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool
    nested: bool
    sideways: bool


@dataclass
class Box:
    """A box with a title, lines of text, and where it is a model that is drawn too, what is inside."""

    title: str
    lines: list[str]
    inside: Drawing | None = None

    @property
    def size(self) -> tuple[float, float]:
        text = max(map(len, [self.title, *self.lines])) * CHARACTER + 2 * MARGIN
        width, height = text, LINE * (1 + len(self.lines)) + MARGIN * (2 if self.lines else 1)
        if self.inside is not None:
            width, height = max(width, self.inside.width + 2 * MARGIN), height + self.inside.height + 2 * MARGIN
        return width, height

    def svg(self, x: float, y: float) -> str:
        """The box with its upper left corner at (x, y)."""
        width, height = self.size
        head = LINE + MARGIN
        parts = [_rectangle("g" if self.inside is not None else "b", x, y, width, height), _rectangle("h", x, y, width, head),
                 f'<text class="t" x="{x + width / 2:.1f}" y="{y + LINE:.1f}" text-anchor="middle">{escape(self.title)}</text>']
        for i, line in enumerate(self.lines):
            parts.append(f'<text x="{x + MARGIN:.1f}" y="{y + head + LINE * (i + 1):.1f}">{escape(line)}</text>')
        if self.inside is not None:
            top = y + height - self.inside.height - MARGIN
            parts.append(f'<g transform="translate({x + (width - self.inside.width) / 2:.1f},{top:.1f})">{self.inside.svg}</g>')
        return "".join(parts)


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"/>'


@dataclass
class Drawing:
    """The elements of a drawing, and how large it is."""

    svg: str
    width: float
    height: float


def plot_model(model: Model, to_file: str | os.PathLike = "model.svg", show_shapes: bool = False, show_dtype: bool = False,
               show_layer_names: bool = False, rankdir: str = "TB", expand_nested: bool = False, dpi: int = 96,
               show_layer_activations: bool = False, show_trainable: bool = False, **kwargs) -> Path:
    """Draw a model as SVG or, for a file called .png, as a picture (with Pillow, the extra dlcompile[plot]), and return the path of the file.

    show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what is written into the boxes besides the class of
    the layer. rankdir: "TB", from the top down, or "LR", from left to right. expand_nested: models in the model are drawn inside of their
    boxes. dpi: how large the picture is, 96 for the size of the text on the page. ArgumentError for a file that is neither .svg nor .png, and for a
    model that does not know what its layers are connected to.
    """
    path = Path(to_file)
    if kwargs:
        raise ArgumentError(f"plot_model has no argument {', '.join(map(repr, kwargs))}")
    if path.suffix.lower() not in (".svg", ".png"):
        raise ArgumentError(f"{path}: a model is drawn as .svg, which any browser shows, or as .png")
    if rankdir not in ("TB", "LR"):
        raise ArgumentError(f"rankdir is 'TB' or 'LR', not {rankdir!r}")
    options = Options(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested, rankdir == "LR")
    drawing = drawn(model, options)
    scale = dpi / 96
    width, height = drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN
    text = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * scale:.0f}" height="{height * scale:.0f}" '
            f'viewBox="0 0 {width:.1f} {height:.1f}">'
            f'<title>{escape(model.name)}</title><style>{STYLE}</style><defs>{ARROW}</defs>'
            f'<g transform="translate({MARGIN},{MARGIN})">{drawing.svg}</g></svg>\n')
    write_whole(path, text.encode() if path.suffix.lower() == ".svg" else png(text, scale))
    return path


def drawn(model: Model, options: Options) -> Drawing:
    """A model as boxes and arrows."""
    network = model._network
    if network is None:
        raise ArgumentError(f"model {model.name!r} is a class of its own, or has not been told the shape of its input: what its layers are connected to is "
                            "known of functional and sequential models alone")
    boxes = {operation: _box(operation, options) for operation in network.operations}
    own = set(network.calls)
    edges = [(tensor.history[0].operation, call.operation) for call in network.calls for tensor in call.inputs if tensor.history[0] in own]
    edges = [edge for edge in dict.fromkeys(edges) if edge[0] is not edge[1] and not _leads_back(edge, edges)]
    sizes = {operation: box.size[::-1] if options.sideways else box.size for operation, box in boxes.items()}
    found = layout(sizes, edges)
    parts = []
    for operation, box in boxes.items():
        (x, y), (width, height) = found.centers[operation][::-1] if options.sideways else found.centers[operation], box.size
        parts.append(box.svg(x - width / 2, y - height / 2))
    for a, b in edges:
        points = [_end(found.centers[a], sizes[a], 1), *found.bends[a, b], _end(found.centers[b], sizes[b], -1)]
        parts.append(f'<path marker-end="url(#a)" d={quoteattr(_curve(points, options.sideways))}/>')
    width, height = (found.height, found.width) if options.sideways else (found.width, found.height)
    return Drawing("".join(parts), width, height)


def _leads_back(edge: tuple, edges: Sequence[tuple]) -> bool:
    """Whether what an edge leads to comes before what it comes from: of a layer that is called on what was made of its own result."""
    before: dict[Any, set] = {}
    for a, b in edges[:edges.index(edge)]:
        before.setdefault(a, set()).add(b)
    todo, seen = [edge[1]], set()
    while todo:
        node = todo.pop()
        if node is edge[0]:
            return True
        if node not in seen:
            seen.add(node)
            todo += before.get(node, ())
    return False


def _end(center: tuple[float, float], size: tuple[float, float], side: int) -> tuple[float, float]:
    """Where an edge leaves a box (1: below) or comes to it (-1: above)."""
    return center[0], center[1] + side * size[1] / 2


def _curve(points: Sequence[tuple[float, float]], sideways: bool) -> str:
    """A line through points that leaves each of them straight on."""
    def text(*pairs: tuple[float, float]) -> str:
        return " ".join(f"{y:.1f},{x:.1f}" if sideways else f"{x:.1f},{y:.1f}" for x, y in pairs)

    path = f"M{text(points[0])}"
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        middle = (y0 + y1) / 2
        path += f"C{text((x0, middle), (x1, middle), (x1, y1))}"
    return path


# -- what is in a box ---------------------------------------------------------------------------------------------------------
def _box(operation: Operation, options: Options) -> Box:
    kind = operation.function.__name__ if isinstance(operation, OpsFunction) else type(operation).__name__
    kind = "Functional" if kind == "Model" else kind
    lines = []
    if options.shapes or options.dtype:
        call = operation._calls[-1]
        given = [] if isinstance(operation, InputLayer) else [("in", call.inputs)]
        for what, tensors in (*given, ("out", call.outputs)):
            leaves = [t for t in tree.flatten(tensors) if isinstance(t, KerasTensor)]
            lines += [f"{what + ':' if i == 0 else '':<4} {_type_text(t, options)}" for i, t in enumerate(leaves)]
    activation = getattr(operation, "activation", None)
    if options.activations and activation is not None:
        lines.append(f"activation: {getattr(activation, '__name__', type(activation).__name__)}"
                     if activation is not activations.linear else "activation: none")
    if options.trainable and isinstance(operation, Layer) and operation.weights:
        lines.append(f"trainable: {'yes' if operation.trainable else 'no'}")
    inside = drawn(operation, options) if options.nested and isinstance(operation, Model) and operation._network is not None else None
    return Box(f"{operation.name} ({kind})" if options.names else kind, lines, inside)


def _type_text(tensor: KerasTensor, options: Options) -> str:
    shape = str(tensor.shape) if options.shapes else ""
    return " ".join(part for part in (tensor.dtype if options.dtype else "", shape) if part)


__all__ = ["plot_model"]
