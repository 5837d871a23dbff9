"""Reading between pixels and in regions, transforms and determinants as the ONNX operators they are; windows undone as what they are made of."""
from __future__ import annotations

import numpy as np

from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node


def _named(op_type: str, since: int, *attributes: str):
    def row(writer: Writer, node: Node, *names: str) -> str:
        given = {key: node.attributes[key] for key in attributes}
        return writer.emit(op_type, names, **{k: list(v) if isinstance(v, tuple) else v for k, v in given.items()})

    return since, row


ROWS = {
    "grid_sample": _named("GridSample", 20, "mode", "padding_mode", "align_corners"),
    "roi_align": _named("RoiAlign", 16, "mode", "output_height", "output_width", "sampling_ratio", "spatial_scale", "coordinate_transformation_mode"),
    "max_roi_pool": _named("MaxRoiPool", 1, "pooled_shape", "spatial_scale"),
    "det": _named("Det", 11),
}
for _name, (_since, _row) in ROWS.items():
    exporter(_name, since=_since)(_row)


@exporter("dft", since=20)
def dft(writer: Writer, node: Node, x: str) -> str:
    return writer.emit("DFT", [x, "", writer.constant(np.int64(node.attributes["axis"]))], inverse=int(node.attributes["inverse"]))


@exporter("deform_conv", since=19)
def deform_conv(writer: Writer, node: Node, x: str, w: str, offset: str, *rest: str) -> str:
    a, rest = node.attributes, list(rest)
    bias = [rest.pop(0)] if a["has_bias"] else [""] if rest else []
    return writer.emit("DeformConv", [x, w, offset, *bias, *rest], group=a["group"], offset_group=a["offset_group"], strides=list(a["strides"]),
                       dilations=list(a["dilations"]), pads=list(a["pads"]))


@exporter("col2im", since=18)
def col2im(writer: Writer, node: Node, x: str) -> str:
    a = node.attributes
    return writer.emit("Col2Im", [x, writer.shape(a["image_shape"]), writer.shape(a["block_shape"])], strides=list(a["strides"]),
                       dilations=list(a["dilations"]), pads=list(a["pads"]))


@exporter("max_unpool", "max_pool_indices")
def decomposed(writer: Writer, node: Node, *names: str) -> str:
    """MaxUnpool wants the pooling that it undoes, and Indices come with a MaxPool."""
    return writer.decomposed(node)
