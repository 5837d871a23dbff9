"""Recurrent layers and attention."""
from __future__ import annotations

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import Tolerance

RECURRENT = Tolerance(32, 16, 4)


@entry("RNN", "GRU", "LSTM")
def recurrent(b: Builder, op: str) -> None:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    dtype = b.dtype([t for t in b.types(op) if t in (v.FLOAT32, v.FLOAT64)])
    steps, batch, size, hidden = b.choice((1, 2, 3, 5)), b.choice((1, 2, 3)), b.choice((1, 2, 4, 7)), b.choice((1, 2, 3, 5, 8))
    direction = b.choice(("forward", "reverse", "bidirectional"))
    ways = 1 + (direction == "bidirectional")
    layout = b.integer(0, 1) if b.opset >= 14 and b.chance(0.3) else 0
    given: dict = {"hidden_size": hidden, **({"direction": direction} if direction != "forward" or b.chance(0.3) else {})}
    if layout:
        given["layout"] = 1
    if op == "GRU" and b.chance(0.6):
        given["linear_before_reset"] = b.integer(0, 1)

    def tensor(*shape: int, chance: float = 1.0, constant: float = 0.7, pinned: bool = True):
        values = (v.ordinary(b.numbers, dtype, shape) * 0.4).astype(dtype)
        return b.given(values, constant, reuse=False, pinned=range(len(shape)) if pinned else [2]) if b.chance(chance) else None

    x = tensor(*((batch, steps, size) if layout else (steps, batch, size)), constant=0.1, pinned=False)
    state = (batch, ways, hidden) if layout else (ways, batch, hidden)
    inputs = [x, tensor(ways, gates * hidden, size), tensor(ways, gates * hidden, hidden), tensor(ways, 2 * gates * hidden, chance=0.6),
              None, tensor(*state, chance=0.5, constant=0.2)]
    if op == "LSTM":
        inputs += [tensor(*state, chance=0.5, constant=0.2), tensor(ways, 3 * hidden, chance=0.3)]
    b.add(op, inputs, outputs=b.integer(1, 3 if op == "LSTM" else 2), tolerance=RECURRENT, **given)


@entry("Attention", since=23)
def attention(b: Builder, op: str) -> None:
    dtype = v.FLOAT32
    batch, group, kv = b.choice((1, 2)), b.choice((1, 1, 2, 3)), b.choice((1, 2, 3))
    queries, keys, size, values = b.choice((1, 2, 5, 17)), b.choice((1, 3, 9, 33)), b.choice((1, 4, 8, 13)), b.choice((1, 4, 8))

    def tensor(*shape: int):
        return b.given(v.ordinary(b.numbers, dtype, shape), 0.1, reuse=False)

    given: dict = {}
    if b.chance(0.3):
        q, k, w = tensor(batch, queries, group * kv * size), tensor(batch, keys, kv * size), tensor(batch, keys, kv * values)
        given |= {"q_num_heads": group * kv, "kv_num_heads": kv}
        for value in (q, k, w):
            b.pin(value, 2)
    else:
        q, k, w = tensor(batch, group * kv, queries, size), tensor(batch, kv, keys, size), tensor(batch, kv, keys, values)
        for value in (q, k, w):
            b.pin(value, 1, 3)
    if b.chance(0.3):
        given["is_causal"] = 1
    if b.chance(0.3):
        given["scale"] = b.choice((0.5, 0.125, 1.0))
    if b.chance(0.2):
        given["softcap"] = b.choice((1.0, 5.0))
    mask = None
    if b.chance(0.4):
        shape = b.choice(((queries, keys), (1, 1, queries, keys), (batch, 1, queries, keys), (batch, group * kv, queries, keys)))
        if b.chance(0.5):
            seen = b.numbers.random(shape) < 0.7
            seen[..., 0] = True  # a row that sees nothing is nowhere defined
            mask = b.given(seen, 0.4, reuse=False)
        else:
            mask = tensor(*shape)
    if mask is not None and given.get("is_causal") and queries > keys:
        raise Unsuitable("rows that see nothing")
    b.add(op, [q, k, w, mask], tolerance=Tolerance(16, 8, 4), **given)


