"""What PyTorch makes of four small models in 50 steps: run with a Python that has torch, this writes torch_losses.json, which test_torch_parity.py
compares with.

    python tests/training/torch_losses.py

Weights and data are drawn by NumPy in `weights` and `batches`, which both sides call. Where an optimizer of torch.optim is another function than that
of Keras, its step is written out here, by Keras's formula; so is batch normalisation.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RECORD = Path(__file__).with_name("torch_losses.json")
STEPS, BATCH, BATCHES = 50, 32, 10
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "mlp": [(10, 16), (16,), (16, 3), (3,)],
    "cnn": [(3, 3, 2, 6), (6,), (6,), (3, 3, 6, 8), (8,), (128, 3), (3,)],  # convolution, gamma and beta, convolution, dense
    "lstm": [(4, 32), (8, 32), (32,), (8, 1), (1,)],
    "transformer": [(8,), (8,), *3 * [(8, 2, 4), (2, 4)], (2, 4, 8), (8,), (8,), (8,), (8, 16), (16,), (16, 8), (8,), (8, 3), (3,)],
}
"""model → the shapes of its variables, as Keras has them and in its order"""
INPUTS = {"mlp": (10,), "cnn": (8, 8, 2), "lstm": (9, 4), "transformer": (6, 8)}


def weights(name: str) -> list[np.ndarray]:
    """The first values of a model's variables: float32."""
    random = np.random.RandomState(3)
    drawn = []
    for shape in SHAPES[name]:
        fan_in = max(1, int(np.prod(shape[:-1])))
        drawn.append((random.standard_normal(shape) / np.sqrt(fan_in) if len(shape) > 1 else 0.1 * random.standard_normal(shape)).astype(np.float32))
    ones = {"cnn": (1,), "transformer": (0, 10)}.get(name, ())  # scales of normalisations
    return [value + np.float32(i in ones) for i, value in enumerate(drawn)]


def batches(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(inputs, targets) of 50 steps: ten batches, again and again. Targets are classes, those of the LSTM numbers."""
    random = np.random.RandomState(4)
    x = random.standard_normal((BATCHES * BATCH, *INPUTS[name])).astype(np.float32)
    if name == "lstm":
        y = np.tanh(x[:, :, :1].sum(1) * x[:, -1, 1:2]).astype(np.float32)
    else:
        y = np.argmax(x.reshape(len(x), -1) @ random.standard_normal((int(np.prod(INPUTS[name])), 3)), 1)
    pairs = [(x[i:i + BATCH], y[i:i + BATCH]) for i in range(0, len(x), BATCH)]
    return [pairs[i % BATCHES] for i in range(STEPS)]


# -- the models ---------------------------------------------------------------------------------------------------------------
Forward = Callable[[Any, bool], Any]
"""(inputs, whether in training) → outputs"""


def mlp(variables: Sequence[Any]) -> Forward:
    import torch

    w1, b1, w2, b2 = variables
    return lambda x, training: torch.relu(x @ w1 + b1) @ w2 + b2


def cnn(variables: Sequence[Any]) -> Forward:
    import torch
    from torch.nn import functional

    w1, gamma, beta, w2, b2, w3, b3 = variables
    mean, variance = torch.zeros(6), torch.ones(6)

    def normalized(x: Any, training: bool) -> Any:
        # torch's running variance is that of n - 1, Keras's that of n; momentum is the share of what was before
        if not training:
            m, v = mean, variance
        else:
            m, v = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            with torch.no_grad():
                mean.mul_(0.9).add_(0.1 * m)
                variance.mul_(0.9).add_(0.1 * v)
        over = (None, slice(None), None, None)
        return (x - m[over]) / torch.sqrt(v[over] + 1e-3) * gamma[over] + beta[over]

    def forward(x: Any, training: bool) -> Any:
        x = functional.conv2d(x.permute(0, 3, 1, 2), w1.permute(3, 2, 0, 1), padding=1)  # channels are the second axis here
        x = functional.max_pool2d(torch.relu(normalized(x, training)), 2)
        x = torch.relu(functional.conv2d(x, w2.permute(3, 2, 0, 1), b2, padding=1))
        return x.permute(0, 2, 3, 1).flatten(1) @ w3 + b3

    return forward


def lstm(variables: Sequence[Any]) -> Forward:
    import torch

    kernel, recurrent, bias, w, b = variables

    def forward(x: Any, training: bool) -> Any:
        # gates are in the order i, f, c, o on both sides; of torch's two biases one stays 0
        parameters = [kernel.T, recurrent.T, bias, torch.zeros_like(bias)]
        begin = torch.zeros(1, len(x), 8)
        outputs = torch.lstm(x, (begin, begin), parameters, True, 1, 0.0, training, False, True)[0]
        return outputs[:, -1] @ w + b

    return forward


def transformer(variables: Sequence[Any]) -> Forward:
    import torch
    from torch.nn import functional

    g1, b1, wq, bq, wk, bk, wv, bv, wo, bo, g2, b2, w3, b3, w4, b4, w5, b5 = variables

    def forward(x: Any, training: bool) -> Any:
        y = functional.layer_norm(x, (8,), g1, b1, eps=1e-3)
        q, k, v = (torch.einsum("btf,fhd->bhtd", y, w) + b[None, :, None] for w, b in ((wq, bq), (wk, bk), (wv, bv)))
        attended = functional.scaled_dot_product_attention(q, k, v)
        x = x + torch.einsum("bhtd,hdf->btf", attended, wo) + bo
        y = functional.layer_norm(x, (8,), g2, b2, eps=1e-3)
        x = x + functional.gelu(y @ w3 + b3) @ w4 + b4
        return x.mean(1) @ w5 + b5

    return forward


# -- the optimizers -----------------------------------------------------------------------------------------------------------
def sgd(variables: Sequence[Any]) -> Callable[[], None]:
    """torch's own: with a rate that stays, a momentum of gradients times the rate is Keras's momentum of steps."""
    import torch

    return torch.optim.SGD(variables, lr=0.05, momentum=0.9).step


def adam(variables: Sequence[Any], rate: float = 0.01, decay: float = 0.0) -> Callable[[], None]:
    """Keras adds epsilon to √v, torch to √(v / (1 - beta_2**t)). Weights decay by rate * decay of themselves before the step, in both."""
    import torch

    state = [(torch.zeros_like(w), torch.zeros_like(w)) for w in variables]
    steps = 0

    @torch.no_grad()
    def step() -> None:
        nonlocal steps
        steps += 1
        alpha = rate * (1 - 0.999**steps) ** 0.5 / (1 - 0.9**steps)
        for w, (m, v) in zip(variables, state):
            w.mul_(1 - rate * decay)
            m.add_(0.1 * (w.grad - m))
            v.add_((1 - 0.999) * (w.grad**2 - v))
            w.sub_(alpha * m / (v.sqrt() + 1e-7))

    return step


def adamw(variables: Sequence[Any]) -> Callable[[], None]:
    return adam(variables, decay=0.05)


def rmsprop(variables: Sequence[Any]) -> Callable[[], None]:
    """Keras adds epsilon within the root, torch outside of it. Each gradient is clipped to a norm of its own."""
    import torch

    state = [torch.zeros_like(w) for w in variables]

    @torch.no_grad()
    def step() -> None:
        for w, v in zip(variables, state):
            gradient = w.grad * (0.1 / w.grad.norm().clamp(min=0.1))
            v.mul_(0.9).add_(0.1 * gradient**2)
            w.sub_(0.01 * gradient / (v + 1e-7).sqrt())

    return step


OPTIMIZERS = {"mlp": sgd, "cnn": adam, "lstm": rmsprop, "transformer": adamw}


def losses(name: str) -> dict[str, Any]:
    """{"training": the loss before each of the steps, "evaluation": that of the last batch afterwards, as in inference}."""
    import torch
    from torch.nn import functional

    variables = [torch.tensor(value, requires_grad=True) for value in weights(name)]
    forward, step = globals()[name](variables), OPTIMIZERS[name](variables)
    error = functional.mse_loss if name == "lstm" else functional.cross_entropy
    found = []
    for x, y in batches(name):
        loss = error(forward(torch.tensor(x), True), torch.tensor(y))
        for variable in variables:
            variable.grad = None
        loss.backward()
        step()
        found.append(round(float(loss.detach()), 7))
    with torch.no_grad():
        return {"training": found, "evaluation": round(float(error(forward(torch.tensor(x), False), torch.tensor(y))), 7)}


if __name__ == "__main__":
    RECORD.write_text("{\n" + ",\n".join(f'"{name}": {json.dumps(losses(name))}' for name in SHAPES) + "\n}\n", encoding="utf-8")
