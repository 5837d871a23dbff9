"""Drawings as pixels: the elements of SVG that `utils.plotting` writes, drawn by Pillow."""
from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from dlcompile.errors import ArgumentError

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
FILLS = {"b": ("#ffffff", "#333333"), "h": ("#333333", "#333333"), "g": ("#f3f5f8", "#888899")}
"""class of a rectangle → (inside, border)"""

INK, LIGHT, LINE = "#111111", "#ffffff", "#333333"
STEPS = 16  # straight pieces of a curve
SMOOTH = 2  # pixels are drawn so many times smaller, and put together


def png(svg: str, scale: float = 1.0) -> bytes:
    """The picture, `scale` pixels for each unit of the drawing. ArgumentError where Pillow is not installed."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ArgumentError("a picture as PNG needs Pillow: pip install 'dlcompile[plot]'; as SVG it needs nothing") from None
    root = ElementTree.fromstring(svg)
    width, height = (float(n) for n in root.get("viewBox", "").split()[2:])
    unit = scale * SMOOTH
    image = Image.new("RGB", (max(1, round(width * unit)), max(1, round(height * unit))), "white")
    _Painter(ImageDraw.Draw(image), unit, ImageFont.load_default(size=12 * unit)).group(root, 0.0, 0.0)
    small = image.resize((max(1, image.width // SMOOTH), max(1, image.height // SMOOTH)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "PNG")
    return file.getvalue()


class _Painter:
    def __init__(self, draw: Any, unit: float, font: Any):
        self.draw, self.unit, self.font = draw, unit, font

    def group(self, parent: ElementTree.Element, x: float, y: float) -> None:
        """The elements of a group whose origin is at (x, y)."""
        for element in parent:
            kind = element.tag.rpartition("}")[2]
            if kind == "g":
                dx, dy = (float(n) for n in NUMBER.findall(element.get("transform", "0,0")))
                self.group(element, x + dx, y + dy)
            elif kind in ("rect", "text", "path"):
                getattr(self, kind)(element, x, y)

    def rect(self, element: ElementTree.Element, x: float, y: float) -> None:
        left, top, width, height = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
        inside, border = FILLS[element.get("class", "b")]
        corners = [(x + left) * self.unit, (y + top) * self.unit, (x + left + width) * self.unit, (y + top + height) * self.unit]
        self.draw.rounded_rectangle(corners, 3 * self.unit, fill=inside, outline=border, width=max(1, round(self.unit)))

    def text(self, element: ElementTree.Element, x: float, y: float) -> None:
        title = element.get("class") == "t"
        at = ((x + float(element.get("x", "0"))) * self.unit, (y + float(element.get("y", "0"))) * self.unit)
        self.draw.text(at, element.text or "", font=self.font, fill=LIGHT if title else INK,
                       anchor="ms" if element.get("text-anchor") == "middle" else "ls")

    def path(self, element: ElementTree.Element, x: float, y: float) -> None:
        """A line of curves, with the head of an arrow at its end."""
        points = [((x + a) * self.unit, (y + b) * self.unit) for a, b in _curve([float(n) for n in NUMBER.findall(element.get("d", ""))])]
        self.draw.line(points, fill=LINE, width=max(1, round(self.unit)), joint="curve")
        (fx, fy), (tx, ty) = points[-2], points[-1]
        length = max(((tx - fx) ** 2 + (ty - fy) ** 2) ** 0.5, 1e-6)
        ux, uy = (tx - fx) / length * 8 * self.unit, (ty - fy) / length * 8 * self.unit
        self.draw.polygon([(tx, ty), (tx - ux - uy / 2, ty - uy + ux / 2), (tx - ux + uy / 2, ty - uy - ux / 2)], fill=LINE)


def _curve(numbers: list[float]) -> Iterator[tuple[float, float]]:
    """Points along the cubic Bézier curves of a path: M x,y C x,y x,y x,y …"""
    points = list(zip(numbers[::2], numbers[1::2]))
    yield points[0]
    for k in range(0, len(points) - 3, 3):
        a, b, c, d = points[k:k + 4]
        for i in range(1, STEPS + 1):
            t = i / STEPS
            w = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3)
            yield tuple(sum(wi * p[axis] for wi, p in zip(w, (a, b, c, d))) for axis in (0, 1))
