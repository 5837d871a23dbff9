"""Packing at run time: the right operand of a product of two activations, laid out for the tile that will read it."""
from __future__ import annotations

from dlcompile.graph import DimLike, Node, ceildiv, symbol
from dlcompile.kernels.access import Storage, delinearize
from dlcompile.kernels.contraction import FLOAT32, Contraction, Packing
from dlcompile.kernels.emit import Parameters, less
from dlcompile.kernels.group import Lowered, finish, worth_sharing
from dlcompile.kernels.ir import Address, Apply, Expression, Invoke, Load, Number, Store
from dlcompile.kernels.nest import Axis, Block, nest, split


def lower_packing(packing: Packing, contraction: Contraction, width: int, target: Storage, node: Node) -> Lowered:
    """One panel of `width` columns of one matrix for each iteration, or of its rows along the last contracted run: [batch][panels][depth][width],
    zeros after the last column."""
    parameters = Parameters()
    source, packed = parameters.read(packing.source.argument, FLOAT32), parameters.write(target.argument, FLOAT32)
    columns, rows = contraction.width, packing.depth[-1]
    panels = ceildiv(columns, width)
    panel = symbol("nb", panels) if panels != 1 else 0
    index, place = packing.base, 0
    for run in packing.batch:
        coordinate = run.symbol if run.extent != 1 else 0
        index, place = coordinate * run.stride + index, place * run.extent + coordinate
    place = place * panels + panel
    for run in packing.depth[:-1]:
        coordinate = run.symbol if run.extent != 1 else 0
        index, place = coordinate * run.stride + index, place * run.extent + coordinate
    axes = [Axis(run.name, run.extent) for run in packing.batch] + [Axis("nb", panels)] + [Axis(run.name, run.extent) for run in packing.depth[:-1]]
    axes = [axis for axis in axes if axis.extent != 1]
    place = place * (rows.extent * width)
    parallel = worth_sharing(columns * contraction.depth * (panels if isinstance(panels, int) else 64)) and bool(axes)
    if len(packing.columns) <= 1:
        stride = packing.columns[0].stride if packing.columns else 1
        body: Block = (Invoke("dlc_pack_panel", (Address(source, index + panel * width * stride), rows.stride, stride, rows.extent, columns - panel * width,
                                                 width, Address(packed, place)), "dlc_pack.h"),)
    else:
        body = _scattered(packing, panel * width, columns, width, source, index, packed, place)
    return finish(parameters, nest(tuple(axes), body, parallel=parallel, vector=False), "pack", parallel)


def _scattered(packing: Packing, first: DimLike, columns: DimLike, width: int, source: str, index: DimLike, packed: str, place: DimLike) -> Block:
    """A panel whose columns do not lie at equal distances, element by element."""
    rows, j = packing.depth[-1], symbol("j", width)
    k = rows.symbol if rows.extent != 1 else 0
    at = delinearize(first + j, tuple(run.extent for run in packing.columns))
    load: Expression = Load(source, index + k * rows.stride + sum((c * run.stride for c, run in zip(at, packing.columns)), 0), FLOAT32)
    inside = less(first + j, columns)
    value = load if inside is None else Apply("select", (inside, load, Number(0.0, FLOAT32)), FLOAT32)
    axes = tuple(axis for axis in (Axis(rows.name, rows.extent), Axis("j", width)) if axis.extent != 1)
    return nest(*split(axes, (Store(packed, place + k * width + j, value),)), parallel=False)
