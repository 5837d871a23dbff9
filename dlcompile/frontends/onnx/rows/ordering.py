"""Order and selection: the k largest, what is not zero, what is different, the best of boxes that overlap."""
from __future__ import annotations

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.shapes import as_axis, assume_equal
from dlcompile.graph import DimLike, Tensor, dim_min, make_constant


@importer("TopK")
def top_k_by_attribute(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor]:
    return _top_k(node, x, node["k"])


@importer("TopK", since=10)
def top_k(node: OnnxNode, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Where the order is free (`sorted` is 0) it is the same as where it is not."""
    _one_number(k, "k")
    return _top_k(node, x, ops.dim_of(_known(k)))


def _top_k(node: OnnxNode, x: Tensor, k: DimLike) -> tuple[Tensor, Tensor]:
    axis = as_axis(node["axis"], x.rank)
    if isinstance(k, int) and (k < 0 or (isinstance(x.shape[axis], int) and k > x.shape[axis])):
        raise InvalidModelError(f"k is {k}; axis {axis} of {x.type} has not as many")
    return ops.top_k(x, k, axis, largest=bool(node.get("largest", 1)))


def _one_number(tensor: Tensor, what: str) -> None:
    assume_equal(tensor.type.size, 1, f"{what} must be one number:")


def _known(tensor: Tensor) -> Tensor:
    """The tensor as a constant where it depends on constants only: what is selected has a static size then."""
    value = None if tensor.known is not None else constant_value(tensor)
    return tensor if value is None else make_constant(value)


@importer("NonZero", since=9)
def non_zero(node: OnnxNode, x: Tensor) -> Tensor:
    """The indices of the elements that are not zero, [rank, count]."""
    return ops.nonzero(_known(x))


@importer("Compress", since=9)
def compress(node: OnnxNode, x: Tensor, condition: Tensor) -> Tensor:
    """The slices where the condition, which may be shorter than the axis, holds."""
    if condition.rank != 1:
        raise InvalidModelError(f"the condition is {condition.type}; expected a vector")
    axis = None if node["axis"] is None else as_axis(node["axis"], x.rank)
    length, extent = condition.shape[0], x.type.size if axis is None else x.shape[axis]
    assume_equal(dim_min(length, extent), length, "the condition is longer than what it chooses from:")
    return ops.compress(_known(condition), x, axis)


@importer("Unique", since=11)
def unique(node: OnnxNode, x: Tensor) -> tuple[Tensor, ...]:
    axis = node["axis"]
    return ops.unique(x, None if axis is None else as_axis(axis, x.rank), sorted=bool(node["sorted"]))


@importer("NonMaxSuppression", since=10)
def non_max_suppression(node: OnnxNode, boxes: Tensor, scores: Tensor, most: Tensor | None = None,
                        iou_threshold: Tensor | None = None, score_threshold: Tensor | None = None) -> Tensor:
    """Without a number of boxes none is selected."""
    names = ("max_output_boxes_per_class", "iou_threshold", "score_threshold")
    for what, tensor in zip(names, (most, iou_threshold, score_threshold)):
        if tensor is not None:
            _one_number(tensor, what)
    return ops.non_max_suppression(boxes, scores, 0 if most is None else _known(most),
                                   0.0 if iou_threshold is None else iou_threshold, score_threshold,
                                   bool(node["center_point_box"]))
