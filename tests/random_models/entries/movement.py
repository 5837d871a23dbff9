"""Operators that move elements."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import LARGEST, Builder, Unsuitable
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT


@entry("Reshape")
def reshape(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), high=5)
    size = x.array.size
    target: list[int] = []
    if size:
        left = size
        while left > 1 and len(target) < 4:
            factor = b.choice([f for f in range(1, left + 1) if left % f == 0])
            target.append(factor)
            left //= factor
        target.append(left) if left > 1 or b.chance(0.3) else None
    else:
        target = [*b.shape(0, 2), 0]
        b.random.shuffle(target)
    allow = {}
    if target and b.chance(0.3) and size:
        target[b.integer(0, len(target) - 1)] = -1
    if b.opset >= 14 and b.chance(0.3):
        allow["allowzero"] = b.integer(0, 1)
    if not allow.get("allowzero") and size and target:
        for i in range(min(len(target), x.rank)):
            if target[i] == x.shape[i] and b.chance(0.5):
                target[i] = 0
    if not size and not allow.get("allowzero") and b.opset >= 14:
        allow["allowzero"] = 1
    b.add(op, [x, b.integers(target)], tolerance=EXACT, **allow)


@entry("Transpose")
def transpose(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    b.add(op, [x], tolerance=EXACT, **({"perm": b.random.sample(range(x.rank), x.rank)} if x.rank and b.chance(0.8) else {}))


@entry("Slice")
def slice_(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axes = b.axes(x.rank, 1)
    starts, ends, steps = [], [], []
    for axis in axes:
        extent = x.shape[axis]
        starts.append(b.choice((0, 1, -1, extent, extent - 1, -extent, -extent - 3, extent + 3, b.integer(-extent - 1, extent + 1))))
        ends.append(b.choice((0, 1, -1, extent, -extent - 1, 2**63 - 1, -2**63, 2**31 - 1, b.integer(-extent - 1, extent + 1))))
        steps.append(b.choice((1, 1, 1, 2, 3, -1, -1, -2, 100, -100, 2**62, -2**62)))
    dtype = v.INT64
    if all(abs(n) < 2**31 for n in (*starts, *ends, *steps)) and b.chance(0.3):
        dtype = v.INT32
    inputs = [x, b.integers(starts, dtype), b.integers(ends, dtype)]
    if len(axes) == x.rank and b.chance(0.3):
        inputs += [None]
    else:
        inputs += [b.integers(axes, dtype)]
    if b.chance(0.8):
        inputs += [b.integers(steps, dtype)]
    b.add(op, inputs, tolerance=EXACT)


@entry("Pad")
def pad(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    modes = ["constant", "constant", "reflect", "edge"] + (["wrap"] if b.opset >= 19 else [])
    mode = b.choice(modes)
    axes = b.axes(x.rank) if b.opset >= 18 and b.chance(0.5) else list(range(x.rank))
    low, high = [], []
    for axis in axes:
        extent = x.shape[axis]
        most = {"constant": 3, "edge": 3 if extent else 0, "reflect": max(extent - 1, 0), "wrap": extent}[mode]
        before, after = (b.integer(0, min(most, 4)) if b.chance(0.7) else -b.integer(0, 2) for _ in range(2))
        if mode != "constant" and (before < 0 or after < 0) and not all(n <= 0 for n in (before, after)):
            before, after = max(before, 0), max(after, 0)
        if before + after + extent < 0:
            before, after = 0, 0
        low.append(before)
        high.append(after)
    inputs = [x, b.integers(low + high)]
    if mode == "constant" and b.chance(0.5):
        inputs.append(b.given(v.with_edges(b.numbers, x.dtype, ()), 0.6))
    if len(axes) < x.rank or (b.opset >= 18 and b.chance(0.3)):
        inputs += [None] * (3 - len(inputs)) + [b.integers(axes)]
    b.add(op, inputs, tolerance=EXACT, **({} if mode == "constant" and b.chance(0.5) else {"mode": mode}))


@entry("Concat")
def concat(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axis = b.axis(x.rank)
    parts = [x]
    for _ in range(b.integer(0, 3)):
        def fits(o):
            return o.dtype == x.dtype and o.rank == x.rank and o.compared and all(
                p == q for i, (p, q) in enumerate(zip(o.shape, x.shape)) if i != axis % x.rank)
        found = [o for o in b.values if fits(o)]
        shape = list(x.shape)
        shape[axis] = b.choice((0, 1, 2, 3))
        parts.append(b.choice(found) if found and b.chance(0.6) else b.fresh(x.dtype, tuple(shape)))
    b.random.shuffle(parts)
    b.add(op, parts, tolerance=EXACT, axis=axis)


@entry("Split")
def split(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axis = b.axis(x.rank)
    extent = x.shape[axis]
    given = {} if axis == 0 and b.chance(0.5) else {"axis": axis}
    if b.chance(0.6):
        cuts = sorted(b.integer(0, extent) for _ in range(b.integer(0, 3)))
        sizes = [h - l for l, h in zip([0, *cuts], [*cuts, extent])]
        return b.add(op, [x, b.integers(sizes)], outputs=len(sizes), tolerance=EXACT, **given)
    count = b.choice([c for c in range(1, 5) if b.opset >= 18 or extent % c == 0])
    if b.opset >= 18 and (extent + count - 1) // count * (count - 1) >= max(extent, 1) and count > 1:
        raise Unsuitable("a last chunk of size zero or less")
    b.add(op, [x], outputs=count, tolerance=EXACT, **given, **({"num_outputs": count} if b.opset >= 18 else {}))


@entry("Expand")
def expand(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    target = [b.choice((1, 2, 3, 0)) if e == 1 and b.chance(0.6) else b.choice((1, e)) for e in x.shape]
    target = [b.choice((1, 2)) for _ in range(b.integer(0, 2))] + target if b.chance(0.5) else target[b.integer(0, len(target)):]
    b.add(op, [x, b.integers(target)], tolerance=EXACT)


@entry("Tile")
def tile(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), high=4)
    repeats = [b.choice((1, 1, 1, 2, 3, 0)) for _ in range(x.rank)]
    b.add(op, [x, b.integers(repeats)], tolerance=EXACT)


@entry("Squeeze", "Unsqueeze")
def squeeze(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), high=4)
    if op == "Squeeze":
        ones = [i for i, e in enumerate(x.shape) if e == 1]
        # without axes only what is given: of what a run decides (a sequence's items, say) no dimension of 1 is known to go
        if b.chance(0.3) and (x.name in b.inputs or x.name in b.initializers):
            return b.add(op, [x], tolerance=EXACT)
        chosen = [a - x.rank if b.chance(0.4) else a for a in b.random.sample(ones, b.integer(0, len(ones)))]
    else:
        rank = x.rank + b.integer(1, 2)
        chosen = [a - rank if b.chance(0.4) else a for a in b.random.sample(range(rank), rank - x.rank)]
    if not chosen:
        raise Unsuitable("nothing to squeeze")
    b.add(op, [x, b.integers(chosen)], tolerance=EXACT)


@entry("Flatten")
def flatten(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    b.add(op, [x], tolerance=EXACT, **({"axis": b.integer(-x.rank, x.rank)} if b.chance(0.8) else {}))


@entry("DepthToSpace", "SpaceToDepth")
def depth_to_space(b: Builder, op: str) -> None:
    n, c, h, w = b.choice((0, 1, 2)), b.choice((1, 2, 3)), b.choice((1, 2, 3)), b.choice((1, 2, 4))
    block = b.choice((1, 2, 3))
    shape = (n, c * block * block, h, w) if op == "DepthToSpace" else (n, c, h * block, w * block)
    x = b.fresh(b.dtype(b.types(op)), shape)
    b.add(op, [x], tolerance=EXACT, blocksize=block, **({"mode": b.choice(("DCR", "CRD"))} if op == "DepthToSpace" and b.chance(0.7) else {}))


@entry("Trilu", since=14)
def trilu(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=2)
    k = b.given(np.array(b.choice((0, 1, -1, 2, -3, 100, -100)), np.int64), 0.7, reuse=False) if b.chance(0.6) else None
    b.add(op, [x, k], tolerance=EXACT, **({"upper": b.integer(0, 1)} if b.chance(0.7) else {}))


@entry("Shape")
def shape(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    given = {n: b.integer(-x.rank - 1, x.rank + 1) for n in ("start", "end") if b.opset >= 15 and b.chance(0.4)}
    b.add(op, [x], tolerance=EXACT, **given)


@entry("Size")
def size(b: Builder, op: str) -> None:
    b.add(op, [b.pick(b.types(op))], tolerance=EXACT)


@entry("CenterCropPad", since=18)
def center_crop_pad(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1)
    axes = b.axes(x.rank, 1)
    if len(axes) == x.rank and b.chance(0.3):
        return b.add(op, [x, b.integers(b.integer(0, 5) for _ in axes)], tolerance=EXACT)
    b.add(op, [x, b.integers(b.integer(0, 5) for _ in axes)], tolerance=EXACT, axes=axes)


@entry("EyeLike")
def eye_like(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=2, high=2)
    b.add(op, [x], tolerance=EXACT, **({"k": b.integer(-4, 4)} if b.chance(0.6) else {}))


@entry("ConstantOfShape")
def constant_of_shape(b: Builder, op: str) -> None:
    from onnx import numpy_helper
    target = b.shape(0, 3)
    if int(np.prod(target)) > LARGEST:
        raise Unsuitable("large")
    value = v.ordinary(b.numbers, b.dtype([t for t in v.ALL if t not in (v.BFLOAT16,)]), (1,))
    b.add(op, [b.integers(target)], tolerance=EXACT, **({"value": numpy_helper.from_array(value)} if b.chance(0.7) else {}))


@entry("Range")
def range_(b: Builder, op: str) -> None:
    dtype = b.choice(b.types(op))
    start, step, count = b.integer(-5, 5), b.choice((1, 2, 3, -1, -2)), b.integer(-2, 9)
    limit = start + step * count - b.choice((0, 0, 1 if step > 0 else -1))
    b.add(op, [b.constant(np.array(n, dtype)) for n in (start, limit, step)])


@entry("ReverseSequence")
def reverse_sequence(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=2)
    batch = b.integer(0, 1)
    lengths = [b.integer(1, x.shape[1 - batch]) if x.shape[1 - batch] else 0 for _ in range(x.shape[batch])]
    b.add(op, [x, b.given(np.array(lengths, np.int64), 0.4, reuse=False)], tolerance=EXACT, batch_axis=batch, time_axis=1 - batch)
