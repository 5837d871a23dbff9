"""LSTM, GRU and RNN against ONNX Runtime, for every option ONNX has, and the same bits for any team."""
from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SOURCE = """#include "dlc_recurrent.h"
#include <pthread.h>
typedef struct { dlc_team team; const dlc_recurrence *layer; int64_t cell; } job;
static void *work(void *argument)
{
    job *const j = argument;
    switch (j->cell) {
    case 0: dlc_rnn_f32(&j->team, j->layer); break;
    case 1: dlc_lstm_f32(&j->team, j->layer); break;
    case 2: dlc_gru_f32(&j->team, j->layer); break;
    }
    return 0;
}
int64_t state_bytes(int64_t N, int64_t H, int64_t D) { return dlc_recurrence_state(N, H, D); }
void run(int64_t cell, int64_t threads, const int64_t *n, const float *activations, void **p)
{
    dlc_recurrence l = {.T = n[0], .N = n[1], .H = n[2], .D = n[3], .reverse = {(int)n[4], (int)n[5]}, .clip = activations[18],
                        .linear_before_reset = (int)n[6], .input_forget = (int)n[7], .x = p[0], .x_step = n[8], .x_row = n[9], .r = p[1],
                        .recurrent_bias = p[2], .peepholes = p[3], .initial_h = p[4], .initial_c = p[5], .lengths = p[6], .y = p[7],
                        .y_step = n[10], .y_direction = n[11], .y_row = n[12], .last_h = p[8], .last_c = p[9], .state = p[10]};
    for (int i = 0; i < 6; ++i)
        l.activation[i / 3][i % 3] = (dlc_activation){(int)activations[3 * i], activations[3 * i + 1], activations[3 * i + 2]};
    static dlc_barrier_state barrier;
    pthread_t handles[8];
    job jobs[8];
    for (int i = 0; i < threads; ++i) {
        jobs[i] = (job){{i, (int)threads, &barrier, 0, 0}, &l, cell};
        pthread_create(&handles[i], 0, work, &jobs[i]);
    }
    for (int i = 0; i < threads; ++i)
        pthread_join(handles[i], 0);
}
"""

CELLS = {"RNN": (0, 1, ["Tanh"]), "LSTM": (1, 4, ["Sigmoid", "Tanh", "Tanh"]), "GRU": (2, 3, ["Sigmoid", "Tanh"])}
"""operator → number of the cell, gates, default activations"""
ACTIVATIONS = ["Sigmoid", "Tanh", "Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus"]


def blocked(a, directions, gates, lanes):
    """[D, G*H, K] → [D, Hp/U, G, U, K], as dlc_recurrent.h has it."""
    hidden, depth = a.shape[1] // gates, a.shape[2]
    a = np.pad(a.reshape(directions, gates, hidden, depth), ((0, 0), (0, 0), (0, -hidden % lanes), (0, 0)))
    return a.reshape(directions, gates, -1, lanes, depth).transpose(0, 2, 1, 3, 4)


def in_panels(a, width):
    """[D, Hp/U, G, U, H] → [D, Hp/U, G*U*H], the gates in panels, as dlc_recurrent.h has it."""
    panels = [a[:, :, gate:gate + width].transpose(0, 1, 4, 2, 3) for gate in range(0, a.shape[2], width)]
    return np.concatenate([p.reshape(*a.shape[:2], -1) for p in panels], axis=2)


def address(a):
    return 0 if a is None else a.ctypes.data


def run(library, aligned, op, operands, *, threads=1, reverse=(0, 0), activations=None, clip=0.0, linear_before_reset=0, input_forget=0):
    x, w, r, b, lengths, initial_h, initial_c, p = operands
    (steps, batch, features), directions, hidden = x.shape, w.shape[0], r.shape[2]
    cell, gates, default = CELLS[op]
    lanes = library.lanes
    padded = -(-hidden // lanes) * lanes
    bias_w, bias_r = (np.zeros((directions, gates * hidden), np.float32),) * 2 if b is None else np.split(b, 2, 1)
    inside = None
    if op == "GRU" and linear_before_reset:
        inside = np.ascontiguousarray(blocked(bias_r[..., None], directions, gates, lanes))
        bias_r = bias_r.copy()
        bias_r[:, 2 * hidden:] = 0
    product = x.reshape(-1, features).astype(float) @ blocked(w, directions, gates, lanes).reshape(-1, features).T.astype(float)
    product = (product + blocked((bias_w + bias_r)[..., None], directions, gates, lanes).reshape(-1)).astype(np.float32)
    packed = in_panels(blocked(r, directions, gates, lanes), 3 if op == "GRU" and linear_before_reset else 2)
    y = np.full((steps, directions, batch, hidden), np.nan, np.float32)
    last_h, last_c = (np.full((directions, batch, hidden), np.nan, np.float32) for _ in range(2))
    state = aligned(max(library.state_bytes(batch, hidden, directions) // 4, 1))
    numbers = np.array([steps, batch, hidden, directions, *reverse, linear_before_reset, input_forget, batch * directions * gates * padded,
                        directions * gates * padded, directions * batch * hidden, batch * hidden, hidden], np.int64)
    chosen = activations or [(name, 0, 0) for name in default * directions]
    table = np.zeros(19, np.float32)
    for i, (name, alpha, beta) in enumerate(chosen):
        position = 3 * (i // len(default)) + i % len(default)
        table[3 * position:3 * position + 3] = ACTIVATIONS.index(name), alpha, beta
    table[18] = clip
    arrays = [product, packed, inside, p, initial_h, initial_c, lengths, y, last_h, last_c if op == "LSTM" else None, state]
    pointers = np.array([address(a) for a in arrays], np.uint64)
    library.run(cell, threads, numbers, table, pointers)
    return [y, last_h] + ([last_c] if op == "LSTM" else [])


def runtime(op, operands, **attributes):
    """The same by ONNX Runtime."""
    x, w, r, *optional = operands
    count = {"RNN": 6, "GRU": 6, "LSTM": 8}[op]
    names = ["X", "W", "R", "B", "lengths", "h", "c", "P"][:count]
    feeds = {n: v for n, v in zip(names, operands) if v is not None}
    inputs = [n if n in feeds else "" for n in names]
    outputs = ["Y", "Y_h"] + (["Y_c"] if op == "LSTM" else [])
    node = onnx.helper.make_node(op, inputs, outputs, hidden_size=r.shape[2], **attributes)
    info = [onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()]
    graph = onnx.helper.make_graph([node], op, info, [onnx.helper.make_tensor_value_info(o, 1, None) for o in outputs])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)


def random_operands(rng, op, steps, batch, features, hidden, directions, optional=True):
    gates = CELLS[op][1]

    def draw(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    scale = hidden ** -0.5
    required = [draw(steps, batch, features), draw(directions, gates * hidden, features, scale=0.5), draw(directions, gates * hidden, hidden, scale=scale)]
    if not optional:
        return required + [None] * 5
    lstm = op == "LSTM"
    return required + [draw(directions, 2 * gates * hidden), None, draw(directions, batch, hidden),
                       draw(directions, batch, hidden) if lstm else None, draw(directions, 3 * hidden) if lstm else None]


def check(got, expected):
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=0, atol=2e-5)


@pytest.mark.parametrize("op", CELLS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 1, 7, 37), (4, 3, 5, 16), (3, 19, 4, 33), (6, 2, 3, 64), (2, 8, 3, 20), (2, 14, 2, 17), (3, 15, 2, 5), (2, 43, 2, 9)], ids=str)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_layers(op, shape, direction, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(1)
    directions = 2 if direction == "bidirectional" else 1
    reverse = {"forward": (0, 0), "reverse": (1, 0), "bidirectional": (0, 1)}[direction]
    for optional in (False, True):
        operands = random_operands(rng, op, *shape, directions, optional)
        for before in (0, 1) if op == "GRU" else (0,):
            extra = {"linear_before_reset": before} if op == "GRU" else {}
            check(run(library, aligned, op, operands, reverse=reverse, **extra), runtime(op, operands, direction=direction, **extra))


@pytest.mark.parametrize("op", CELLS)
def test_lengths(op, build, configuration, aligned):
    """Rows of the batch that end early keep their state, in both directions."""
    library, rng = build(SOURCE, configuration), np.random.default_rng(2)
    operands = random_operands(rng, op, 6, 9, 3, 21, 2)
    operands[4] = np.array([6, 1, 3, 5, 2, 6, 4, 1, 3], np.int32)
    for before in (0, 1) if op == "GRU" else (0,):
        extra = {"linear_before_reset": before} if op == "GRU" else {}
        check(run(library, aligned, op, operands, reverse=(0, 1), **extra), runtime(op, operands, direction="bidirectional", **extra))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(3)
    alpha, beta = {"Affine": (0.7, 0.1), "LeakyRelu": (0.05, 0), "ThresholdedRelu": (0.3, 0), "ScaledTanh": (0.8, 0.6), "HardSigmoid": (0.3, 0.4),
                   "Elu": (0.9, 0)}.get(name, (0, 0))
    operands = random_operands(rng, "RNN", 4, 2, 3, 20, 1)
    attributes = {"activations": [name]}
    if alpha:
        attributes["activation_alpha"] = [alpha]
    if beta:
        attributes["activation_beta"] = [beta]
    check(run(library, aligned, "RNN", operands, activations=[(name, alpha, beta)], clip=1.5), runtime("RNN", operands, clip=1.5, **attributes))


def test_input_forget_and_activations_for_each_gate(build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(4)
    operands = random_operands(rng, "LSTM", 4, 3, 3, 20, 2)
    names = ["HardSigmoid", "Softsign", "Tanh", "Sigmoid", "Tanh", "Relu"]
    got = run(library, aligned, "LSTM", operands, reverse=(0, 1), input_forget=1,
              activations=[(n, 0.2 if n == "HardSigmoid" else 0, 0.5 if n == "HardSigmoid" else 0) for n in names])
    operands[7] = operands[7].copy()
    expected = runtime("LSTM", operands, direction="bidirectional", input_forget=1, activations=names, activation_alpha=[0.2],
                       activation_beta=[0.5])
    check(got, expected)


@pytest.mark.parametrize("op", CELLS)
@pytest.mark.parametrize("directions", [1, 2])
def test_the_same_bits_for_any_team(op, directions, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(5)
    for batch, hidden in ((1, 300), (5, 130), (2, 9)):  # the last is too small to share
        operands = random_operands(rng, op, 7, batch, 3, hidden, directions)
        alone = run(library, aligned, op, operands, reverse=(0, 1))
        for threads in (2, 3, 4):
            for one, many in zip(alone, run(library, aligned, op, operands, reverse=(0, 1), threads=threads)):
                np.testing.assert_array_equal(one.view(np.uint32), many.view(np.uint32))


def test_no_steps(build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(6)
    operands = random_operands(rng, "LSTM", 0, 2, 3, 20, 1)
    y, h, c = run(library, aligned, "LSTM", operands)
    assert y.size == 0
    np.testing.assert_array_equal(h, operands[5])
    np.testing.assert_array_equal(c, operands[6])


PROGRAM = SOURCE + """
#include <stdlib.h>
static float *numbers(int64_t count)
{
    float *const p = aligned_alloc(64, (size_t)(count * 4 + 63) / 64 * 64);
    for (int64_t i = 0; i < count; ++i)
        p[i] = (float)(i % 7 - 3) * 0.1f;
    return p;
}
int main(void)
{
    for (int64_t cell = 0; cell < 3; ++cell)
        for (int64_t before = 0; before < 2; ++before) {
            const int64_t T = 3, N = 3, H = 150, D = 1, G = cell == 0 ? 1 : cell == 1 ? 4 : 3, Hp = dlc_recurrence_padded(H);
            const int64_t n[] = {T, N, H, D, 0, 0, before, 0, N * D * G * Hp, D * G * Hp, D * N * H, N * H, H};
            const float activations[19] = {DLC_SIGMOID, 0, 0, DLC_TANH, 0, 0, DLC_TANH};
            int32_t lengths[] = {3, 1, 2};
            void *p[] = {numbers(T * N * D * G * Hp), numbers(D * Hp * H * G), numbers(D * G * Hp), numbers(D * 3 * H), numbers(D * N * H),
                         numbers(D * N * H), lengths, numbers(T * D * N * H), numbers(D * N * H), numbers(D * N * H),
                         numbers(dlc_recurrence_state(N, H, D) / 4)};
            run(cell, 3, n, activations, p);
            for (int i = 0; i < 11; ++i)
                if (i != 6)
                    free(p[i]);
        }
    return 0;
}
"""


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_teams_under_sanitizers(sanitizers, run_sanitized, configuration):
    """No access outside the operands, and no two threads at one address without a barrier between them."""
    if configuration != ("gcc", "x86-64-v3"):
        pytest.skip("one width: sanitized code of this size compiles slowly")
    run_sanitized(PROGRAM, configuration, sanitizers)
