"""RNN, GRU and LSTM."""
from __future__ import annotations

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.graph import Tensor

CELLS = {"RNN": ops.rnn, "GRU": ops.gru, "LSTM": ops.lstm, "DynamicQuantizeLSTM": ops.dynamic_quantize_lstm}
OPTIONAL = ("b", "sequence_lens", "initial_h", "initial_c", "p", "w_scale", "w_zero_point", "r_scale", "r_zero_point")
_EXTRA = {"RNN": (), "GRU": ("linear_before_reset",), "LSTM": ("input_forget",), "DynamicQuantizeLSTM": ("input_forget",)}


@importer("RNN", "GRU", "LSTM")
def recurrent(node: OnnxNode, x: Tensor, w: Tensor, r: Tensor, *optional: Tensor | None) -> tuple[Tensor, ...]:
    """x [time, batch, features], or with layout=1 (since opset 14) batch first, states and results too."""
    if (x.rank, w.rank, r.rank) != (3, 3, 3):
        raise ShapeError(f"X, W and R are {x.type}, {w.type} and {r.type}; expected three axes of each")
    direction = node.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise InvalidModelError(f"the direction {direction!r} is not one of forward, reverse, bidirectional")
    batch_first = node.get("layout", 0) == 1
    given = {name: tensor for name, tensor in zip(OPTIONAL, optional) if tensor is not None}
    if batch_first:
        x = _swapped(x)
        given.update({name: _swapped(given[name]) for name in ("initial_h", "initial_c") if name in given})
    for name in ("initial_h", "initial_c"):
        if name in given:
            assume_equal(x.shape[1], given[name].shape[1], f"the batches of X, {x.type}, and of {name}, {given[name].type}:")
    directions = 2 if direction == "bidirectional" else 1
    for name, tensor in {"W": w, "R": r, **given}.items():
        if name != "sequence_lens" and tensor.rank:
            assume_equal(tensor.shape[0], directions, f"the directions of {name}, {tensor.type}, and {direction}:")
    lengths = given.get("sequence_lens")
    if lengths is not None and lengths.value is not None and (lengths.value == x.shape[0]).all():
        del given["sequence_lens"]
    y, *last = CELLS[node.op_type](
        x, w, r, *given.values(), present=tuple(given), direction=direction, activations=node.get("activations", ()),
        alphas=node.get("activation_alpha", ()), betas=node.get("activation_beta", ()), clip=node.get("clip", 0.0),
        **{name: bool(node.get(name, 0)) for name in _EXTRA[node.op_type]})
    if batch_first:  # y [time, directions, batch, hidden]
        return ops.transpose(y, (2, 0, 1, 3)), *(_swapped(t) for t in last)
    return y, *last


@importer("DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(node: OnnxNode, x: Tensor, w: Tensor, r: Tensor, *optional: Tensor | None) -> tuple[Tensor, ...]:
    """LSTM with weights [directions, features, 4 * hidden] of 8 bits, which ONNX Runtime's quantiser writes."""
    if w.rank != 3 or r.rank != 3:
        raise ShapeError(f"W and R are {w.type} and {r.type}; expected three axes of each")
    if len(optional) != 9 or None in optional[5:]:
        raise InvalidModelError("expected scales and zero points of W and of R")
    return recurrent(node, x, ops.transpose(w, (0, 2, 1)), ops.transpose(r, (0, 2, 1)), *optional)


def _swapped(x: Tensor) -> Tensor:
    return ops.transpose(x, (1, 0, 2))
