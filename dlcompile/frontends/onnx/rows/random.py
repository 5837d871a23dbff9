"""Random operators. A compiled model draws the same numbers each time it runs (ONNX leaves that open).

With a seed they are those that ONNX's reference evaluator draws: the Mersenne Twister, one number after the other.
Without one they are Threefry's, computed in parallel, with a key made from the node's name (operator and position where
it has none): nodes draw different numbers, and the same model the same ones wherever it is compiled. In the body of a
loop every turn draws the same numbers.
"""
from __future__ import annotations

import hashlib
import math

import numpy as np

from dlcompile import ops
from dlcompile.errors import DTypeError, InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.rows.elementwise import scalar
from dlcompile.graph import Shape, Tensor, is_float, make_constant


def _seed(node: OnnxNode) -> int | None:
    """The seed as the reference evaluator takes it; None where there is none."""
    seed = node["seed"]
    if seed is None or isinstance(seed, float) and math.isnan(seed):
        return None
    if math.isinf(seed):
        raise InvalidModelError(f"the seed is {seed}")
    return int(seed)


def _key(node: OnnxNode) -> Tensor:
    """A key of the node's own: of its seed, or of its name."""
    seed = _seed(node)
    text = node.name if seed is None else f"seed {seed}"
    return ops.random_key(int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little"))


def _uniform(node: OnnxNode, shape: Shape, dtype) -> Tensor:
    """Uniform in [0, 1): float64 where there is a seed, else of the type."""
    seed = _seed(node)
    return ops.random_uniform(_key(node), shape, dtype) if seed is None else ops.mt19937_uniform(seed, shape)


def _draw(node: OnnxNode, shape: Shape, dtype: np.dtype) -> Tensor:
    """The numbers that the node's operator and attributes ask for."""
    if not is_float(dtype):
        raise DTypeError(f"random numbers of type {dtype}; expected floats")
    seed = _seed(node)
    if node.op_type.startswith("RandomUniform"):
        numbers, factor, offset = _uniform(node, shape, dtype), node["high"] - node["low"], node["low"]
    else:
        numbers = ops.random_normal(_key(node), shape, dtype) if seed is None else ops.mt19937_normal(seed, shape)
        factor, offset = node["scale"], node["mean"]
    numbers = ops.cast(numbers, dtype)
    return ops.add(ops.mul(numbers, scalar(factor, numbers)), scalar(offset, numbers))


@importer("RandomUniform", "RandomNormal")
def random_of_shape(node: OnnxNode) -> Tensor:
    shape = node["shape"]
    if any(n < 0 for n in shape):
        raise InvalidModelError(f"the shape is {list(shape)}")
    return _draw(node, shape, element_type(node["dtype"], "dtype"))


def _type_or(node: OnnxNode, x: Tensor) -> np.dtype:
    return x.dtype if node["dtype"] is None else element_type(node["dtype"], "dtype")


@importer("RandomUniformLike", "RandomNormalLike")
def random_like(node: OnnxNode, x: Tensor) -> Tensor:
    """As many as x has elements, of its type where none is given."""
    return _draw(node, x.shape, _type_or(node, x))


@importer("Bernoulli", since=15)
def bernoulli(node: OnnxNode, x: Tensor) -> Tensor:
    """1 with probability x, from one uniform number u for each element: u > 1 - x for x <= 1/2, else u <= x. (With a
    seed that is what the reference evaluator draws as long as no probability is 0: for those it draws no number.)"""
    u = _uniform(node, x.shape, np.float64 if x.dtype == np.float64 else np.float32)
    p = ops.cast(x, u.dtype)
    rare = ops.le(p, scalar(0.5, p))
    return ops.cast(ops.select(rare, ops.gt(u, ops.sub(scalar(1, p), p)), ops.le(u, p)), _type_or(node, x))


@importer("Multinomial", since=7)
def multinomial(node: OnnxNode, x: Tensor) -> Tensor:
    """`sample_size` classes [batch, samples] drawn by unnormalised log-probabilities [batch, classes]: the first class
    up to which the probabilities add up to more than a uniform number. Threefry's numbers, with a seed or without."""
    if x.rank != 2:
        raise InvalidModelError(f"the probabilities are {x.type}; expected [batch, classes]")
    samples, (batch, classes) = node["sample_size"], x.shape
    if samples < 1:
        raise InvalidModelError(f"sample_size is {samples}")
    wide = ops.cast(x, np.float64 if x.dtype == np.float64 else np.float32)
    weights = ops.exp(ops.sub(wide, ops.reduce_max(wide, 1, keepdims=True)))
    total = ops.cumsum(weights, 1)
    u = ops.mul(ops.random_uniform(_key(node), (batch, samples), wide.dtype), ops.reduce_max(total, 1, keepdims=True))
    below = ops.le(ops.expand_dims(total, 1), ops.expand_dims(u, 2))
    chosen = ops.reduce_sum(ops.cast(below, np.int32), 2)
    last = ops.sub(ops.dim_scalar(classes, np.int32), make_constant(np.int32(1)))
    return ops.cast(ops.minimum(chosen, last), element_type(node["dtype"], "dtype"))


# -- dropout -----------------------------------------------------------------------------------------------------------
@importer("Dropout")
def dropout_of_old(node: OnnxNode, x: Tensor) -> tuple[Tensor, ...]:
    """Inference: the identity, with a mask of ones."""
    return x, ops.broadcast_to(make_constant(np.ones((), x.dtype if node.version < 10 else np.bool_)), x.shape)


@importer("Dropout", since=12)
def dropout(
    node: OnnxNode, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Training: each element is 0 with probability `ratio`, else divided by 1 - ratio; the mask says which remain.
    Whether it is training may be known only when the model runs."""
    everywhere = ops.broadcast_to(make_constant(np.True_), x.shape)
    known = np.False_ if training is None else constant_value(training)
    if known is not None and not np.any(known):
        return x, everywhere
    ratio = make_constant(np.float32(0.5)) if ratio is None else ops.reshape(ratio, ())
    u = _uniform(node, x.shape, np.float32)
    mask = ops.ge(u, ops.cast(ratio, u.dtype))
    scale = ops.div(scalar(1, ratio), ops.sub(scalar(1, ratio), ratio))
    y = ops.mul(ops.mul(x, ops.cast(mask, x.dtype)), ops.cast(scale, x.dtype))
    if known is not None:
        return y, mask
    training = ops.reshape(training, ())
    return ops.select(training, y, x), ops.logical_or(mask, ops.logical_not(training))
