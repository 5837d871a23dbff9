"""RNN, GRU and LSTM with ONNX's layouts and equations, decomposed into a scan for each direction."""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.graph import Graph, Tensor, TensorType, apply, make_input, product
from dlcompile.operators.composite import composite, scalar

OPTIONAL = ("b", "sequence_lens", "initial_h", "initial_c", "p", "w_scale", "w_zero_point", "r_scale", "r_zero_point")
"""optional operands after x, w, r, in the order in which they come where `present` names them; the last four of quantised weights"""

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
DEFAULT_ACTIVATIONS = {"rnn": ("tanh",), "gru": ("sigmoid", "tanh"), "lstm": ("sigmoid", "tanh", "tanh")}
DEFAULT_PARAMETERS = {"leakyrelu": (0.01, 0.0), "elu": (1.0, 0.0), "hardsigmoid": (0.2, 0.5), "thresholdedrelu": (1.0, 0.0),
                      "affine": (1.0, 0.0), "scaledtanh": (1.0, 1.0)}

ACTIVATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "sigmoid": lambda x, a, b: ops.logistic(x),
    "tanh": lambda x, a, b: ops.tanh(x),
    "relu": lambda x, a, b: ops.relu(x),
    "affine": lambda x, a, b: ops.add(ops.mul(x, scalar(x, a)), scalar(x, b)),
    "leakyrelu": lambda x, a, b: ops.leaky_relu(x, alpha=a),
    "thresholdedrelu": lambda x, a, b: ops.thresholded_relu(x, alpha=a),
    "scaledtanh": lambda x, a, b: ops.mul(ops.tanh(ops.mul(x, scalar(x, b))), scalar(x, a)),
    "hardsigmoid": lambda x, a, b: ops.hard_sigmoid(x, alpha=a, beta=b),
    "elu": lambda x, a, b: ops.elu(x, alpha=a),
    "softsign": lambda x, a, b: ops.softsign(x),
    "softplus": lambda x, a, b: ops.softplus(x),
}
"""activation of a gate, by its lower-case ONNX name: (x, alpha, beta) → tensor"""


def gate_activations(kind: str, attributes, direction: int) -> list[tuple[str, float, float]]:
    """(name, alpha, beta) of each of the cell's activations in a direction. InvalidModelError for a name ONNX does not have."""
    count = len(DEFAULT_ACTIVATIONS[kind])
    names = [n.lower() for n in attributes["activations"]] or list(DEFAULT_ACTIVATIONS[kind]) * 2
    alphas, betas = list(attributes["alphas"]), list(attributes["betas"])
    found, position = [], 0
    for name in names:
        if name not in ACTIVATIONS:
            raise InvalidModelError(f"unknown activation {name!r} of a recurrent operator")
        alpha, beta = DEFAULT_PARAMETERS.get(name, (0.0, 0.0))
        if name in DEFAULT_PARAMETERS:
            alpha = alphas[position] if position < len(alphas) else alpha
            beta = betas[position] if position < len(betas) else beta
            position += 1
        found.append((name, alpha, beta))
    return found[direction * count:(direction + 1) * count]


def optional_operands(attributes, operands) -> dict[str, Tensor]:
    """The optional operands by name."""
    return dict(zip(attributes["present"], operands, strict=True))


def _clipped(x: Tensor, limit: float) -> Tensor:
    return x if limit <= 0 else ops.minimum(ops.maximum(x, scalar(x, -limit)), scalar(x, limit))


def _gates(x: Tensor, count: int) -> list[Tensor]:
    """A tensor [..., count*H] as `count` tensors [..., H]."""
    hidden = x.shape[-1] // count
    start = (0,) * (x.rank - 1)
    return [ops.slice(x, (*start, i * hidden), (*x.shape[:-1], (i + 1) * hidden)) for i in range(count)]


def _directions(attributes) -> list[bool]:
    """For each direction whether it runs backwards."""
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[attributes["direction"]]


def _times(a: Tensor, w: Tensor) -> Tensor:
    """a [..., K] times w [M, K] transposed."""
    return ops.dot_general(a, w, contracting=((a.rank - 1,), (1,)))


def _row(t: Tensor, index: int) -> Tensor:
    """t[index] of the leading axis."""
    return ops.reshape(ops.slice(t, (index, *(0,) * (t.rank - 1)), (index + 1, *t.shape[1:])), t.shape[1:])


def _quantized_times(a: Tensor, w: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """a [..., K] times w [M, K] transposed, where a is rounded to 8 bits by the range of its values (as DynamicQuantizeLinear does), and w
    stands for (w - zero) * scale, with one of each or M."""
    low, high = ops.minimum(ops.reduce_min(a), scalar(a, 0)), ops.maximum(ops.reduce_max(a), scalar(a, 0))
    unit = ops.div(ops.select(ops.eq(high, low), scalar(a, 1), ops.sub(high, low)), scalar(a, 255))
    none = ops.as_tensor(np.zeros((), np.uint8))
    origin = ops.quantize_linear(ops.neg(low), unit, none, axis=0)
    narrow = ops.sub(ops.cast(ops.quantize_linear(a, unit, origin, axis=0), np.int32), ops.cast(origin, np.int32))
    if zero.rank:
        zero = ops.expand_dims(zero, 1)
    sums = _times(narrow, ops.sub(ops.cast(w, np.int32), ops.cast(zero, np.int32)))
    return ops.mul(ops.cast(sums, a.dtype), ops.mul(unit, scale))


def _recurrent(kind: str, step: Callable, states: int, times: Callable = _times, numbers: tuple[str, ...] = ()):
    """The decomposition of a cell: the input products of all steps at once, then a scan over the steps of each direction. `numbers`: what
    `times` is given beside the weights, operands w_NAME and r_NAME."""
    def decompose(attributes, x: Tensor, w: Tensor, r: Tensor, *optional: Tensor):
        given = optional_operands(attributes, optional)
        length, batch = x.shape[0], x.shape[1]
        hidden = r.shape[-1]
        gates = GATES[kind]
        outputs, lasts = [], [[] for _ in range(states)]
        for direction, backwards in enumerate(_directions(attributes)):
            recurrent = _row(r, direction)
            bias = _row(given["b"], direction) if "b" in given else None
            inputs = times(x, _row(w, direction), *(_row(given[f"w_{n}"], direction) for n in numbers))
            if bias is not None:
                inputs = ops.add(inputs, ops.slice(bias, (0,), (gates * hidden,)))
                bias = ops.slice(bias, (gates * hidden,), (2 * gates * hidden,))
            zero = ops.broadcast_to(scalar(x, 0), (batch, hidden))
            initial = [_row(given[n], direction) if n in given else zero for n in ("initial_h", "initial_c")[:states]]
            captured = {"r": recurrent, **{f"r_{n}": _row(given[f"r_{n}"], direction) for n in numbers}, **({"bias": bias} if bias is not None else {}),
                        **({"p": _row(given["p"], direction)} if "p" in given else {})}
            scanned = [inputs]
            if "sequence_lens" in given:
                captured["lens"] = given["sequence_lens"]
                scanned.append(ops.iota(np.int32, (length,)))
            body = _body(kind, step, times, numbers, tuple(sorted(attributes.items())), direction, tuple(t.type for t in initial),
                         tuple(TensorType(t.dtype, t.shape[1:]) for t in scanned), tuple((name, t.type) for name, t in captured.items()))
            results = apply("scan", *initial, *scanned, *captured.values(), body=body, num_carry=states, num_scanned=len(scanned),
                            length=length, reverse=backwards)
            outputs.append(ops.reshape(results[-1], (length, 1, batch, hidden)))
            for last, result in zip(lasts, results):
                last.append(ops.reshape(result, (1, batch, hidden)))
        return tuple(ops.concatenate(parts, axis) if len(parts) > 1 else parts[0] for parts, axis in ((outputs, 1), *((p, 0) for p in lasts)))

    return decompose


@lru_cache(maxsize=256)
def _body(kind: str, step: Callable, times: Callable, numbers: tuple[str, ...], attributes: tuple[tuple[str, Any], ...], direction: int,
          states: tuple[TensorType, ...], slices: tuple[TensorType, ...], captured: tuple[tuple[str, TensorType], ...]) -> Graph:
    """What a step of a direction does. The same for the same layer each time: a derivative's scan and that of the layer can be seen to be one."""
    known = dict(attributes)
    inner = [make_input(f"state{i}", t.dtype, t.shape) for i, t in enumerate(states)]
    parts = [make_input(f"slice{i}", t.dtype, t.shape) for i, t in enumerate(slices)]
    bound = {name: make_input(name, t.dtype, t.shape) for name, t in captured}
    products = times(inner[0], bound["r"], *(bound[f"r_{n}"] for n in numbers)) if kind != "gru" else None
    new = step(known, gate_activations(kind, known, direction), parts[0], inner, bound, products)
    y = new[0]
    if "lens" in bound:
        alive = ops.reshape(ops.lt(parts[1], bound["lens"]), (inner[0].shape[0], 1))
        new = [ops.select(alive, after, before) for after, before in zip(new, inner)]
        y = ops.select(alive, y, scalar(y, 0))
    return Graph(kind, [*inner, *parts, *bound.values()], [*new, y])


def _activate(activation: tuple[str, float, float], x: Tensor, limit: float) -> Tensor:
    name, alpha, beta = activation
    return ACTIVATIONS[name](_clipped(x, limit), alpha, beta)


def _rnn_step(attributes, activations, inputs, state, captured, products):
    """h = f(x W + h R + b)"""
    total = ops.add(inputs, products)
    if "bias" in captured:
        total = ops.add(total, captured["bias"])
    return [_activate(activations[0], total, attributes["clip"])]


def _gru_step(attributes, activations, inputs, state, captured, _):
    """z, r = f(…);  h' = g(x + r⊙(h R)) before or after the product, as linear_before_reset says;  h = (1 - z)⊙h' + z⊙h"""
    h, limit, f, g = state[0], attributes["clip"], *activations
    xz, xr, xh = _gates(inputs, 3)
    hidden = h.shape[-1]
    weights = [ops.slice(captured["r"], (i * hidden, 0), ((i + 1) * hidden, hidden)) for i in range(3)]
    biases = _gates(captured["bias"], 3) if "bias" in captured else [None] * 3

    def recurrent(left, index):
        y = _times(left, weights[index])
        return y if biases[index] is None else ops.add(y, biases[index])

    z = _activate(f, ops.add(xz, recurrent(h, 0)), limit)
    reset = _activate(f, ops.add(xr, recurrent(h, 1)), limit)
    candidate = ops.mul(reset, recurrent(h, 2)) if attributes["linear_before_reset"] else recurrent(ops.mul(reset, h), 2)
    candidate = _activate(g, ops.add(xh, candidate), limit)
    return [ops.add(ops.mul(ops.sub(scalar(z, 1), z), candidate), ops.mul(z, h))]


def _lstm_step(attributes, activations, inputs, state, captured, products):
    """i, o, f = f(…);  c = f⊙c + i⊙g(…);  h = o⊙h(c), with peepholes p of the old c (i, f) and the new (o)"""
    (_, c), limit = state, attributes["clip"]
    total = ops.add(inputs, products)
    if "bias" in captured:
        total = ops.add(total, captured["bias"])
    xi, xo, xf, xc = _gates(total, 4)
    pi, po, pf = _gates(captured["p"], 3) if "p" in captured else (None, None, None)

    def peep(gate, weight, cell):
        return gate if weight is None else ops.add(gate, ops.mul(weight, cell))

    i = _activate(activations[0], peep(xi, pi, c), limit)
    f = ops.sub(scalar(i, 1), i) if attributes["input_forget"] else _activate(activations[0], peep(xf, pf, c), limit)
    new_c = ops.add(ops.mul(f, c), ops.mul(i, _activate(activations[1], xc, limit)))
    o = _activate(activations[0], peep(xo, po, new_c), limit)
    return [ops.mul(o, _activate(activations[2], new_c, 0.0)), new_c]


def _flops(inputs, outputs, attributes):
    x, w, r = inputs[:3]
    return 2 * x.shape[0] * x.shape[1] * (product(w.shape) + product(r.shape))


composite("rnn", outputs=2, flops=_flops)(_recurrent("rnn", _rnn_step, 1))
composite("gru", outputs=2, flops=_flops)(_recurrent("gru", _gru_step, 1))
composite("lstm", outputs=3, flops=_flops)(_recurrent("lstm", _lstm_step, 2))
composite("dynamic_quantize_lstm", outputs=3, flops=_flops)(_recurrent("lstm", _lstm_step, 2, _quantized_times, ("scale", "zero_point")))
