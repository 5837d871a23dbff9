"""The formulas of the optimizers written out in NumPy, in float64: a function (w, g, t, state, rate) → w for each."""
from __future__ import annotations

import numpy as np


def sgd(w, g, t, s, rate):
    return w - rate * g


def momentum(w, g, t, s, rate):
    s["m"] = 0.9 * s.get("m", 0) - rate * g
    return w + s["m"]


def nesterov(w, g, t, s, rate):
    s["m"] = 0.9 * s.get("m", 0) - rate * g
    return w + 0.9 * s["m"] - rate * g


def rmsprop(w, g, t, s, rate):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    return w - rate * g / np.sqrt(s["v"] + 1e-7)


def rmsprop_centered(w, g, t, s, rate):
    s["v"] = 0.8 * s.get("v", 0) + 0.2 * g**2
    s["a"] = 0.8 * s.get("a", 0) + 0.2 * g
    s["m"] = 0.5 * s.get("m", 0) + rate * g / np.sqrt(s["v"] - s["a"]**2 + 1e-3)
    return w - s["m"]


def _moments(g, s, b1=0.9, b2=0.999):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    return s["m"], s["v"]


def adam(w, g, t, s, rate):
    m, v = _moments(g, s)
    return w - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)


def amsgrad(w, g, t, s, rate):
    m, v = _moments(g, s, 0.5, 0.6)
    s["h"] = np.maximum(s.get("h", 0), v)
    return w - rate * np.sqrt(1 - 0.6**t) / (1 - 0.5**t) * m / (np.sqrt(s["h"]) + 1e-7)


def adamw(w, g, t, s, rate):
    return adam(w - 0.004 * rate * w, g, t, s, rate)


def adamax(w, g, t, s, rate):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.999 * s.get("u", 0), np.abs(g))
    return w - rate / (1 - 0.9**t) * s["m"] / (s["u"] + 1e-7)


def adagrad(w, g, t, s, rate):
    s["a"] = s.get("a", 0.1) + g**2
    return w - rate * g / np.sqrt(s["a"] + 1e-7)


def adadelta(w, g, t, s, rate):
    s["a"] = 0.95 * s.get("a", 0) + 0.05 * g**2
    d = -np.sqrt(s.get("b", 0) + 1e-7) / np.sqrt(s["a"] + 1e-7) * g
    s["b"] = 0.95 * s.get("b", 0) + 0.05 * d**2
    return w + rate * d


def nadam(w, g, t, s, rate):
    m, v = _moments(g, s)
    u = [0.9 * (1 - 0.5 * 0.96**k) for k in range(1, t + 2)]
    m_hat = u[t] * m / (1 - np.prod(u)) + (1 - u[t - 1]) * g / (1 - np.prod(u[:-1]))
    return w - rate * m_hat / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)


def ftrl(w, g, t, s, rate, l1=0.01, l2=0.02, shrinkage=0.03, beta=0.1):
    a = s.get("a", 0.1)
    new = a + g**2
    s["z"] = s.get("z", 0) + g + 2 * shrinkage * w - (np.sqrt(new) - np.sqrt(a)) / rate * w
    s["a"] = new
    return (np.clip(s["z"], -l1, l1) - s["z"]) / (np.sqrt(new) / rate + 2 * (l2 + beta / (2 * rate)))


def lion(w, g, t, s, rate):
    m = s.get("m", 0)
    s["m"] = 0.99 * m + 0.01 * g
    return w - rate * np.sign(0.9 * m + 0.1 * g)
