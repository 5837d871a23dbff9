"""Packing at run time: the right operand of a product of two activations, laid out for the tile that will read it."""
from __future__ import annotations

from dlcompile.graph import Node, ceildiv, symbol
from dlcompile.kernels.access import Storage
from dlcompile.kernels.contraction import FLOAT32, Contraction, Packing
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Lowered, finish, worth_sharing
from dlcompile.kernels.ir import Address, Invoke
from dlcompile.kernels.nest import Axis, nest


def lower_packing(packing: Packing, contraction: Contraction, width: int, target: Storage, node: Node) -> Lowered:
    """One panel of `width` columns of one matrix for each iteration: [batch][panels][depth][width], zeros after the last column."""
    parameters = Parameters()
    source, packed = parameters.read(packing.source.argument, FLOAT32), parameters.write(target.argument, FLOAT32)
    depth, columns = contraction.depth, contraction.width
    panels = ceildiv(columns, width)
    panel = symbol("nb", panels) if panels != 1 else 0
    index, matrix = packing.base, 0
    axes = []
    for run in packing.batch:
        coordinate = run.symbol if run.extent != 1 else 0
        index = coordinate * run.stride + index
        matrix = matrix * run.extent + coordinate
        if run.extent != 1:
            axes.append(Axis(run.name, run.extent))
    if panels != 1:
        axes.append(Axis("nb", panels))
    first = panel * width
    call = Invoke("dlc_pack_panel", (
        Address(source, index + first * packing.n_stride), packing.k_stride, packing.n_stride, depth, columns - first, width,
        Address(packed, (matrix * panels + panel) * (depth * width))), "dlc_pack.h")
    parallel = worth_sharing(contraction.width * contraction.depth * (panels if isinstance(panels, int) else 64)) and bool(axes)
    return finish(parameters, nest(tuple(axes), (call,), parallel=parallel, vector=False), "pack", parallel)
