"""Fourier transforms and what speech models make of them."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import Tolerance

TRANSFORM = Tolerance(32, 16, 64)


@entry("DFT", since=20)
def dft(b: Builder, op: str) -> None:
    parts = b.choice((1, 2))
    shape = [*(b.choice((1, 2, 3, 5, 8)) for _ in range(b.choice((2, 3)))), parts]
    rank = len(shape)
    x = b.fresh(b.choice((v.FLOAT32, v.FLOAT64)), tuple(shape), finite=True)
    b.pin(x, rank - 1)
    axis = b.integer(0, rank - 2)
    length = b.constant(np.array(b.choice((1, 3, 4, 7)), np.int64)) if b.chance(0.4) else None
    given = {"inverse": int(parts == 2 and b.chance(0.4))}
    if parts == 1 and b.chance(0.5):
        given["onesided"] = 1
    b.add(op, [x, length, b.constant(np.array(axis - rank if b.chance(0.5) else axis, np.int64))], tolerance=TRANSFORM, **given)


@entry("STFT", since=17)
def stft(b: Builder, op: str) -> None:
    frame, step, batch = b.choice((4, 5, 8)), b.choice((1, 2, 3)), b.choice((1, 2))
    signal = b.fresh(v.FLOAT32, (batch, frame + step * b.choice((0, 1, 3)) + b.choice((0, 1)), 1), finite=True)
    b.pin(signal, 1, 2)
    window = b.fresh(v.FLOAT32, (frame,), finite=True, constant=0.7)
    b.add(op, [signal, b.constant(np.array(step, np.int64)), window, b.constant(np.array(frame, np.int64))], tolerance=TRANSFORM,
          onesided=b.integer(0, 1))


@entry("MelWeightMatrix", since=17)
def mel_weight_matrix(b: Builder, op: str) -> None:
    bins, length, rate = b.choice((2, 4, 8)), b.choice((16, 32)), b.choice((8000, 16000))
    scalars = [np.array(n, np.int64) for n in (bins, length, rate)] + [np.array(f, np.float32) for f in (0.0, rate / 2)]
    b.add(op, [b.constant(s) for s in scalars], tolerance=Tolerance(64, 0, 64))
