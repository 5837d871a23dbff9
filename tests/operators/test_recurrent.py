"""RNN, GRU and LSTM against ONNX Runtime: every direction, optional operand, activation and attribute."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.graph import OPERATORS, make_input, symbol
from tests.operators.helpers import check, normal, onnx_runtime

STEPS, BATCH, SIZE, HIDDEN = 5, 3, 4, 2
KINDS = {"rnn": ("RNN", 1, 2, {}), "gru": ("GRU", 3, 2, {"linear_before_reset": 1}), "lstm": ("LSTM", 4, 3, {"input_forget": 1})}
CLOSE = dict(rtol=2e-5, atol=1e-5)


def operands(kind, directions, present):
    _, gates, _, _ = KINDS[kind]
    x, w, r = (normal(*shape) * 0.6 for shape in ((STEPS, BATCH, SIZE), (directions, gates * HIDDEN, SIZE), (directions, gates * HIDDEN, HIDDEN)))
    made = {"b": normal(directions, 2 * gates * HIDDEN), "sequence_lens": np.array([5, 2, 3], np.int32),
            "initial_h": normal(directions, BATCH, HIDDEN), "initial_c": normal(directions, BATCH, HIDDEN), "p": normal(directions, 3 * HIDDEN)}
    return [x, w, r], {n: made[n] for n in present}


def compare(kind, directions=1, present=(), ours=None, **attributes):
    op_type, _, outputs, _ = KINDS[kind]
    arrays, optional = operands(kind, directions, present)
    names = ("b", "sequence_lens", "initial_h", "initial_c", "p") if kind == "lstm" else ("b", "sequence_lens", "initial_h")
    expected = onnx_runtime(op_type, [*arrays, *(optional.get(n) for n in names)], outputs, hidden_size=HIDDEN, **attributes)
    directed = {"direction": attributes["direction"]} if "direction" in attributes else {}
    check(lambda *t: getattr(ops, kind)(*t, present=present, **directed, **(ours or {})), [*arrays, *optional.values()], expected,
          fixed=None, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("present", [(), ("b",), ("b", "initial_h"), ("b", "sequence_lens"), ("sequence_lens", "initial_h")])
def test_directions_and_operands(kind, direction, present):
    compare(kind, 2 if direction == "bidirectional" else 1, present, direction=direction)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("present", [("b", "initial_h", "initial_c", "p"), ("b", "sequence_lens", "initial_h", "initial_c", "p"), ("initial_c",)])
def test_lstm_cell_state_and_peepholes(direction, present):
    compare("lstm", 2 if direction == "bidirectional" else 1, present, direction=direction)


@pytest.mark.parametrize("kind, ours", [("gru", {"linear_before_reset": True}), ("lstm", {"input_forget": True}), ("rnn", {"clip": 0.3}),
                                        ("lstm", {"clip": 0.3}), ("gru", {"clip": 0.3})])
def test_attributes(kind, ours):
    compare(kind, 1, ("b",), ours, **{k: int(v) if isinstance(v, bool) else v for k, v in ours.items()})


@pytest.mark.parametrize("name, alpha, beta", [("Relu", 0, 0), ("LeakyRelu", 0.3, 0), ("ThresholdedRelu", 0.2, 0), ("ScaledTanh", 0.7, 0.4),
                                               ("HardSigmoid", 0.3, 0.4), ("Elu", 0.6, 0), ("Softsign", 0, 0), ("Softplus", 0, 0),
                                               ("Affine", 0.5, 0.1), ("Sigmoid", 0, 0)])
def test_activations(name, alpha, beta):
    """ONNX Runtime wants a list of parameters for each activation, one that has none included."""
    attributes = {"activations": [name], "activation_alpha": [float(alpha)], "activation_beta": [float(beta)]}
    takes = name not in ("Relu", "Softsign", "Softplus", "Sigmoid")
    compare("rnn", 1, ("b",), {"activations": (name,), "alphas": (alpha,) if takes else (), "betas": (beta,) if takes else ()}, **attributes)


def test_an_activation_for_each_gate_and_direction():
    names = ["Tanh", "Sigmoid", "Relu", "Sigmoid", "Tanh", "Softsign"]
    compare("lstm", 2, ("b",), {"activations": names}, direction="bidirectional", activations=names)
    compare("gru", 2, ("b",), {"activations": names[:4]}, direction="bidirectional", activations=names[:4])


def test_unknown_activation():
    arrays, _ = operands("rnn", 1, ())
    with pytest.raises(InvalidModelError, match="'sine'"):
        ops.rnn(*arrays, activations=("Sine",))


@pytest.mark.parametrize("kind", KINDS)
def test_symbolic_length_and_batch(kind):
    _, gates, outputs, _ = KINDS[kind]
    steps, batch = symbol("t"), symbol("n")
    (x, w, r), optional = operands(kind, 2, ("b", "sequence_lens"))
    made = getattr(ops, kind)(make_input("x", np.float32, (steps, batch, SIZE)), w, r, optional["b"], make_input("lens", np.int32, (batch,)),
                              present=("b", "sequence_lens"), direction="bidirectional")
    assert [t.shape for t in made] == [(steps, 2, batch, HIDDEN)] + [(2, batch, HIDDEN)] * (outputs - 1)
    from dlcompile.graph import Graph
    from dlcompile.operators import evaluate

    node = made[0].producer
    graph = Graph("g", [node.inputs[0], node.inputs[4]], made)
    expected = onnx_runtime(KINDS[kind][0], [x, w, r, optional["b"], optional["sequence_lens"]], outputs, hidden_size=HIDDEN, direction="bidirectional")
    for result, wanted in zip(evaluate(graph, [x, optional["sequence_lens"]]), expected):
        np.testing.assert_allclose(result, wanted, **CLOSE)
    flops = OPERATORS[kind].flops(tuple(t.type for t in node.inputs), tuple(t.type for t in made), node.attributes)
    assert flops == 2 * steps * batch * 2 * gates * HIDDEN * (SIZE + HIDDEN)


def test_no_steps():
    """The last state is the first one, the outputs are empty."""
    h = normal(1, 2, HIDDEN)
    x, w, r = np.zeros((0, 2, SIZE), np.float32), normal(1, 3 * HIDDEN, SIZE), normal(1, 3 * HIDDEN, HIDDEN)
    check(lambda *t: ops.gru(*t, present=("initial_h",)), [x, w, r, h], (np.zeros((0, 1, 2, HIDDEN), np.float32), h), fixed=None)
