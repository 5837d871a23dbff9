"""Layers of transformers and state-space models."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import ITERATED, SUM, Tolerance


@entry("RotaryEmbedding", since=23)
def rotary_embedding(b: Builder, op: str) -> None:
    batch, heads, length, half = b.choice((1, 2)), b.choice((1, 2)), b.choice((1, 3)), b.choice((1, 2, 4))
    size = 2 * half + b.choice((0, 0, 2))
    given: dict = {"interleaved": b.integer(0, 1)}
    if size > 2 * half:
        given["rotary_embedding_dim"] = 2 * half
    shape: tuple = (batch, heads, length, size)
    if b.chance(0.4):
        shape, given["num_heads"] = (batch, length, heads * size), heads
    x = b.fresh(b.dtype((v.FLOAT32, v.FLOAT16)), shape, finite=True)
    b.pin(x, -1 % len(shape))
    positions = b.given(b.numbers.integers(0, 5, (batch, length)), 0.3, False) if b.chance(0.6) else None
    cache = (5, half) if positions is not None else (batch, length, half)
    angles = b.numbers.uniform(-3, 3, cache)
    caches = [b.given(np.asarray(f(angles), x.dtype), 0.5, False, range(len(cache))) for f in (np.cos, np.sin)]
    b.add(op, [x, *caches, positions], tolerance=SUM, **given)


@entry("SwiGLU", since=28)
def swiglu(b: Builder, op: str) -> None:
    x = b.pick((v.FLOAT32, v.FLOAT64), finite=True, accept=lambda value: value.moderate)
    b.add(op, [x, b.fresh(x.dtype, x.shape, finite=True)], tolerance=Tolerance(8, 4, 4), **({"alpha": 0.5} if b.chance(0.3) else {}))


@entry("CausalConvWithState", since=27)
def causal_conv(b: Builder, op: str) -> None:
    batch, channels, length, taps = b.choice((1, 2)), b.choice((1, 3)), b.choice((1, 2, 5)), b.choice((1, 2, 4))
    x = b.fresh(v.FLOAT32, (batch, channels, length), finite=True)
    b.pin(x, 1)
    w = b.fresh(v.FLOAT32, (channels, 1, taps), finite=True, constant=0.7)
    b.pin(w, 0, 1, 2)
    bias = b.fresh(v.FLOAT32, (channels,), finite=True) if b.chance(0.5) else None
    past = b.fresh(v.FLOAT32, (batch, channels, taps - 1), finite=True) if b.chance(0.5) else None
    if past:
        b.pin(past, 1, 2)
    b.add(op, [x, w, bias, past], 2, tolerance=ITERATED, activation=b.choice(("none", "silu", "swish")))


@entry("LinearAttention", since=27)
def linear_attention(b: Builder, op: str) -> None:
    batch, heads, length, keys, columns = b.choice((1, 2)), b.choice((1, 2)), b.choice((1, 3, 5)), b.choice((1, 2, 4)), b.choice((1, 3))
    rule = b.choice(("linear", "gated", "delta", "gated_delta"))

    def tensor(size: int, low: float = -1.0, high: float = 1.0):
        made = b.given(b.numbers.uniform(low, high, (batch, length, size)).astype(np.float32), 0.1, False, [0, 1, 2])
        return made

    q, k, value = tensor(heads * keys), tensor(heads * keys), tensor(heads * columns)
    past = b.given(b.numbers.uniform(-1, 1, (batch, heads, keys, columns)).astype(np.float32), 0.1, False, range(4)) if b.chance(0.5) else None
    decay = tensor(heads * keys if b.chance(0.5) else heads, -1.0, 0.0) if "gated" in rule else None
    beta = tensor(heads, 0.0, 1.0) if "delta" in rule else None
    b.add(op, [q, k, value, past, decay, beta], 2, tolerance=ITERATED, q_num_heads=heads, kv_num_heads=heads, update_rule=rule,
          **({"scale": 0.5} if b.chance(0.4) else {}), **({"chunk_size": b.choice((1, 2))} if b.chance(0.3) else {}))
