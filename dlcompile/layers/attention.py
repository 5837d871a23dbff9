"""Attention: what is computed of some vectors, the values, with weights that depend on how alike queries and keys are."""
from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np

from dlcompile import ops, random, regularizers
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.layers.activation_layers import Softmax, least
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.einsum_dense import EinsumDense
from dlcompile.layers.options import one_of, options_of, positive, take, told
from dlcompile.layers.regularization import Dropout
from dlcompile.masks import set_mask
from dlcompile.random import SeedGenerator


def earlier(queries: Any, keys: Any) -> Tensor:
    """bool [queries, keys]: whether a key is not later than a query."""
    return ops.ge(ops.iota(np.int64, (queries, keys), 0), ops.iota(np.int64, (queries, keys), 1))


def both(a: Any, b: Any) -> Any:
    """Two masks as one; None stands for one that lets everything through."""
    return b if a is None else a if b is None else ops.logical_and(a, b)


# -- several heads ------------------------------------------------------------------------------------------------------------
class MultiHeadAttention(Layer):
    """Attention of `num_heads` heads, each with queries, keys and values of its own, projected to `key_dim` and `value_dim` elements
    (Vaswani et al. 2017).

    query [batch, T, …], value and key [batch, S, …] → [batch, T, …], the last axis as long as that of the query, or `output_shape`.
    attention_axes: the axes that attention goes over, by default all between batch and features. sliding_window: how far apart a query and
    a key may be at most, plus one. use_gate: the heads' outputs times a sigmoid of the query. The activity regularizer is that of the
    projections. `flash_attention` is there for scripts that give it.
    Weights: query, key, value: kernel [features, num_heads, dim] and bias [num_heads, dim]; attention_output: kernel [num_heads, value_dim,
    out], bias [out].
    """

    def __init__(self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0, use_bias: bool = True,
                 output_shape: int | Sequence[int] | None = None, attention_axes: int | Sequence[int] | None = None,
                 sliding_window: int | None = None, flash_attention: Any = None, kernel_initializer: Any = "glorot_uniform",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None, use_gate: bool = False,
                 seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self._of_projections = regularizers.get(activity_regularizer)
        positive(self.name, num_heads=num_heads, key_dim=key_dim, value_dim=value_dim or key_dim, sliding_window=sliding_window or 1)
        take(self, num_heads=num_heads, key_dim=key_dim, value_dim=value_dim or key_dim, dropout=dropout, use_bias=use_bias,
             use_gate=use_gate, sliding_window=sliding_window, seed=seed, kernel_initializer=kernel_initializer,
             bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
             kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        self.given_output_shape, self.attention_axes = _several(output_shape), _several(attention_axes)
        self._dropout_layer = Dropout(dropout, seed=seed, dtype=self.dtype)
        self.supports_masking = True

    # -- weights --------------------------------------------------------------------------------------------------------------
    def build(self, query_shape: Sequence[int | None], value_shape: Sequence[int | None],
              key_shape: Sequence[int | None] | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ShapeError(f"layer {self.name!r}: values of shape {tuple(value_shape)} and keys of shape {tuple(key_shape)} differ in more than "
                             "the last axis")
        self._query_dense = self._projection("query", query_shape, self.key_dim)
        self._key_dense = self._projection("key", key_shape, self.key_dim)
        self._gate_dense = self._projection("gate", query_shape, self.value_dim, activation="sigmoid") if self.use_gate else None
        self._value_dense = self._projection("value", value_shape, self.value_dim)
        out = self.given_output_shape or (query_shape[-1],)
        free = ascii_lowercase[:len(query_shape) - 1]
        ends = "wxyz"[:len(out)]
        self._output_dense = EinsumDense(f"{free}uv,uv{ends}->{free}{ends}", [*(None,) * (len(free) - 1), *out], name="attention_output",
                                         bias_axes=ends if self.use_bias else None, **self._options())
        self._output_dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        rank = len(query_shape)
        self._axes = tuple(range(1, rank - 1)) if self.attention_axes is None else tuple(a % rank for a in self.attention_axes)
        if any(not 0 < a < rank - 1 for a in self._axes):
            raise ShapeError(f"layer {self.name!r}: attention_axes {self.attention_axes} of queries of shape {tuple(query_shape)} are not between batch "
                             "and features")

    def _projection(self, name: str, shape: Sequence[int | None], width: int, **more: Any) -> EinsumDense:
        """A dense layer [batch, …, features] → [batch, …, heads, width]."""
        free = ascii_lowercase[:len(shape) - 1]
        layer = EinsumDense(f"{free}x,xyz->{free}yz", [*(None,) * (len(free) - 1), self.num_heads, width], name=name,
                            bias_axes="yz" if self.use_bias else None, **self._options(), **more)
        layer.supports_masking = True
        layer.build(shape)
        return layer

    def _options(self) -> dict[str, Any]:
        shared = {name: getattr(self, name) for name in options_of("kernel", "bias")}
        for name in ("kernel_initializer", "bias_initializer"):  # one without a seed draws other numbers for each
            shared[name] = shared[name].clone() if hasattr(shared[name], "clone") else shared[name]
        return {**shared, "activity_regularizer": self._of_projections, "dtype": self.dtype}

    query_dense = property(lambda self: self._query_dense)
    key_dense = property(lambda self: self._key_dense)
    value_dense = property(lambda self: self._value_dense)
    output_dense = property(lambda self: self._output_dense)

    # -- calling --------------------------------------------------------------------------------------------------------------
    def call(self, query: Tensor, value: Tensor, key: Tensor | None = None, query_mask: Any = None, value_mask: Any = None,
             key_mask: Any = None, attention_mask: Any = None, return_attention_scores: bool = False, training: bool | None = None,
             use_causal_mask: bool = False) -> Any:
        key = value if key is None else key
        mask = self._mask(query, value, query_mask, value_mask, key_mask, attention_mask)
        gate = self._gate_dense(query) if self.use_gate else None
        q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        scores = None
        if q.rank == 4 and self._axes == (1,) and not return_attention_scores and not (training and self.dropout):
            y = self._at_once(q, k, v, mask, use_causal_mask)
        else:
            if use_causal_mask:
                mask = both(mask, ops.expand_dims(earlier(query.shape[1], value.shape[1]), 0))
            y, scores = self._by_scores(q, k, v, mask, training)
        y = self._output_dense(y if gate is None else ops.mul(y, gate))
        if query_mask is not None:
            set_mask(y, query_mask)
        return (y, scores) if return_attention_scores else y

    def _mask(self, query: Tensor, value: Tensor, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any) -> Any:
        """Which keys count for which query, [batch or 1, T, S]; None: all."""
        mask = None if attention_mask is None else ops.cast(attention_mask, bool)
        for own, axis in ((query_mask, -1), (value_mask, -2), (key_mask, -2)):
            if own is not None:
                mask = both(mask, ops.expand_dims(ops.cast(own, bool), axis))
        if self.sliding_window is not None:
            shape = (query.shape[1], value.shape[1])
            apart = ops.abs(ops.sub(ops.iota(np.int64, shape, 0), ops.iota(np.int64, shape, 1)))
            mask = both(mask, ops.expand_dims(ops.lt(apart, self.sliding_window), 0))
        return mask

    def _at_once(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, causal: bool) -> Tensor:
        """q [B, T, N, D], k [B, S, N, D], v [B, S, N, E] → [B, T, N, E], as one operator."""
        heads = [ops.transpose(t, (0, 2, 1, 3)) for t in (q, k, v)]
        if mask is not None:
            mask = ops.select(_for_heads(mask, 4, 1), scalar(q, 0), least(q))
        y = ops.attention(*heads, mask, scale=1 / math.sqrt(self.key_dim), causal=causal)
        return ops.transpose(y, (0, 2, 1, 3))

    def _by_scores(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, training: bool | None) -> tuple[Tensor, Tensor]:
        """The same over any axes, and the scores [batch…, N, T…, S…]."""
        rank, axes = q.rank, self._axes
        target = ascii_lowercase[:rank]  # of the queries; keys and values have letters of their own along the axes of attention
        own = dict(zip(axes, ascii_lowercase[rank:rank + len(axes)]))
        source = "".join(own.get(i, c) for i, c in enumerate(target[:-1]))
        lead = "".join(c for i, c in enumerate(target[:-1]) if i not in axes)
        scores_term = lead + "".join(target[a] for a in axes) + "".join(own[a] for a in axes)
        scores = ops.einsum(f"{source}z,{target[:-1]}z->{scores_term}", k, ops.mul(q, scalar(q, 1 / math.sqrt(self.key_dim))))
        over = tuple(range(len(scores_term) - len(axes), len(scores_term)))
        if mask is not None:
            mask = _for_heads(mask, scores.rank, len(axes))
        scores = Softmax(axis=over, dtype=self.dtype).call(scores, mask)
        weights = self._dropout_layer(scores, training=training) if self.dropout else scores
        return ops.einsum(f"{scores_term},{source}z->{target[:-1]}z", weights, v), scores

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None  # `call` has given the output that of the query

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "key_dim", "value_dim", "dropout", "use_bias", "use_gate", "attention_axes", "sliding_window",
                 *options_of("kernel", "bias"), "seed")
        return {**super().get_config(), **told(self, *names), "activity_regularizer": regularizers.serialize(self._of_projections),
                "output_shape": None if self.given_output_shape is None else list(self.given_output_shape)}


def _several(value: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """One number or several as a tuple; None as it is."""
    return (value,) if isinstance(value, int) else None if value is None else tuple(value)


def _for_heads(mask: Tensor, rank: int, axes: int) -> Tensor:
    """A mask [batch…, T…, S…] with axes of extent 1 before those, for the heads and what else the scores have."""
    missing = rank - mask.rank
    return ops.reshape(mask, (*mask.shape[:mask.rank - 2 * axes], *(1,) * missing, *mask.shape[mask.rank - 2 * axes:]))


# -- without projections ------------------------------------------------------------------------------------------------------
class Attention(Layer):
    """softmax(scores) value for [query, value] or [query, value, key]: query [batch, T, dim], key [batch, S, dim], value [batch, S, out] →
    [batch, T, out].

    score_mode: "dot", query · key, or "concat", Σ tanh(query + key) times a weight. use_scale: times a weight before (Luong et al. 2015).
    Masks are [query mask, value mask]: outputs of queries that do not count are 0.
    """

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.use_scale, self.dropout, self.seed = use_scale, dropout, seed
        self.score_mode = one_of(f"layer {self.name!r}", "score_mode", score_mode, ("dot", "concat"))
        if dropout:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale") if self.use_scale else None
        self.concat_score_weight = None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(shape=(), initializer="ones", name="concat_score_weight")

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How alike queries and keys are, [batch, T, S]."""
        if self.score_mode == "dot":
            scores = ops.einsum("...td,...sd->...ts", query, key)
            return scores if self.scale is None else ops.mul(scores, self.scale)
        total = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        return ops.mul(self.concat_score_weight, ops.reduce_sum(ops.tanh(total if self.scale is None else ops.mul(self.scale, total)), -1))

    def call(self, inputs: Sequence[Tensor], mask: Any = None, training: bool = False, return_attention_scores: bool = False,
             use_causal_mask: bool = False) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            raise ArgumentError(f"layer {self.name!r} takes a list [query, value] or [query, value, key]")
        query, value = (ops.cast(x, self.compute_dtype) for x in inputs[:2])
        key = ops.cast(inputs[2], self.compute_dtype) if len(inputs) == 3 else value
        query_mask, value_mask = mask[:2] if mask is not None else (None, None)
        scores = self.scores(query, key)
        counted = None if value_mask is None else ops.expand_dims(value_mask, -2)
        if use_causal_mask:
            counted = both(counted, ops.expand_dims(earlier(query.shape[-2], key.shape[-2]), 0))
        if counted is not None:
            scores = ops.select(counted, scores, ops.add(scores, least(scores)))
        weights = ops.softmax(scores)
        dropped = random.dropout(weights, self.dropout, seed=self.seed_generator) if training and self.dropout else weights
        y = ops.matmul(dropped, value)
        if query_mask is not None:
            y = ops.select(ops.expand_dims(query_mask, -1), y, scalar(y, 0))
        return (y, weights) if return_attention_scores else y

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None if previous_mask is None else previous_mask[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "use_scale", "score_mode", "dropout", "seed")}


class AdditiveAttention(Attention):
    """`Attention` with scores Σ scale tanh(query + key), with a weight `scale` [dim] where use_scale (Bahdanau et al. 2014)."""

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(input_shape[0][-1],), initializer="glorot_uniform", name="scale") if self.use_scale else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        y = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.reduce_sum(y if self.scale is None else ops.mul(y, self.scale), -1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config


__all__ = ["AdditiveAttention", "Attention", "MultiHeadAttention"]
