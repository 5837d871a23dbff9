"""Recurrent layers written out in NumPy, step by step: what those of dlcompile are compared with."""
from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple(x, states, kernel, recurrent, bias=0.0, activation=np.tanh):
    h = activation(x @ kernel + states[0] @ recurrent + bias)
    return h, [h]


def lstm(x, states, kernel, recurrent, bias=0.0, activation=np.tanh, gate=sigmoid):
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = gate(f) * c + gate(i) * activation(g)
    h = gate(o) * activation(c)
    return h, [h, c]


def gru(x, states, kernel, recurrent, bias=None, activation=np.tanh, gate=sigmoid, reset_after=True):
    (h,) = states
    n = recurrent.shape[0]
    inner, outer = (bias if bias is not None and bias.ndim == 2 else (0.0 if bias is None else bias, 0.0))
    xz, xr, xh = np.split(x @ kernel + inner, 3, axis=-1)
    if reset_after:
        hz, hr, hh = np.split(h @ recurrent + outer, 3, axis=-1)
        z, r = gate(xz + hz), gate(xr + hr)
        candidate = activation(xh + r * hh)
    else:
        z, r = gate(xz + h @ recurrent[:, :n]), gate(xr + h @ recurrent[:, n:2 * n])
        candidate = activation(xh + (r * h) @ recurrent[:, 2 * n:])
    h = z * h + (1 - z) * candidate
    return h, [h]


def run(step, x, states, mask=None, backwards=False, zero_output=False):
    """(outputs [batch, steps, width] in the order in which they are made, last states) of step(x, states) over x [batch, steps, in]."""
    outputs, previous = [], None
    order = range(x.shape[1])
    for t in reversed(order) if backwards else order:
        y, new = step(x[:, t], states)
        if mask is not None:
            counted = mask[:, t, None]
            y = np.where(counted, y, 0.0 if zero_output or previous is None else previous)
            new = [np.where(counted, after, before) for after, before in zip(new, states)]
        states, previous = new, y
        outputs.append(y)
    return np.stack(outputs, 1), states
