"""Maps made into vectors (ai.onnx.ml). A map is two vectors here: its keys, each there once, and their values."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import DimLike, Tensor, is_string, make_constant
from dlcompile.operators.composite import composite


@composite("dict_vectorizer", rounds=False)
def dict_vectorizer(attributes, keys: Tensor, values: Tensor) -> Tensor:
    """The value of each key of the vocabulary, [1, words]; 0, or no text, where the map does not have it."""
    words = np.asarray(attributes["vocabulary"], object if is_string(keys.dtype) else np.int64)
    return _placed(values, ops.lookup(keys, words), len(words))


@composite("cast_map", rounds=False)
def cast_map(attributes, keys: Tensor, values: Tensor) -> Tensor:
    """The values as `dtype` in the order of their keys, [1, n]; or with a `size` each at the position that its key says, 0, or no text, where
    there is none, [1, size]. Keys that are no position are left out."""
    size = attributes["size"]
    values = ops.cast(values, attributes["dtype"])
    if size is not None:
        return _placed(values, keys, size)
    count = keys.shape[0]
    _, order = ops.top_k(keys, count, 0, largest=False)
    return ops.reshape(ops.gather(values, order, 0), (1, count))


def _placed(values: Tensor, positions: Tensor, size: int) -> Tensor:
    """[1, size]: values[i] at positions[i]; elsewhere 0, or no text, which comes behind the values. What lies outside goes to one place more."""
    nothing = np.array([""], object) if is_string(values.dtype) else np.zeros(1, values.dtype)
    count: DimLike = values.shape[0]
    here = ops.logical_and(ops.ge(positions, np.int64(0)), ops.lt(positions, np.int64(size)))
    places = ops.select(here, positions, make_constant(np.int64(size)))
    last = ops.reshape(ops.shape_vector((count,)), ())
    source = ops.scatter_elements(ops.broadcast_to(last, (size + 1,)), places, ops.iota(np.int64, (count,)))
    filled = ops.concatenate([values, make_constant(nothing)], 0)
    return ops.reshape(ops.gather(filled, ops.slice(source, (0,), (size,)), 0), (1, size))
