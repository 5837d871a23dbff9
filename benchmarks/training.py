"""Training steps of dlcompile beside those of Keras on its back ends, the same models and batches, in turns.

    python benchmarks/training.py
    python benchmarks/training.py --model cnn --engine keras:jax --python ~/venvs/keras/bin/python

Each engine has a process of its own, which builds the model, trains with one batch again and again and waits for its turn; models are written once, in
the names that dlcompile and Keras have in common. Reported are the median milliseconds of a call of train_on_batch, and the seconds until the first
one is done, with all that is compiled before: dlcompile begins with an empty cache of libraries.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

import click
import numpy as np
from rich.console import Console
from rich.table import Table


# -- the models -------------------------------------------------------------------------------------------------------------
def mlp(keras):
    layers = keras.layers
    model = keras.Sequential([keras.Input((784,)), layers.Dense(512, activation="relu"), layers.Dense(512, activation="relu"),
                              layers.Dense(10, activation="softmax")])
    return model, (128, 784)


def cnn(keras):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.3), layers.Flatten(), layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax")])
    return model, (128, 28, 28, 1)


def lstm(keras):
    layers = keras.layers
    model = keras.Sequential([keras.Input((100, 32)), layers.LSTM(128, return_sequences=True), layers.LSTM(128), layers.Dense(10, activation="softmax")])
    return model, (64, 100, 32)


def transformer(keras):
    layers = keras.layers
    x = inputs = keras.Input((64, 128))
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 32)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, y]))
        y = layers.Dense(128)(layers.Dense(512, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, outputs), (32, 64, 128)


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer}


# -- a process that trains one of them --------------------------------------------------------------------------------------
def train(engine: str, name: str) -> None:
    """Build, train once, and for every line with a number of seconds train for so long; what is found is told as JSON, a line each."""
    start = time.perf_counter()
    if engine == "dlcompile":
        import dlcompile as keras
    else:
        os.environ["KERAS_BACKEND"] = engine.removeprefix("keras:")
        import keras
    keras.utils.set_random_seed(0)
    model, shape = MODELS[name](keras)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, shape[0])
    loss = model.train_on_batch(x, y)
    print(json.dumps({"first_s": time.perf_counter() - start, "loss": float(np.asarray(loss).ravel()[0])}), flush=True)
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(line)
        while len(times) < 3 or time.perf_counter() < end:
            begin = time.perf_counter()
            loss = model.train_on_batch(x, y)
            times.append(time.perf_counter() - begin)
        print(json.dumps({"ms": float(np.median(times)) * 1e3, "loss": float(np.asarray(loss).ravel()[0])}), flush=True)


class Worker:
    """The process of an engine."""

    def __init__(self, engine: str, model: str, threads: int, python: str):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "MKL_NUM_THREADS"), str(threads))
        self.engine, self.cache = engine, tempfile.TemporaryDirectory(prefix="dlcompile-")
        environment = {**os.environ, **limits, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTEROP_THREADS": "1", "DLCOMPILE_CACHE_DIR": self.cache.name}
        self.process = subprocess.Popen([sys.executable if engine == "dlcompile" else python, __file__, "--train", f"{engine} {model}"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.rounds: list[float] = []

    def told(self) -> dict | None:
        """The next line; None where the process has failed."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return None

    def turn(self, seconds: float) -> None:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.rounds.append(self.told()["ms"])


def compare(model: str, engines: list[str], rounds: int, seconds: float, threads: int, python: str) -> list[dict]:
    """What each engine that can train the model takes."""
    workers, rows = [], []
    for engine in engines:  # one after the other: what each compiles takes the processors
        worker = Worker(engine, model, threads, python)
        first = worker.told()
        if first is None:
            print(f"{model}: {engine} takes no part: {worker.process.communicate()[1].strip().splitlines()[-1:]}", file=sys.stderr)
            continue
        workers.append(worker)
        rows.append({"model": model, "engine": engine, **first})
    for turn in range(rounds):
        for worker in workers if turn % 2 == 0 else reversed(workers):
            worker.turn(seconds)
    for worker, row in zip(workers, rows):
        worker.process.communicate()
        worker.cache.cleanup()
        row["ms"] = float(np.median(worker.rounds))
    ours = next((w for w in workers if w.engine == "dlcompile"), None)
    others = [w for w in workers if w is not ours]
    if ours and others:
        rows[0]["ratio"] = float(np.median([min(best) / mine for mine, *best in zip(ours.rounds, *(w.rounds for w in others))]))
    return rows


@click.command(context_settings={"show_default": True})
@click.option("--model", "models", multiple=True, type=click.Choice(list(MODELS)), default=tuple(MODELS), help="Repeatable.")
@click.option("--engine", "engines", multiple=True, default=("keras:jax", "keras:tensorflow", "keras:torch"),
              help="Whom to compare with: keras:jax, keras:tensorflow, keras:torch. Repeatable.")
@click.option("--python", default=sys.executable, help="The Python that has Keras and its back ends.")
@click.option("--threads", default=2)
@click.option("--rounds", default=5)
@click.option("--seconds", default=1.0, help="How long an engine trains in a round.")
@click.option("--train", hidden=True)
def main(models, engines, python, threads, rounds, seconds, train: str | None) -> None:
    """Time training steps."""
    if train:
        globals()["train"](*train.split())
        return
    table = Table("model", "engine", "ms a step", "first step s", "loss after one", "best other / ours", header_style="bold", show_edge=False)
    ratios = []
    for model in models:
        for row in compare(model, ["dlcompile", *engines], rounds, seconds, threads, python):
            ratios += [row["ratio"]] if "ratio" in row else []
            table.add_row(row["model"], row["engine"], f"{row['ms']:.3g}", f"{row['first_s']:.1f}", f"{row['loss']:.4f}", f"{row['ratio']:.2f}" if "ratio" in row else "")
    if len(ratios) > 1:
        table.add_row("geometric mean", "", "", "", "", f"{np.exp(np.mean(np.log(ratios))):.2f}")
    Console(highlight=False, width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
